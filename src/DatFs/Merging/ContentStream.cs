using DatFs.Drives;
using DatFs.Feeds;

namespace DatFs.Merging;

/// <summary>A file of a drive from its first byte to its last. Only asynchronous reading: bytes may have to come from peers.</summary>
internal sealed class ContentStream(IFileContent content) : Stream
{
    private long _at;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.IsEmpty || _at >= content.Size) return 0;
        using ContentLease piece = await content.ReadAsync(_at, buffer.Length, FetchPriority.Interactive, cancellationToken);
        if (piece.Data.IsEmpty) throw new DatException(DatError.Corrupt, "a file is shorter than its entry says");
        System.Buffers.BuffersExtensions.CopyTo(piece.Data, buffer.Span);
        _at += piece.Data.Length;
        return (int)piece.Data.Length;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
