using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>No evidence lies about that no test looks at.</summary>
public sealed class VectorUseTests
{
    // Read by enumeration; all other files are named by a test.
    private static readonly Dictionary<string, Func<IEnumerable<string>>> s_enumerated = new()
    {
        ["hypercore/feeds"] = () => RecordedFeed.All.Where(feed => feed.IsRaw).Select(feed => feed.Name),
        ["wire"] = () => RecordedSession.Files,
    };

    [Fact]
    public void Every_vector_and_every_fixture_is_used()
    {
        string source = string.Concat(Directory.EnumerateFiles(Path.Combine(Vectors.TestsRoot, "Unit"), "*Tests.cs")
            .Concat(Directory.EnumerateFiles(Path.Combine(Vectors.TestsRoot, "Unit"), "*Recorded*.cs"))
            .Where(path => !path.EndsWith($"{nameof(VectorUseTests)}.cs", StringComparison.Ordinal)).Select(File.ReadAllText));
        foreach (string folder in (string[])["hypercore", "hypercore/feeds", "hyperdrive", "hyperdb", "wire"])
        {
            HashSet<string> enumerated = [.. s_enumerated.TryGetValue(folder, out Func<IEnumerable<string>>? names) ? names() : []];
            foreach (string path in Directory.EnumerateFileSystemEntries(Vectors.PathOf(folder)))
            {
                string name = Path.GetFileName(path);
                if (name == "README.md" || enumerated.Contains(name)) continue;
                (source.Contains($"{folder}/{name}", StringComparison.Ordinal) || source.Contains($"\"{name}\"", StringComparison.Ordinal))
                    .Should().BeTrue($"{folder}/{name} is there to be tested against");
            }
        }
    }

    [Fact]
    public void Every_file_of_a_recorded_feed_is_what_the_recording_says()
    {
        foreach (RecordedFeed feed in RecordedFeed.All.Where(feed => feed.IsRaw))
        {
            MemoryFolder folder = feed.Copy();
            Directory.GetFiles(Vectors.PathOf($"hypercore/feeds/{feed.Name}")).Should().HaveCount(folder.List().Count, feed.Name);
            foreach (JsonProperty file in feed.Row.GetProperty("files").EnumerateObject().Where(file => file.Value.ValueKind == JsonValueKind.Object))
            {
                byte[]? content = RecordedFeed.Read(folder, file.Name);
                if (content is null) continue;
                content.Should().HaveCount(file.Value.GetProperty("size").GetInt32(), $"{feed.Name}/{file.Name}");
                Sha256Of.Bytes(content).Should().Be(file.Value.GetProperty("sha256").GetString(), $"{feed.Name}/{file.Name}");
            }
        }
    }

    [Fact]
    public async Task The_secret_that_the_dat_tool_keeps_continues_its_feed()
    {
        JsonElement manifest = Vectors.Json("hyperdrive/dat-latest/manifest.json");
        string path = manifest.GetProperty("secretFiles").EnumerateObject().Single().Name;
        byte[] secret = File.ReadAllBytes(Vectors.PathOf($"hyperdrive/dat-latest/secret_keys/{path}"));
        FeedKey key = FeedKey.From(manifest.Hex("key"));
        path.Replace("/", "", StringComparison.Ordinal).Should().StartWith(key.ToDiscoveryKey().ToString());

        MemoryFolder folder = new();
        foreach (string file in Directory.GetFiles(Vectors.PathOf("hyperdrive/dat-latest/folder/.dat"), "metadata.*")) RecordedFeed.Write(folder, Path.GetFileName(file), File.ReadAllBytes(file));
        await using Feed feed = Feed.Open(new FeedFiles(folder, "metadata."), new FeedOptions { SecretKey = secret });
        feed.Key.Should().Be(key);
        feed.Writable.Should().BeTrue();
        long length = feed.Length;
        (await feed.AppendAsync([new byte[1]], default)).Should().Be(length);
    }
}
