using DatFs.Drives;
using DatFs.Feeds;

namespace DatFs.Merging;

/// <summary>Reads files whole, where they are small enough. What a size claims is compared, not allocated.</summary>
internal static class WholeContent
{
    private const int PieceSize = 256 * 1024;

    public static async ValueTask<byte[]?> ReadAsync(IFileContent? content, int limit, CancellationToken ct)
    {
        using MemoryStream bytes = new();
        return await CopyToAsync(content, bytes, limit, ct) ? bytes.ToArray() : null;
    }

    public static async ValueTask<bool> CopyToAsync(IFileContent? content, Stream into, long limit, CancellationToken ct)
    {
        if (content is null) return true;
        if (content.Size > limit) return false;
        for (long at = 0; at < content.Size;)
        {
            using ContentLease piece = await content.ReadAsync(at, PieceSize, FetchPriority.Interactive, ct);
            if (piece.Data.IsEmpty) throw new DatException(DatError.Corrupt, "a file is shorter than its entry says");
            foreach (ReadOnlyMemory<byte> part in piece.Data) await into.WriteAsync(part, ct);
            at += piece.Data.Length;
        }

        return true;
    }
}
