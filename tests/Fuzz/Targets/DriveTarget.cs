using DatFs;
using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.FileSystem;
using DatFs.Storage;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// An archive whose owner wrote what they liked into the metadata feed, seen through its views and through the file system: every look-up ends, tells the
/// same however it is asked and whatever was asked before, and shows only names, sizes and kinds that may be shown. Each node is a byte of flags and then a
/// raw block, or a name, attributes and levels that are given as steps.
/// </summary>
internal sealed class DriveTarget : IFuzzTarget
{
    private const int Raw = 1;
    private const int Put = 2;
    private const int BrokenStat = 4;

    private const int MostNodes = 24;
    private const int MostVisits = 120;

    // The costliest question looks at each node of each level of a path, and at what the deletions among them left.
    private const long MostDecoded = 40_000;

    private static readonly byte[] s_seed = [.. Enumerable.Repeat<byte>(9, SecretKey.SeedSize)];

    public string Name => "drive";

    public int MaxLength => 4 * 1024;

    public long AllocationLimit(int inputLength) => 48 * 1024 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
        ["/"u8.ToArray(), "/a"u8.ToArray(), "/a/b"u8.ToArray(), ".."u8.ToArray(), "a (file)"u8.ToArray(), ".dat"u8.ToArray(), [0xFF], [0], [8, 0xFF, 0xC3, 2], [0x52, 2, 0x2E, 0x2E], [8, 0xA4, 0x83, 2]];

