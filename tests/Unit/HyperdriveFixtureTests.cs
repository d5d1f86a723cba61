using System.Security.Cryptography;
using System.Text.Json;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Archives made by the reference, read through our drive: every version, every entry, every byte (tests/vectors/hyperdrive).</summary>
public sealed class HyperdriveFixtureTests
{
    public static TheoryData<string> Fixtures => ["empty", "basic", "bigdir", "random", "quirks", "handmade"];

    [Theory]
    [MemberData(nameof(Fixtures))]
    public async Task Every_version_holds_what_the_reference_saw(string fixture)
    {
        JsonElement manifest = Vectors.Json($"hyperdrive/{fixture}/manifest.json");
        await using IDrive drive = Open(fixture);
        drive.Key.ToHex().Should().Be(manifest.GetProperty("key").GetString());
        (await drive.ReadyAsync(Token)).Version.Should().Be(manifest.GetProperty("version").GetInt64());
        foreach (JsonProperty version in manifest.GetProperty("versions").EnumerateObject())
        {
            IDriveView view = await drive.CheckoutAsync(long.Parse(version.Name, System.Globalization.CultureInfo.InvariantCulture), Token);
            SortedDictionary<string, DriveEntry> found = new(StringComparer.Ordinal);
            await WalkAsync(view, DrivePath.Root, found);
            found.Keys.Should().Equal(Shown(version.Value, manifest), "version {0} of {1}", version.Name, fixture);
            foreach (JsonProperty entry in version.Value.EnumerateObject().Where(entry => IsShown(entry.Name)))
                AssertEntry(found[entry.Name], entry.Value, manifest, found.Keys.Any(path => path.StartsWith(entry.Name + "/", StringComparison.Ordinal)));
        }
    }

    [Theory]
    [MemberData(nameof(Fixtures))]
    public async Task Every_stored_file_has_its_bytes_and_what_is_not_stored_is_an_error(string fixture)
    {
        JsonElement manifest = Vectors.Json($"hyperdrive/{fixture}/manifest.json");
        await using IDrive drive = Open(fixture);
        IDriveView view = await drive.ReadyAsync(Token);
        SortedDictionary<string, DriveEntry> found = new(StringComparer.Ordinal);
        await WalkAsync(view, DrivePath.Root, found);
        foreach (DriveEntry entry in found.Values.Where(entry => entry.Kind == EntryKind.File && entry.Seq > 0))
        {
            JsonElement node = manifest.GetProperty("nodes").GetProperty(entry.Seq.ToString(System.Globalization.CultureInfo.InvariantCulture));
            IFileContent content = view.OpenContent(entry);
            if (node.GetProperty("sha256").GetString() is not { } sha256)
            {
                await FluentActions.Awaiting(() => ReadAsync(content, 0, content.Size)).Should().ThrowAsync<DatException>();
                continue;
            }

            byte[] whole = await ReadAsync(content, 0, content.Size);
            if (node.GetProperty("blockSizes").EnumerateArray().Sum(size => size.GetInt64()) == content.Size)
                Convert.ToHexStringLower(SHA256.HashData(whole)).Should().Be(sha256, "{0} of {1}", entry.Path, fixture);
            foreach (long at in (long[])[1, whole.Length / 2, whole.Length - 1, whole.Length])
                if (at >= 0 && at <= whole.Length) (await ReadAsync(content, at, Math.Min(70_000, whole.Length - at))).Should().Equal(whole.AsSpan((int)at, (int)Math.Min(70_000, whole.Length - at)).ToArray());
        }
    }

    [Fact]
    public async Task A_version_beyond_the_newest_is_not_found()
    {
        await using IDrive drive = Open("basic");
        IDriveView live = await drive.ReadyAsync(Token);
        (await FluentActions.Awaiting(async () => await drive.CheckoutAsync(live.Version + 1, Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.NotFound);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static HyperdriveDrive Open(string fixture)
    {
        DiskFolder folder = new(Vectors.PathOf($"hyperdrive/{fixture}/archive"));
        FeedOptions readOnly = new() { ReadOnly = true };
        return new HyperdriveDrive(Feed.Open(new FeedFiles(folder.Folder("metadata")), readOnly), key => Feed.Open(new FeedFiles(folder.Folder("content")), readOnly with { Key = key }), null);
    }

    /// <summary>The paths of a version that are shown, in ordinal order: a file at the path of a directory is beside it.</summary>
    internal static string[] Shown(JsonElement version, JsonElement manifest)
    {
        HashSet<string> directories = [.. version.EnumerateObject().Select(entry => DrivePath.From(entry.Name).Parent.Text)];
        IEnumerable<string> beside = version.EnumerateObject()
            .Where(entry => IsShown(entry.Name) && directories.Contains(entry.Name) && entry.Value.ValueKind == JsonValueKind.Number)
            .Where(entry => (manifest.GetProperty("nodes").GetProperty(entry.Value.ToString()).GetProperty("stat").GetProperty("mode").GetUInt32() & 0xF000) == 0x8000)
            .Select(entry => entry.Name + " (file)");
        return [.. version.EnumerateObject().Select(entry => entry.Name).Where(IsShown).Concat(beside).Order(StringComparer.Ordinal)];
    }

    // What no file system can show (hyperdrive.md §2.1): hidden here, and everything below it.
    private static bool IsShown(string path) =>
        path != "/" && Array.TrueForAll(path[1..].Split('/'), name => name is not ("" or "." or "..") && System.Text.Encoding.UTF8.GetByteCount(name) <= 255);

    private static async Task WalkAsync(IDriveView view, DrivePath path, SortedDictionary<string, DriveEntry> found)
    {
        IReadOnlyList<DriveEntry> entries = (await view.ListAsync(path, Token))!;
        entries.Select(entry => entry.Path.Name).Should().OnlyHaveUniqueItems();
        foreach (DriveEntry entry in entries)
        {
            found.Add(entry.Path.Text, entry);
            (await view.FindAsync(entry.Path, Token)).Should().Be(entry);
            if (entry.Kind == EntryKind.Directory) await WalkAsync(view, entry.Path, found);
        }
    }

    private static void AssertEntry(DriveEntry entry, JsonElement seq, JsonElement manifest, bool hasChildren)
    {
        if (seq.ValueKind != JsonValueKind.Number || hasChildren)
        {
            entry.Kind.Should().Be(EntryKind.Directory);
            return;
        }

        JsonElement stat = manifest.GetProperty("nodes").GetProperty(seq.ToString()).GetProperty("stat");
        entry.Seq.Should().Be(seq.GetInt64());
        (entry.Mode & ~0x1FFu).Should().Be(0);
        if (entry.Kind == EntryKind.File) entry.Size.Should().Be(stat.TryGetProperty("size", out JsonElement size) ? size.GetInt64() : 0);
        entry.MtimeMs.Should().Be(stat.TryGetProperty("mtime", out JsonElement mtime) ? mtime.GetInt64() : 0);
    }

    private static async Task<byte[]> ReadAsync(IFileContent content, long offset, long length)
    {
        using MemoryStream bytes = new();
        while (bytes.Length < length)
        {
            using ContentLease lease = await content.ReadAsync(offset + bytes.Length, (int)Math.Min(length - bytes.Length, 1 << 20), FetchPriority.Interactive, Token);
            lease.Data.Length.Should().BePositive();
            foreach (ReadOnlyMemory<byte> part in lease.Data) bytes.Write(part.Span);
        }

        return bytes.ToArray();
    }
}
