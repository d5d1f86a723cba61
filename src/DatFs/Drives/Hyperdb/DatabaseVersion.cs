using DatFs.Crypto;
using DatFs.Encoding;

namespace DatFs.Drives.Hyperdb;

/// <summary>The bytes that name a version (hyperdb-multiwriter.md §11): for each head the writer's key, then its block.</summary>
internal static class DatabaseVersion
{
    public static byte[] Format(IEnumerable<DatabaseEntry> heads)
    {
        using MemoryStream bytes = new();
        Span<byte> number = stackalloc byte[Varint.MaxBytes];
        foreach (DatabaseEntry head in heads)
        {
            bytes.Write(head.Writer.ToArray());
            bytes.Write(number[..Varint.Write(number, (ulong)head.Seq)]);
        }

        return bytes.ToArray();
    }

    /// <exception cref="DatException">Invalid.</exception>
    public static List<(FeedKey Writer, long Seq)> Parse(ReadOnlySpan<byte> version)
    {
        List<(FeedKey Writer, long Seq)> heads = [];
        HashSet<FeedKey> seen = [];
        while (!version.IsEmpty)
        {
            if (version.Length <= FeedKey.Size || heads.Count >= EntryCodec.MaxWriters) throw NoVersion();
            FeedKey writer = FeedKey.From(version[..FeedKey.Size]);
            version = version[FeedKey.Size..];
            if (!Varint.TryRead(ref version, out ulong seq) || seq == 0 || !seen.Add(writer)) throw NoVersion();
            heads.Add((writer, (long)seq));
        }

        return heads;
    }

    private static DatException NoVersion() => new(DatError.Invalid, "this names no version of a multi-writer drive: writers' keys, each with a number, are needed");
}
