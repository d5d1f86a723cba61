using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.FileSystem;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Archives made by the reference, as the operating system sees them: every version, every entry, every byte.</summary>
public sealed class MountedFixtureTests
{
    [Theory]
    [InlineData("basic")]
    [InlineData("random")]
    [InlineData("handmade")]
    public async Task Every_version_of_an_archive_is_in_its_directory(string fixture)
    {
        JsonElement manifest = Vectors.Json($"hyperdrive/{fixture}/manifest.json");
        await using HyperdriveDrive drive = Open(fixture);
        await using DatFileSystem fs = new(drive);
        Dictionary<string, string?> contents = [];
        foreach (JsonProperty version in manifest.GetProperty("versions").EnumerateObject())
        {
            SortedDictionary<string, NodeInfo> found = new(StringComparer.Ordinal);
            await WalkAsync(fs, $"/.dat/versions/{version.Name}", "", found);
            found.Keys.Should().Equal(HyperdriveFixtureTests.Shown(version.Value, manifest), "version {0}", version.Name);
            foreach (JsonProperty entry in version.Value.EnumerateObject().Where(entry => IsShown(entry.Name)))
            {
                NodeInfo info = found[entry.Name];
                if (entry.Value.ValueKind != JsonValueKind.Number || found.Keys.Any(path => path.StartsWith(entry.Name + "/", StringComparison.Ordinal)))
                {
                    info.Kind.Should().Be(NodeKind.Directory, entry.Name);
                    continue;
                }

                await AssertEntryAsync(fs, $"/.dat/versions/{version.Name}{entry.Name}", info, manifest.GetProperty("nodes").GetProperty(entry.Value.ToString()), contents);
            }
        }

        fs.LivingNodes.Should().Be(1, "everything that was looked up was forgotten");
    }

    [Fact]
    public async Task The_newest_version_is_what_the_mount_shows()
    {
        JsonElement manifest = Vectors.Json("hyperdrive/basic/manifest.json");
        await using HyperdriveDrive drive = Open("basic");
        await using DatFileSystem fs = new(drive);
        SortedDictionary<string, NodeInfo> live = new(StringComparer.Ordinal);
        await WalkAsync(fs, "", "", live);
        SortedDictionary<string, NodeInfo> newest = new(StringComparer.Ordinal);
        string version = manifest.GetProperty("version").GetInt64().ToString(CultureInfo.InvariantCulture);
        await WalkAsync(fs, "/.dat/versions/" + version, "", newest);
        live.Keys.Should().Equal(newest.Keys);
        live.Values.Zip(newest.Values).Should().OnlyContain(pair => pair.First.FileNumber != pair.Second.FileNumber && pair.First.MtimeNs == pair.Second.MtimeNs);
        NodeInfo latest = await fs.NodeAsync("/.dat/versions/latest");
        (await fs.ReadLinkAsync(latest.Id, default)).Value.ToArray().Should().Equal(FsCalls.Utf8(version));
        (await fs.ReadAsync("/.dat/versions/1/hello.txt")).Should().HaveLength(13);
    }

    private static async Task AssertEntryAsync(DatFileSystem fs, string path, NodeInfo info, JsonElement node, Dictionary<string, string?> contents)
    {
        JsonElement stat = node.GetProperty("stat");
        info.MtimeNs.Should().Be((stat.TryGetProperty("mtime", out JsonElement mtime) ? mtime.GetInt64() : 0) * 1_000_000, path);
        if (info.Kind != NodeKind.File) return;
        info.Mode.Should().Be(stat.GetProperty("mode").GetUInt32() & 0x16D, path);
        info.Size.Should().Be(stat.TryGetProperty("size", out JsonElement size) ? size.GetUInt64() : 0, path);
        if (!node.TryGetProperty("sha256", out JsonElement sha256) || sha256.GetString() is not { } hash) return;
        if ((ulong)node.GetProperty("blockSizes").EnumerateArray().Sum(block => block.GetInt64()) != info.Size) return;
        // One entry is read once: later versions show the same node.
        string key = node.GetProperty("name").GetString() + hash;
        if (contents.TryAdd(key, hash)) (await HashAsync(fs, path)).Should().Be(hash, path);
    }

    private static async Task<string> HashAsync(DatFileSystem fs, string path)
    {
        NodeInfo node = await fs.NodeAsync(path);
        using IncrementalHash sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using (IFileHandle handle = await fs.OpenAsync(node.Id))
        {
            for (long at = 0; at < (long)node.Size;)
            {
                Result<ReadLease> read = await handle.ReadAsync(at, 128 << 10, default);
                read.Error.Should().Be(FsError.None, path);
                using ReadLease lease = read.Value;
                foreach (ReadOnlyMemory<byte> part in lease.Data) sha256.AppendData(part.Span);
                at += lease.Data.Length;
            }
        }

        fs.Forget(node.Id, 1);
        return Convert.ToHexStringLower(sha256.GetHashAndReset());
    }

    private static async Task WalkAsync(DatFileSystem fs, string top, string directory, SortedDictionary<string, NodeInfo> found)
    {
        NodeInfo node = await fs.NodeAsync(top + directory);
        await using (IDirHandle handle = (await fs.OpenDirAsync(node.Id, default)).Value)
        {
            foreach ((string name, NodeInfo info, _) in (await handle.EntriesAsync(withInfo: true, atATime: 7)).Skip(2))
            {
                found.Add($"{directory}/{name}", info);
                (await fs.LookupAsync(node.Id, name)).Value.Should().Be(info);
                if (info.Kind == NodeKind.Directory) await WalkAsync(fs, top, $"{directory}/{name}", found);
                fs.Forget(info.Id, 2);
            }
        }

        if (node.Id != NodeId.Root) fs.Forget(node.Id, 1);
    }

    // What no file system can show (hyperdrive.md §2.1).
    private static bool IsShown(string path) =>
        path != "/" && Array.TrueForAll(path[1..].Split('/'), name => name is not ("" or "." or "..") && System.Text.Encoding.UTF8.GetByteCount(name) <= 255);

    private static HyperdriveDrive Open(string fixture)
    {
        DiskFolder folder = new(Vectors.PathOf($"hyperdrive/{fixture}/archive"));
        FeedOptions readOnly = new() { ReadOnly = true };
        return new HyperdriveDrive(Feed.Open(new FeedFiles(folder.Folder("metadata")), readOnly), key => Feed.Open(new FeedFiles(folder.Folder("content")), readOnly with { Key = key }), null);
    }
}
