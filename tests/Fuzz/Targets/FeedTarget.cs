using DatFs;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// The six files of a feed, damaged or made up, opened as their owner, as a reader, and where nothing may be written. What was opened can be read, proved
/// and appended to, and is the same when it is opened again. The first byte says how it is opened; then each file is a chunk of pieces, each with the gap
/// in front of it, so that a few bytes describe large files with holes.
/// </summary>
internal sealed class FeedTarget : IFuzzTarget
{
    private const int ReadOnly = 1;
    private const int VerifyReads = 2;
    private const int NamesKey = 4;
    private const int CreatesKey = 8;
    private const int Appends = 16;
    private const int OldPages = 32;

    private const long MostReads = 20_000;
    private const int BlocksTried = 40;

    // As long as a row of zeros has to be to be worth a gap.
    private const int Hole = 24;

    private static readonly string[] s_names = ["key", "secret_key", "data", "tree", "signatures", "bitfield"];

    // Far enough for every number that is read from a file, and near enough to read a whole file of holes.
    private static readonly long[] s_limits = [1024, 1024, 1L << 44, 1L << 44, 4L << 20, 2L << 20];

    public string Name => "feed";

    public int MaxLength => 12 * 1024;

    public long AllocationLimit(int inputLength) => 24 * 1024 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
        [[0x05, 0x02, 0x57, 0x00, 0x00, 0x0E, 0x00], [0x05, 0x02, 0x57, 0x00, 0x00, 0x0D, 0x00], [0x05, 0x02, 0x57, 0x02, 0x00, 0x00, 0x28, 0x07], [0, 0, 0, 0, 0, 0, 0, 0x0A], [0xFF, 0xFF, 0xFF]];

    public IEnumerable<byte[]> Corpus()
    {
        int mode = 0;
        foreach (string folder in Directory.EnumerateDirectories(Vectors.PathOf("hypercore/feeds")).Order(StringComparer.Ordinal).Append(Vectors.PathOf("hyperdrive/basic/archive/metadata")))
        {
            byte[] files = Pack(name => File.Exists(Path.Combine(folder, name)) ? File.ReadAllBytes(Path.Combine(folder, name)) : null);
            if (files.Length >= MaxLength) continue;
            yield return [(byte)(VerifyReads | Appends), .. files];
            yield return [(byte)(mode++ % 64), .. files];
        }

        yield return [CreatesKey | Appends];
        yield return [NamesKey];
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int mode = reader.Byte();
        MemoryFolder folder = new();
        for (int i = 0; i < s_names.Length && !reader.IsEmpty; i++) Unpack(folder, s_names[i], s_limits[i], reader.Chunk());
        CountingFolder counting = new(folder);
        if (Open(counting, mode) is not { } feed) return;
        (FeedKey Key, long Length, long Bytes) first;
        try
        {
            first = (feed.Key, feed.Length, feed.ByteLength);
            Use(feed);
            if ((mode & Appends) != 0) first = Append(feed, first);
        }
        finally
        {
            Await(feed.DisposeAsync());
        }

        Oracle.That(counting.Reads <= MostReads, "reads have a bound");
        if (Open(counting, mode & ~CreatesKey, first.Key) is not { } again) throw new BrokenPromiseException("what was opened once is opened again");
        Oracle.Equal((again.Key, again.Length, again.ByteLength), first, "the feed, opened again");
        Await(again.DisposeAsync());
    }

    private static Feed? Open(IStorageFolder folder, int mode, FeedKey? key = null)
    {
        try
        {
            return Feed.Open(new FeedFiles(folder), new FeedOptions
            {
                Key = key ?? ((mode & NamesKey) != 0 ? FeedKey.From(new byte[FeedKey.Size]) : null),
                CreateKeyPair = (mode & CreatesKey) != 0,
                ReadOnly = (mode & ReadOnly) != 0,
                VerifyReads = (mode & VerifyReads) != 0,
                BitfieldEntrySize = (mode & OldPages) != 0 ? SleepHeader.OldBitfieldEntry : SleepHeader.BitfieldEntry,
                Time = new FrozenTime(),
            });
        }
        catch (DatException refused)
        {
            Oracle.That(refused.Error is DatError.NotFound or DatError.KeyMismatch or DatError.Corrupt or DatError.Unsupported or DatError.Io, $"a reason for refusing files, not {refused}");
            return null;
        }
    }