    public IEnumerable<byte[]> Corpus()
    {
        byte[] file = HyperCodec.EncodeFileStat(new HyperStat(0x81A4, 0, 0, 5, 1, 0, 0, 1516815000000, 1516815000000, null));
        byte[] folder = HyperCodec.EncodeDirectoryStat(0x41ED, 0, 0, 1516815000000, 1516815000000);
        yield return Nodes(("/a", file, [[0], [0]]), ("/b", file, [[1, 0], [0]]), ("/c/d", file, [[1, 1, 0], [0], [0]]));
        yield return Nodes(("/a", folder, [[0], [0]]), ("/a/b", file, [[0], [1, 0], [0]]), ("/a/b", null, [[0], [1]]));
        yield return Nodes(("/a/b", file, [[0], [0], [0]]), ("/a", file, [[0], [1, 0]]), ("/a/b", null, [[0]]), ("", folder, [[2, 0]]));
        yield return Nodes(("/a/b/c/d", [.. folder, 0x52, 2, 0x2E, 0x2E], [[0], [0], [0], [0], [0]]), ("/..", file, [[1, 0], [0]]), ("/.dat/x", file, [[1, 1, 0], [0], [0]]));
        yield return Nodes(("/l", [0x08, 0xFF, 0xC3, 0x02, 0x52, 4, 0x2F, 0x65, 0x74, 0x63], [[0], [0]]), ("/l (file)", file, [[1, 0], [0]]), ("/l/x", file, [[1, 1, 0], [1, 0], [0]]));
        foreach (var sequence in Vectors.Json("hyperdrive/sequences.json").EnumerateArray())
        {
            InputWriter row = new();
            foreach (var op in sequence.GetProperty("ops").EnumerateArray().Take(MostNodes)) row.Byte(Raw).Chunk(op.Hex("hex")!);
            yield return row.ToArray();
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        using SecretKey secret = SecretKey.FromSeed(s_seed);
        using SecretKey contentSecret = secret.DeriveContent();
        Feed metadata = NewFeed(secret), content = NewFeed(contentSecret);
        Await(content.AppendAsync([new byte[] { 1, 2, 3 }, new byte[] { 4, 5, 6, 7 }, Array.Empty<byte>()], CancellationToken.None));
        Await(metadata.AppendAsync(Blocks(input, contentSecret.PublicKey), CancellationToken.None));
        Await(metadata.DisposeAsync());
        metadata = Feed.Open(metadata.Files, new FeedOptions { Time = new FrozenTime() });

        // Closing the drive closes its feeds.
        HyperdriveDrive drive = new(metadata, new HyperdriveParts(_ => content), null, new FrozenTime());
        try
        {
            long newest = metadata.Length - 1;
            List<(DrivePath Path, string Entry)> seen = [];
            foreach (long version in new[] { newest / 2, newest }) Look(drive, version, seen);
            Again(metadata, newest, seen);
            Show(drive);
            Oracle.That(drive.Nodes.Decoded <= MostDecoded, "nodes looked at have a bound");
            _ = drive.VersionAtAsync(DateTimeOffset.FromUnixTimeMilliseconds(1516815000000), CancellationToken.None).AsTask().ContinueWith(static task => task.Exception, TaskScheduler.Default);
        }
        finally
        {
            Await(drive.DisposeAsync());
        }
    }

    private static void Look(HyperdriveDrive drive, long version, List<(DrivePath Path, string Entry)> seen)
    {
        seen.Clear();
        if (Ask(() => drive.CheckoutAsync(version, CancellationToken.None)) is not { } view) return;
        Oracle.That(view.Time.Year >= 1970, "a time");
        Queue<DrivePath> waiting = new([DrivePath.Root]);
        for (int visits = 0; visits < MostVisits && waiting.TryDequeue(out DrivePath path); visits++)
        {
            if (Ask(() => view.ListAsync(path, CancellationToken.None)) is not { } entries) continue;
            string last = "";
            foreach (DriveEntry entry in entries)
            {
                Oracle.That(EntryNames.IsUsable(entry.Path.Name) && entry.Path.Parent == path, "a name that can be shown, in its place");
                Oracle.That(last.Length == 0 || EntryNames.Compare(last, entry.Path.Name) < 0, "names in order, each once");
                Oracle.That(entry.Mode <= 0x1FF && entry.Size >= 0, "a mode and a size within bounds");
                Oracle.That((entry.Kind == EntryKind.Symlink) == (entry.LinkTarget.Length > 0), "a target for links only");
                last = entry.Path.Name;
                seen.Add((entry.Path, Ask(() => view.FindAsync(entry.Path, CancellationToken.None)) is { } found ? Text(found) : "nothing"));
                if (entry.Kind == EntryKind.Directory) waiting.Enqueue(entry.Path);
                else Read(view, entry);
            }
        }
    }

    // The same version with nothing remembered, and asked for each name alone. Where an index contradicts itself a listing may tell otherwise.
    private static void Again(Feed metadata, long version, List<(DrivePath Path, string Entry)> seen)
    {
        HyperdriveDrive fresh = new(metadata, new HyperdriveParts(_ => NewFeed(null)), null, new FrozenTime());
        if (Ask(() => fresh.CheckoutAsync(version, CancellationToken.None)) is { } view)
        {
            foreach ((DrivePath path, string entry) in seen)
            {
                Oracle.Equal(Ask(() => view.FindAsync(path, CancellationToken.None)) is { } found ? Text(found) : "nothing", entry, "what is found with and without anything remembered");
            }
        }
    }

    private static void Read(IDriveView view, DriveEntry entry)
    {
        if (entry.Kind == EntryKind.Symlink) return;
        IFileContent bytes = view.OpenContent(entry);
        Oracle.That(bytes.LocalBytes() >= 0 && bytes.LocalBytes() <= Math.Max(0, bytes.Size), "held bytes of the file");
        foreach (long offset in new[] { 0, bytes.Size / 2, bytes.Size - 1 })
        {
            using ContentLease lease = Ask(() => bytes.ReadAsync(offset, 64, FetchPriority.Interactive, CancellationToken.None));
            Oracle.That(lease.Data.Length <= 64, "no more than was asked for");
        }
    }

    private static void Show(HyperdriveDrive drive)
    {
        DatFileSystem fs = new(drive, new MountFsOptions { IoTimeout = TimeSpan.FromSeconds(5), Time = new FrozenTime() });
        Queue<NodeId> waiting = new([NodeId.Root]);
        byte[] room = new byte[4096];
        for (int visits = 0; visits < MostVisits / 2 && waiting.TryDequeue(out NodeId node); visits++)
        {
            Result<IDirHandle> opened = Now(fs.OpenDirAsync(node, CancellationToken.None));
            if (!opened.Ok) continue;
            List<(byte[] Name, NodeInfo Info)> found = [];
            bool Add(ReadOnlySpan<byte> name, in NodeInfo info, ulong next)
            {
                found.Add((name.ToArray(), info));
                return true;
            }

            _ = Now(opened.Value.ReadAsync(0, Add, true, CancellationToken.None));
            foreach ((byte[] name, NodeInfo info) in found)
            {
                Oracle.That(name.Length is > 0 and <= 255 && !name.AsSpan().ContainsAny((byte)'/', (byte)0), "a name that the kernel takes");
                Oracle.That(info.Size <= long.MaxValue, "a size that the kernel takes");
                if (name.AsSpan().SequenceEqual("."u8) || name.AsSpan().SequenceEqual(".."u8) || info.Id.Value == 0) continue;
                if (info.Kind == NodeKind.Directory) waiting.Enqueue(info.Id);
                if (info.Kind == NodeKind.Symlink && Now(fs.ReadLinkAsync(info.Id, CancellationToken.None)) is { Ok: true } link)
                    Oracle.That(!link.Value.Span.StartsWith("/"u8) && !link.Value.Span.Contains((byte)0), "a link that stays inside");
                if (Now(fs.ListXattrAsync(info.Id, room, CancellationToken.None)) is { Ok: true } names) Oracle.That(names.Value <= room.Length, "names within their room");
                fs.Forget(info.Id, 1);
            }

            Now(opened.Value.DisposeAsync());
        }

        Await(fs.DisposeAsync());
    }

    private static string Text(DriveEntry entry) =>
        $"{entry.Path} {entry.Kind} {entry.Mode} {entry.Size} {entry.MtimeMs} {entry.CtimeMs} {entry.Seq} {Convert.ToHexStringLower(entry.LinkTarget.Span)}";

    /// <summary>An answer that is there at once, for everything is held; default where the archive is broken.</summary>
    private static T? Ask<T>(Func<ValueTask<T>> question)
    {
        try
        {
            return Now(question());
        }
        catch (DatException broken)
        {
            Oracle.That(broken.Error is DatError.Corrupt or DatError.Unsupported or DatError.NotFound or DatError.Offline or DatError.Io, $"a reason, not {broken}");
            return default;
        }
    }

    private static T Now<T>(ValueTask<T> task)
    {
        Task<T> all = task.AsTask();
        try
        {
            Oracle.That(all.Wait(TimeSpan.FromSeconds(20)), "an end");
        }
        catch (AggregateException)
        {
            // Its reason is thrown by the next line.
        }

        return all.GetAwaiter().GetResult();
    }

    private static void Now(ValueTask task) => Await(task);

    private static void Await(ValueTask task) => Oracle.That(task.AsTask().Wait(TimeSpan.FromSeconds(20)), "an end");

    private static void Await<T>(ValueTask<T> task) => Now(task);

    private static Feed NewFeed(SecretKey? secret)
    {
        if (secret is null) return Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = FeedKey.From(new byte[FeedKey.Size]), Time = new FrozenTime() });
        byte[] bytes = new byte[SecretKey.Size];
        secret.CopyTo(bytes);
        return Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = secret.PublicKey, SecretKey = bytes, Time = new FrozenTime() });
    }

    private static List<ReadOnlyMemory<byte>> Blocks(ReadOnlySpan<byte> input, FeedKey content)
    {
        InputReader reader = new(input);
        List<ReadOnlyMemory<byte>> blocks = [HyperCodec.EncodeHeader(content.ToArray())];
        while (blocks.Count <= MostNodes && !reader.IsEmpty)
        {
            int flags = reader.Byte();
            blocks.Add((flags & Raw) != 0 ? reader.Chunk().ToArray() : Node(ref reader, flags, blocks.Count));
        }

        return blocks;
    }

    private static byte[] Node(ref InputReader reader, int flags, long seq)
    {
        string name = System.Text.Encoding.UTF8.GetString(reader.Chunk());
        byte[]? value = (flags & Put) != 0 ? reader.Chunk().ToArray() : null;
        if ((flags & BrokenStat) != 0) value = [0xFF];
        long[][] levels = new long[reader.Byte() % 8][];
        for (int depth = 0; depth < levels.Length; depth++)
        {
            SortedSet<long> level = [];
            for (int count = reader.Byte() % 16; count > 0; count--) level.Add(Math.Max(1, seq - reader.Byte() % (seq + 1)));
            levels[depth] = [.. level];
        }

        return HyperCodec.EncodeNode(seq, name, value, levels);
    }

    // Levels as how far back from the node itself each representative lies.
    private static byte[] Nodes(params (string Name, byte[]? Value, int[][] Levels)[] nodes)
    {
        InputWriter input = new();
        foreach ((string name, byte[]? value, int[][] levels) in nodes)
        {
            input.Byte(value is null ? 0 : Put).Chunk(System.Text.Encoding.UTF8.GetBytes(name));
            if (value is not null) input.Chunk(value);
            input.Byte(levels.Length);
            foreach (int[] level in levels)
            {
                input.Byte(level.Length);
                foreach (int back in level) input.Byte(back);
            }
        }

        return input.ToArray();
    }
}
