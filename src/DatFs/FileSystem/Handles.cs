using System.Buffers;
using DatFs.Drives;
using DatFs.Feeds;

namespace DatFs.FileSystem;

/// <summary>What all open files have in common: they hold their node, and nothing can be written through them.</summary>
internal abstract class ReadOnlyHandle(DatFileSystem owner, Node node) : IFileHandle
{
    private int _closed;

    public NodeId Node => node.Id;

    public abstract bool DirectIo { get; }

    public abstract ValueTask<Result<ReadLease>> ReadAsync(long offset, int length, CancellationToken ct);

    public ValueTask<Result<int>> WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken ct) => new(FsError.ReadOnly);

    public ValueTask<FsError> FlushAsync(CancellationToken ct) => new(FsError.None);

    public ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _closed, 1) == 0) owner.Close(node);
        return ValueTask.CompletedTask;
    }
}

/// <summary>An open file of the drive: the bytes of the entry it was opened on, whatever happens to the name (hyperdrive.md §8).</summary>
internal sealed class FileHandle(DatFileSystem owner, Node node, IFileContent content, Patience patience) : ReadOnlyHandle(owner, node)
{
    private readonly ReadAhead _ahead = new(content);

    public override bool DirectIo => false;

    public override ValueTask<Result<ReadLease>> ReadAsync(long offset, int length, CancellationToken ct)
    {
        if (offset < 0 || length < 0) return new(FsError.Invalid);
        if (length == 0 || offset >= content.Size) return new(new ReadLease(ReadOnlySequence<byte>.Empty, null));
        ValueTask<Result<ContentLease>> read = patience.RunAsync((content, offset, length), static (s, token) =>
            s.content.ReadAsync(s.offset, s.length, FetchPriority.Interactive, token), ct, static late => late.Dispose());
        // After the read itself, which goes first on the wire.
        _ahead.Reading(offset, length, waits: !read.IsCompleted);
        return read.IsCompletedSuccessfully ? new(Lease(read.Result)) : AwaitAsync(read);
    }

    private static async ValueTask<Result<ReadLease>> AwaitAsync(ValueTask<Result<ContentLease>> read) => Lease(await read);

    private static Result<ReadLease> Lease(in Result<ContentLease> read) => read.Ok ? new ReadLease(read.Value.Data, read.Value.Owner) : read.Error;
}

/// <summary>An open generated file: its text was made when it was opened.</summary>
internal sealed class GeneratedHandle(DatFileSystem owner, Node node, byte[] content) : ReadOnlyHandle(owner, node)
{
    public int Length => content.Length;

    public override bool DirectIo => true;

    public override ValueTask<Result<ReadLease>> ReadAsync(long offset, int length, CancellationToken ct)
    {
        if (offset < 0 || length < 0) return new(FsError.Invalid);
        int start = (int)Math.Min(offset, content.Length);
        int count = Math.Min(length, content.Length - start);
        return new(new ReadLease(new ReadOnlySequence<byte>(content, start, count), null));
    }
}
