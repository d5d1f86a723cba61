using DatFs.Feeds;

namespace DatFs.Unit;

/// <summary>A source that answers each question for a block or a byte in one way.</summary>
internal sealed class FixedSource(Func<long, ValueTask<ProofOutcome>> fetch, Func<long, long, long, ValueTask>? fetchOffset = null) : IBlockSource
{
    public async ValueTask FetchAsync(long index, FetchPriority priority, CancellationToken ct) => await fetch(index);

    public ValueTask FetchOffsetAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct) =>
        fetchOffset is null ? throw new DatException(DatError.Offline, "nobody knows") : fetchOffset(byteOffset, start, end);

    public async ValueTask FetchLengthAsync(long minLength, FetchPriority priority, CancellationToken ct) => await fetch(minLength - 1);

    public IDisposable Download(long start, long end, DownloadOrder order, FetchPriority priority) => throw new NotSupportedException("nothing is downloaded in the background");
}