    private static void Use(Feed feed)
    {
        Oracle.That(feed.Length is >= 0 and <= ProofVerifier.MaxLength && feed.ByteLength >= 0, "a length within bounds");
        Oracle.That(feed.HeldBlocks >= 0 && feed.LostBlocks >= 0, "counts within bounds");
        RemoteTree remote = new();
        for (int i = 0; i < BlocksTried; i++)
        {
            long block = i < BlocksTried - 4 ? i : feed.Length - (BlocksTried - i);
            if (block < 0) continue;
            try
            {
                Use(feed, block, remote);
            }
            catch (DatException damaged)
            {
                Oracle.That(damaged.Error is DatError.Corrupt or DatError.Io, $"a reason for damage, not {damaged}");
            }
        }

        Oracle.Equal(feed.FirstMissing(0, feed.Length) > feed.Length, false, "the first missing block");
        _ = feed.EncodeHave(0, 1 << 20);
    }

    private static void Use(Feed feed, long block, RemoteTree remote)
    {
        bool held = feed.HasBlock(block);
        bool read = feed.TryRead(block, out BlockLease lease);
        using (lease)
        {
            Oracle.That(held || !read, "only what is held is read");
            Oracle.That(!read || lease.Memory.Length <= ProofVerifier.MaxBlockSize, "a block within its bound");
        }

        if (feed.TryGetOffset(block, out long offset)) Oracle.That(offset >= 0, "a position");
        if (feed.TryGetSize(block, out long size)) Oracle.That(size >= 0, "a size");
        long start = 0, end = feed.Length;
        if (feed.TrySeek(offset, ref start, ref end, out long within)) Oracle.That(within >= 0 && end == start + 1, "a found byte");
        if (!feed.TryProve(block, feed.DigestFor(block + 1), hashOnly: !held, remote, out Proof proof, out BlockLease backing)) return;
        backing.Dispose();
        Oracle.That(proof.Nodes.Count <= ProofVerifier.MaxNodes, "a proof within its bound");
    }

    private static (FeedKey Key, long Length, long Bytes) Append(Feed feed, (FeedKey Key, long Length, long Bytes) before)
    {
        try
        {
            Await(feed.AppendAsync([new byte[] { 1, 2, 3 }, Array.Empty<byte>()], CancellationToken.None));
        }
        catch (DatException refused)
        {
            Oracle.That(refused.Error is DatError.NotWritable or DatError.Corrupt or DatError.Io or DatError.Forked or DatError.Invalid, $"a reason for not appending, not {refused}");
            return (before.Key, feed.Length, feed.ByteLength);
        }

        Oracle.Equal((feed.Length, feed.ByteLength), (before.Length + 2, before.Bytes + 3), "two blocks more");
        Oracle.That(feed.TryRead(before.Length, out BlockLease block), "what was appended is read");
        using (block) Oracle.Same(block.Memory.Span, [1, 2, 3], "what was appended");
        return (feed.Key, feed.Length, feed.ByteLength);
    }

    // Nothing here waits: the clock stands still and the files lie in memory.
    private static void Await(ValueTask task) => Oracle.That(task.AsTask().Wait(TimeSpan.FromSeconds(20)), "an end");

    private static void Await<T>(ValueTask<T> task) => task.AsTask().GetAwaiter().GetResult();

    private static byte[] Pack(Func<string, byte[]?> read)
    {
        InputWriter files = new();
        foreach (string name in s_names)
        {
            InputWriter pieces = new();
            byte[] bytes = read(name) ?? [];
            int done = 0;
            for (int at = 0; at < bytes.Length;)
            {
                int hole = bytes.AsSpan(at).IndexOf(new byte[Hole]);
                int end = hole < 0 ? bytes.Length : at + hole;
                if (end > at) pieces.Number(at - done).Chunk(bytes.AsSpan(at, end - at));
                if (end > at) done = end;
                int next = bytes.AsSpan(end).IndexOfAnyExcept((byte)0);
                at = next < 0 ? bytes.Length : end + next;
            }

            if (done < bytes.Length) pieces.Number(bytes.Length - done);
            files.Chunk(pieces.ToArray());
        }

        return files.ToArray();
    }

    private static void Unpack(MemoryFolder folder, string name, long limit, ReadOnlySpan<byte> pieces)
    {
        if (pieces.IsEmpty) return;
        InputReader reader = new(pieces);
        using IRandomAccessFile file = folder.Open(name, FileUse.ReadWrite)!;
        long at = 0;
        while (!reader.IsEmpty)
        {
            at = Math.Min(limit, at + reader.Number());
            ReadOnlySpan<byte> bytes = reader.Chunk();
            file.Write(at, bytes);
            at += bytes.Length;
        }

        file.SetLength(at);
    }
}
