using System.Buffers;
using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Feeds;
using DatFs.Merging;

namespace DatFs.Unit;

/// <summary>Sides of conflicts as tests write them down: a key of one repeated byte, a text, a time.</summary>
internal static class MergeFixture
{
    public static FeedKey Key(byte of) => FeedKey.From(Enumerable.Repeat(of, FeedKey.Size).ToArray());

    public static MergeSide Side(byte key, string text, long mtime = 1000, long seq = 1, bool own = false) =>
        Side(key, System.Text.Encoding.UTF8.GetBytes(text), mtime, seq, own);

    public static MergeSide Side(byte key, byte[] bytes, long mtime = 1000, long seq = 1, bool own = false) =>
        new(new DriveSide(Key(key), seq, false, bytes.Length, mtime), EntryKind.File, 0x1A4, new MemoryContent(bytes)) { IsOwn = own };

    public static MergeSide Deletion(byte key, long seq = 1) => new(new DriveSide(Key(key), seq, true, 0, 0), EntryKind.File, 0, null);

    public static MergeSide Directory(byte key, long mtime = 1000) => new(new DriveSide(Key(key), 1, false, 0, mtime), EntryKind.Directory, 0x1ED, null);

    public static MergeSide Link(byte key, long mtime = 1000) => new(new DriveSide(Key(key), 1, false, 3, mtime), EntryKind.Symlink, 0x1FF, null);

    public static MergeBase Base(string text) => MergeBase.Of(new MemoryContent(System.Text.Encoding.UTF8.GetBytes(text)));

    public static string? TextOf(MergeOutcome outcome) => outcome.Bytes is { } bytes ? System.Text.Encoding.UTF8.GetString(bytes.Span) : null;

    /// <summary>A file in memory.</summary>
    internal sealed class MemoryContent(byte[] bytes, long? claimed = null) : IFileContent
    {
        public int Reads { get; private set; }

        public DatException? Failure { get; init; }

        public long Size => claimed ?? bytes.Length;

        public long Blocks => 1;

        public ValueTask<ContentLease> ReadAsync(long offset, int length, FetchPriority priority, CancellationToken ct)
        {
            ct.ThrowIfCancellationRequested();
            Reads++;
            if (Failure is not null) throw Failure;
            int at = (int)Math.Min(offset, bytes.Length);
            return ValueTask.FromResult(new ContentLease(new ReadOnlySequence<byte>(bytes, at, Math.Min(length, bytes.Length - at)), null));
        }

        public void Prefetch(long offset, long length, FetchPriority priority)
        {
        }

        public long LocalBytes() => bytes.Length;
    }
}
