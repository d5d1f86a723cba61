using System.Text.RegularExpressions;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>SEMANTICS.md is the contract with users: what it says is shown by tests that exist.</summary>
public sealed partial class SemanticsTests
{
    [Fact]
    public void Every_test_that_the_page_names_exists()
    {
        string root = Path.GetDirectoryName(Vectors.TestsRoot)!;
        Dictionary<string, string> sources = Directory.EnumerateFiles(Vectors.TestsRoot, "*Tests.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal))
            .ToDictionary(file => Path.GetFileNameWithoutExtension(file), File.ReadAllText);
        List<string> missing = [];
        int named = 0;
        foreach (string line in File.ReadLines(Path.Combine(root, "SEMANTICS.md")))
        {
            string room = "";
            foreach (Match test in TestName().Matches(line))
            {
                if (test.Groups["class"].Success) room = test.Groups["class"].Value;
                if (!sources.TryGetValue(room, out string? source) || !source.Contains($" {test.Groups["name"].Value}(", StringComparison.Ordinal)) missing.Add(test.Value);
                named++;
            }
        }

        missing.Should().BeEmpty();
        named.Should().BeGreaterThan(70);
    }

    /// <summary>`Class.Name`, or `Name` after one of the same class; names read as sentences, so they have underscores.</summary>
    [GeneratedRegex(@"`(?:(?<class>\w+Tests)\.)?(?<name>[A-Z][A-Za-z0-9]*_\w+)`")]
    private static partial Regex TestName();
}
