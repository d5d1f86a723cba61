using System.Reflection;
using System.Text.RegularExpressions;
using DatFs.Crypto;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>The house's plan, held to the code: a new arrow between rooms is a decision made here, not an accident.</summary>
public sealed class ArchitectureTests
{
    private const int LongestFile = 600;

    /// <summary>Which rooms a room may use, besides itself and the errors that every layer shares.</summary>
    private static readonly Dictionary<string, string[]> s_plan = new()
    {
        ["Crypto"] = [],
        ["Encoding"] = ["Crypto"],
        ["Storage"] = ["Crypto", "Encoding"],
        ["Feeds"] = ["Crypto", "Encoding", "Storage"],
        ["Wire"] = ["Crypto", "Encoding", "Feeds"],
        ["Replication"] = ["Crypto", "Encoding", "Feeds", "Wire"],
        ["Discovery"] = ["Crypto", "Encoding", "Storage", "Wire", "Replication"],
        ["Drives"] = ["Crypto", "Encoding", "Storage", "Feeds"],
        ["Staging"] = ["Crypto", "Encoding", "Storage", "Feeds", "Drives"],
        ["Merging"] = ["Crypto", "Encoding", "Feeds", "Drives"],
        ["FileSystem"] = ["Crypto", "Encoding", "Storage", "Feeds", "Drives", "Staging", "Merging"],
        ["Platform"] = ["FileSystem"],
    };

    private static readonly TypeUse[] s_uses = [.. UsesOfTypes.In(typeof(FeedKey).Assembly), .. UsesOfTypes.In(Assembly.Load("DatMount.Platform"))];

    [Fact]
    public void Every_room_of_the_library_has_its_place_in_the_plan() =>
        s_uses.Select(u => RoomOf(u.User)).OfType<string>().Distinct().Should().BeSubsetOf(s_plan.Keys);

    [Fact]
    public void Rooms_use_only_rooms_below_them()
    {
        string[] wrong =
        [
            .. s_uses.Select(u => (u, From: RoomOf(u.User), To: RoomOf(u.Used)))
                .Where(u => u.From is not null && u.To is not null && u.From != u.To && s_plan.TryGetValue(u.From, out string[]? below) && !below.Contains(u.To))
                .Select(u => $"{u.u.User.FullName} uses {u.u.Used.FullName}").Distinct().Order(),
        ];
        wrong.Should().BeEmpty();
    }

    [Fact]
    public void The_file_system_does_not_know_the_formats_of_drives() =>
        s_uses.Where(u => RoomOf(u.User) == "FileSystem" && u.Used.Namespace?.StartsWith("DatFs.Drives.", StringComparison.Ordinal) == true)
            .Select(u => $"{u.User.FullName} uses {u.Used.FullName}").Distinct().Should().BeEmpty();

    [Fact]
    public void Full_keys_stay_out_of_the_rooms_that_have_no_user_to_show_them_to() =>
        s_uses.Where(u => u.Used == typeof(FeedKey) && u.Member == nameof(FeedKey.ToHex)
                && RoomOf(u.User) is "Storage" or "Feeds" or "Wire" or "Replication" or "Discovery" or "Platform")
            .Select(u => u.User.FullName).Should().BeEmpty("logs and messages name a feed by its discovery key");

    [Fact]
    public void No_source_file_is_longer_than_a_reader_can_hold()
    {
        string source = Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "src");
        Sources(source).Select(f => (File: Path.GetRelativePath(source, f), Lines: File.ReadLines(f).Count())).Where(f => f.Lines > LongestFile)
            .Should().BeEmpty();
        Sources(source).Should().HaveCountGreaterThan(20);
    }

    [Fact]
    public void Nothing_is_left_unfinished()
    {
        string source = Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "src");
        Regex marks = new(@"NotImplementedException|\b(TODO|FIXME|XXX|HACK)\b|catch[^{;]*\{\s*\}");
        Sources(source).Where(f => marks.IsMatch(File.ReadAllText(f))).Select(f => Path.GetRelativePath(source, f)).Should().BeEmpty();
    }

    private static IEnumerable<string> Sources(string folder) => Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories)
        .Where(f => !f.Contains("/obj/", StringComparison.Ordinal) && !f.Contains("/bin/", StringComparison.Ordinal));

    /// <summary>The folder a type lives in; null for the shared errors and for what is not ours.</summary>
    private static string? RoomOf(Type type)
    {
        string name = type.Namespace ?? "";
        if (name.StartsWith("DatMount.Platform", StringComparison.Ordinal)) return "Platform";
        return name.StartsWith("DatFs.", StringComparison.Ordinal) ? name.Split('.')[1] : null;
    }
}
