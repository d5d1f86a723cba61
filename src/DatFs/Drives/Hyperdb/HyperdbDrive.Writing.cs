using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdb;

/// <summary>Changes of one's own (hyperdb-multiwriter.md §15): bytes first, in our content feed, then the entry that names them.</summary>
internal sealed partial class HyperdbDrive : IDriveWriter
{
    /// <summary>Files are cut into blocks of this size, each from its own start.</summary>
    public const int BlockSize = HyperdriveContent.UsualBlockSize;

    /// <summary>Blocks signed together while a big file is appended.</summary>
    public const int BatchBlocks = 64;

    public IDriveWriter? Writer => this;

    public async ValueTask<long> PutFileAsync(DrivePath path, Stream content, DriveAttributes attributes, CancellationToken ct)
    {
        await PutAsync(path, content, attributes, null, ct);
        return Live.Version;
    }

    /// <summary>Writes a file over exactly these entries of its path; false, and nothing written, when it has others by now.</summary>
    /// <exception cref="DatException">As for any file.</exception>
    public ValueTask<bool> PutOverAsync(DrivePath path, Stream content, DriveAttributes attributes, IReadOnlyList<DatabaseEntry> replaced, CancellationToken ct) =>
        PutAsync(path, content, attributes, IsStill(Check(path), replaced, ct), ct);

    public async ValueTask<long> MakeDirectoryAsync(DrivePath path, DriveAttributes attributes, CancellationToken ct)
    {
        string key = Check(path);
        await WriteAsync(async own =>
        {
            await CheckPlaceAsync(path, EntryKind.Directory, ct);
            long now = Now();
            HyperdbStat stat = new(HyperStat.Directory | (attributes.Mode & HyperdbView.PermissionMask), null, null, null, null, own.Length, own.ByteLength, attributes.MtimeMs ?? now, now);
            return [new DatabaseWrite(key, stat.Encode())];
        }, ct);
        return Live.Version;
    }

    public async ValueTask<long> DeleteAsync(DrivePath path, CancellationToken ct)
    {
        string key = Check(path);
        await WriteAsync(async _ =>
        {
            DriveEntry entry = await Live.FindAsync(path, ct) ?? throw new DatException(DatError.NotFound, $"there is no {path}");
            if (entry.Kind != EntryKind.Directory) return [new DatabaseWrite(key, null, true)];
            if (await Live.ListAsync(path, ct) is { Count: > 0 }) throw new DatException(DatError.Invalid, $"{path} is a directory with something in it; remove that first");
            return [new DatabaseWrite(key, null, true)];
        }, ct);
        return Live.Version;
    }

    /// <summary>Deletes exactly these entries of a path; false, and nothing written, when it has others by now.</summary>
    /// <exception cref="DatException">As for any deletion.</exception>
    public async ValueTask<bool> DeleteOverAsync(DrivePath path, IReadOnlyList<DatabaseEntry> replaced, CancellationToken ct)
    {
        string key = Check(path);
        return (await WriteAsync(_ => ValueTask.FromResult<IReadOnlyList<DatabaseWrite>>([new DatabaseWrite(key, null, true)]), ct, IsStill(key, replaced, ct))).Count > 0;
    }

    private static Func<DatabaseView, ValueTask<bool>> IsStill(string key, IReadOnlyList<DatabaseEntry> entries, CancellationToken ct)
    {
        HashSet<EntryId> expected = [.. entries.Select(entry => entry.Id)];
        return async view => expected.SetEquals((await view.GetAsync(key, ct)).Select(entry => entry.Id));
    }

    private async ValueTask<bool> PutAsync(DrivePath path, Stream content, DriveAttributes attributes, Func<DatabaseView, ValueTask<bool>>? expected, CancellationToken ct)
    {
        string key = Check(path);
        IReadOnlyList<DatabaseEntry> written = await WriteAsync(async own =>
        {
            await CheckPlaceAsync(path, EntryKind.File, ct);
            (long offset, long byteOffset) = (own.Length, own.ByteLength);
            await AppendAsync(own, content, ct);
            long now = Now();
            HyperdbStat stat = new(
                HyperStat.RegularFile | (attributes.Mode & HyperdbView.PermissionMask), null, null, own.ByteLength - byteOffset, own.Length - offset, offset, byteOffset, attributes.MtimeMs ?? now, now);
            return [new DatabaseWrite(key, stat.Encode())];
        }, ct, expected);
        return written.Count > 0;
    }

    private ValueTask<IReadOnlyList<DatabaseEntry>> WriteAsync(
        Func<Feed, ValueTask<IReadOnlyList<DatabaseWrite>>> prepare, CancellationToken ct, Func<DatabaseView, ValueTask<bool>>? expected = null)
    {
        CheckIsDrive();
        if (!Writable) throw new DatException(DatError.NotWritable, Status.ReadOnlyBecause ?? "this machine has no writer's key for the drive; open it without --read-only to make one");
        return _database.WriteAsync(prepare, expected, ct);
    }

    private static string Check(DrivePath path)
    {
        string[] parts = path.Components();
        if (parts.Length == 0) throw new DatException(DatError.Invalid, "the drive itself is no place for a file");
        if (!Array.TrueForAll(parts, EntryNames.IsUsable)) throw new DatException(DatError.Invalid, $"{path} has a name that no file can have");
        return string.Join('/', parts);
    }

    // What stands there may be replaced by its own kind only, and nothing lies below a file.
    private async ValueTask CheckPlaceAsync(DrivePath path, EntryKind kind, CancellationToken ct)
    {
        IDriveView view = Live;
        if (await view.FindAsync(path, ct) is { } there && (there.Kind == EntryKind.Directory) != (kind == EntryKind.Directory))
            throw new DatException(DatError.Invalid, there.Kind == EntryKind.Directory ? $"{path} is a directory" : $"{path} is a file");
        for (DrivePath above = path.Parent; !above.IsRoot; above = above.Parent)
        {
            if (await view.FindAsync(above, ct) is not { } one) continue;
            if (one.Kind != EntryKind.Directory) throw new DatException(DatError.Invalid, $"{above} is a file");
            return;
        }
    }

    private static async ValueTask AppendAsync(Feed feed, Stream bytes, CancellationToken ct)
    {
        List<ReadOnlyMemory<byte>> batch = [];
        while (true)
        {
            byte[] block = new byte[BlockSize];
            int read = await bytes.ReadAtLeastAsync(block, BlockSize, throwOnEndOfStream: false, ct);
            if (read > 0) batch.Add(block.AsMemory(0, read));
            if (batch.Count == BatchBlocks || (read < BlockSize && batch.Count > 0))
            {
                await feed.AppendAsync(batch, ct);
                batch.Clear();
            }

            if (read < BlockSize) return;
        }
    }

    private long Now() => _time.GetUtcNow().ToUnixTimeMilliseconds();
}
