using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// Takes blocks from a folder on this machine before any peer is asked. The folder is one more peer: what it holds comes with its proof and
/// is verified like anything that arrives (hyperdrive.md §6.2).
/// </summary>
internal sealed class FolderSource(Feed into, FolderFeed from, IBlockSource? next) : IBlockSource
{
    /// <summary>Copies a block if the folder has it; false when it has to come from elsewhere.</summary>
    public async ValueTask<bool> CopyAsync(long index, CancellationToken ct)
    {
        if (into.HasBlock(index)) return true;
        ulong digest = into.DigestFor(index);
        (Proof Proof, BlockLease Lease)? offered = from.Ask(feed =>
            feed.HasBlock(index) && feed.TryProve(index, digest, false, new RemoteTree(), out Proof proof, out BlockLease lease) ? (proof, lease) : ((Proof, BlockLease)?)null);
        if (offered is not { } offer) return false;
        using (offer.Lease) await into.AcceptAsync(offer.Proof, ct);
        return into.HasBlock(index);
    }

    /// <summary>Learns the folder's length, as far as its newest blocks are held there.</summary>
    public async ValueTask CatchUpAsync(CancellationToken ct)
    {
        long newest = from.Ask(feed => feed.Length) - 1;
        if (newest >= into.Length) await CopyAsync(newest, ct);
    }

    public async ValueTask FetchAsync(long index, FetchPriority priority, CancellationToken ct)
    {
        if (await CopyAsync(index, ct)) return;
        await Next($"Block {index} is not in the folder").FetchAsync(index, priority, ct);
    }

    public async ValueTask FetchOffsetAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct)
    {
        long block = from.Ask(feed =>
        {
            (long first, long last) = (start, end);
            return feed.TrySeek(byteOffset, ref first, ref last, out _) ? first + 1 : 0;
        }) - 1;
        if (block >= 0 && await CopyAsync(block, ct)) return;
        await Next($"The place of byte {byteOffset} is not in the folder").FetchOffsetAsync(byteOffset, start, end, priority, ct);
    }

    public async ValueTask FetchLengthAsync(long minLength, FetchPriority priority, CancellationToken ct)
    {
        await CatchUpAsync(ct);
        if (into.Length < minLength) await Next("The folder has no more").FetchLengthAsync(minLength, priority, ct);
    }

    public IDisposable Download(long start, long end, DownloadOrder order, FetchPriority priority) => new CopyRange(this, start, end, order, next?.Download(start, end, order, priority));

    private IBlockSource Next(string what) => next ?? throw new DatException(DatError.Offline, what + ", and there is no peer to ask.");

    /// <summary>What the folder has of a range is copied once; what it gets later is found when it is read.</summary>
    private sealed class CopyRange : IDisposable
    {
        private readonly CancellationTokenSource _end = new();
        private readonly IDisposable? _rest;

        public CopyRange(FolderSource source, long start, long end, DownloadOrder order, IDisposable? rest)
        {
            _rest = rest;
            CancellationToken ct = _end.Token;
            _ = Task.Run(() => CopyAsync(source, start, end, order, ct), CancellationToken.None);
        }

        public void Dispose()
        {
            _end.Cancel();
            _rest?.Dispose();
        }

        private static async Task CopyAsync(FolderSource source, long start, long end, DownloadOrder order, CancellationToken ct)
        {
            try
            {
                end = Math.Min(end, source.LengthThere);
                for (long i = start; i < end && !ct.IsCancellationRequested; i++)
                    await source.CopyAsync(order == DownloadOrder.NewestFirst ? end - 1 - (i - start) : i, ct);
            }
            catch (Exception ended) when (ended is OperationCanceledException or ObjectDisposedException or DatException)
            {
                // Whoever reads a block that is missing now meets the reason himself.
            }
        }
    }

    private long LengthThere => from.Ask(feed => feed.Length);
}
