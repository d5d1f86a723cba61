using System.Text.Json;
using DatFs.Evidence;

namespace DatFs.Unit;

/// <summary>Writers' feeds that the reference made, block by block, with what it answered about them (tests/vectors/hyperdb/README.md).</summary>
internal sealed record RecordedHyperdb(string Name, JsonElement Json, string Source, IReadOnlyDictionary<string, byte[][]> Feeds)
{
    private static readonly string[] s_stores = ["hyperdb/stores/one-writer.json", "hyperdb/stores/two-writers-a.json", "hyperdb/stores/two-writers-b.json", "hyperdb/stores/three-writers-a.json"];
    private static readonly string[] s_drives = ["hyperdb/drives/two-writers-a.json", "hyperdb/drives/two-writers-b.json"];
    private static readonly string[] s_runs = ["hyperdb/random-1-writer.json", "hyperdb/random-2-writers.json", "hyperdb/random-3-writers.json", "hyperdb/random-4-writers.json"];

    public static IEnumerable<RecordedHyperdb> Stores => s_stores.Select(name => OfStore(name, Vectors.Json(name), "feedsBlocks"));

    public static IEnumerable<RecordedHyperdb> Drives => s_drives.Select(name => OfStore(name, Vectors.Json(name), "feeds"));

    public static IEnumerable<RecordedHyperdb> Runs => s_runs.SelectMany(name => Vectors.Json(name).EnumerateArray().Select((run, i) => new RecordedHyperdb(
        $"{name} {i}", run, run.GetProperty("source").GetString()!,
        run.GetProperty("feeds").EnumerateObject().ToDictionary(feed => feed.Name, feed => feed.Value.EnumerateArray().Select(block => Convert.FromHexString(block.GetString()!)).ToArray()))));

    public static IEnumerable<RecordedHyperdb> All => [.. Stores, .. Drives, .. Runs];

    private static RecordedHyperdb OfStore(string name, JsonElement json, string feeds) => new(
        name, json, json.GetProperty("source").GetString()!,
        json.GetProperty(feeds).EnumerateObject().ToDictionary(feed => feed.Name, feed => feed.Value.EnumerateArray().Select(block => block.Hex("hex")!).ToArray()));
}
