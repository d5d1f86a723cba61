using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// Takes blocks from a folder on this machine before any peer is asked. The folder is one more peer: what it holds comes with its proof and
/// is verified like anything that arrives (hyperdrive.md §6.2).
/// </summary>
internal abstract class FolderSource(Feed into, FolderFeed from, IBlockSource? next) : IBlockSource
{
    /// <summary>The feed that is filled.</summary>
    protected Feed Into => into;

    /// <summary>The feed in the folder.</summary>
    protected FolderFeed From => from;

    /// <summary>Takes a block if the folder has it; false when it has to come from elsewhere.</summary>
    public abstract ValueTask<bool> TakeAsync(long index, CancellationToken ct);

    /// <summary>Takes everything the folder has, the newest first.</summary>
    public abstract ValueTask TakeAllAsync(CancellationToken ct);

    /// <summary>Learns the folder's length, as far as its newest blocks are known there.</summary>
    public abstract ValueTask CatchUpAsync(CancellationToken ct);

    public async ValueTask FetchAsync(long index, FetchPriority priority, CancellationToken ct)
    {
        if (await TakeAsync(index, ct)) return;
        await Next($"block {index} is not in the folder, or was changed there").FetchAsync(index, priority, ct);
    }

    public async ValueTask FetchOffsetAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct)
    {
        long block = from.Ask(feed =>
        {
            (long first, long last) = (start, end);
            return feed.TrySeek(byteOffset, ref first, ref last, out _) ? first + 1 : 0;
        }) - 1;
        if (block >= 0 && await TakeAsync(block, ct)) return;
        await Next($"the place of byte {byteOffset} is not in the folder").FetchOffsetAsync(byteOffset, start, end, priority, ct);
    }

    public async ValueTask FetchLengthAsync(long minLength, FetchPriority priority, CancellationToken ct)
    {
        await CatchUpAsync(ct);
        if (into.Length < minLength) await Next("the folder has no more").FetchLengthAsync(minLength, priority, ct);
    }

    /// <summary>What the folder has of a range is taken first; peers are asked for the rest.</summary>
    public IDisposable Download(long start, long end, DownloadOrder order, FetchPriority priority) => new Taking(this, start, end, order, priority);

    /// <summary>Asks the folder for the proof of a block and verifies it; true when it was accepted, or brought nothing new.</summary>
    protected async ValueTask<bool> AcceptAsync(long index, bool hashOnly, CancellationToken ct)
    {
        ulong digest = into.DigestFor(index);
        (Proof Proof, BlockLease Lease)? offered = from.Ask(feed =>
            feed.TryProve(index, digest, hashOnly, new RemoteTree(), out Proof proof, out BlockLease lease) ? (proof, lease) : ((Proof, BlockLease)?)null);
        if (offered is not { } offer) return false;
        using (offer.Lease) return await into.AcceptAsync(offer.Proof, ct) is not (ProofOutcome.Rejected or ProofOutcome.Forked);
    }

    private IBlockSource Next(string what) => next ?? throw new DatException(DatError.Offline, what + ", and there is no peer to ask");

    private async ValueTask TakeAsync(long start, long end, DownloadOrder order, CancellationToken ct)
    {
        end = Math.Min(end, from.Ask(feed => feed.Length));
        for (long i = start; i < end; i++)
        {
            ct.ThrowIfCancellationRequested();
            await TakeAsync(order == DownloadOrder.NewestFirst ? end - 1 - (i - start) : i, ct);
        }
    }

    private sealed class Taking : IDisposable
    {
        private readonly Lock _lock = new();
        private readonly CancellationTokenSource _end = new();
        private IDisposable? _rest;

        public Taking(FolderSource source, long start, long end, DownloadOrder order, FetchPriority priority)
        {
            CancellationToken ct = _end.Token;
            _ = Task.Run(() => TakeAsync(source, start, end, order, priority, ct), CancellationToken.None);
        }

        public void Dispose()
        {
            _end.Cancel();
            lock (_lock) _rest?.Dispose();
        }

        private async Task TakeAsync(FolderSource source, long start, long end, DownloadOrder order, FetchPriority priority, CancellationToken ct)
        {
            try
            {
                await source.TakeAsync(start, end, order, ct);
                lock (_lock)
                {
                    if (!ct.IsCancellationRequested) _rest = source.Following?.Download(start, end, order, priority);
                }
            }
            catch (Exception ended) when (ended is OperationCanceledException or ObjectDisposedException or DatException)
            {
                // Whoever reads a block that is missing now meets the reason himself.
            }
        }
    }

    private IBlockSource? Following => next;
}

/// <summary>For a metadata feed: small, and of use without the folder, so its blocks are copied.</summary>
internal sealed class CopyingSource(Feed into, FolderFeed from, IBlockSource? next) : FolderSource(into, from, next)
{
    public override async ValueTask<bool> TakeAsync(long index, CancellationToken ct) =>
        Into.HasBlock(index) || (From.Ask(feed => feed.HasBlock(index)) && await AcceptAsync(index, hashOnly: false, ct) && Into.HasBlock(index));

    public override async ValueTask CatchUpAsync(CancellationToken ct)
    {
        long newest = From.Ask(feed => feed.Length) - 1;
        if (newest >= Into.Length) await TakeAsync(newest, ct);
    }

    public override async ValueTask TakeAllAsync(CancellationToken ct)
    {
        await CatchUpAsync(ct);
        long newest = From.Ask(feed => feed.Length) - 1;
        for (long index = newest; index >= 0; index--)
        {
            ct.ThrowIfCancellationRequested();
            await TakeAsync(index, ct);
        }
    }
}

/// <summary>For a content feed: as big as the user's files, so its blocks stay where they are and are lent.</summary>
internal sealed class LendingSource(Feed into, FolderFeed from, DatFolder folder, IBlockSource? next) : FolderSource(into, from, next)
{
    /// <summary>Blocks that are lent and announced together.</summary>
    public const int RunBlocks = 1024;

    public override async ValueTask<bool> TakeAsync(long index, CancellationToken ct)
    {
        if (Into.HasBlock(index)) return true;
        if (!From.Ask(feed => feed.HasBlock(index)) || !await LearnAsync(index, ct)) return false;
        Into.Lend(index, index + 1, check: true);
        return Into.HasBlock(index);
    }

    public override async ValueTask CatchUpAsync(CancellationToken ct)
    {
        long newest = From.Ask(feed => feed.Length) - 1;
        if (newest >= Into.Length) await LearnAsync(newest, ct);
    }

    public override async ValueTask TakeAllAsync(CancellationToken ct)
    {
        await CatchUpAsync(ct);
        long length = From.Ask(feed => feed.Length);
        foreach (FolderRange range in folder.Lendable(length))
        {
            for (long first = range.Start; Held(first, range.End) is { } run && run.End > run.Start; first = run.End)
            {
                ct.ThrowIfCancellationRequested();
                for (long index = run.Start; index < run.End; index++)
                    if (!Into.HasBlock(index)) await LearnAsync(index, ct);
                Into.Lend(run.Start, run.End, range.MayHaveChanged);
            }
        }
    }

    private (long Start, long End) Held(long start, long end) => From.Ask(feed =>
    {
        long first = feed.FirstHeld(start, end);
        return (first, feed.FirstMissing(first, Math.Min(end, first + RunBlocks)));
    });

    // The leaf and what proves it, without the bytes.
    private async ValueTask<bool> LearnAsync(long index, CancellationToken ct) =>
        Into.HasNode(2 * index) || (await AcceptAsync(index, hashOnly: true, ct) && Into.HasNode(2 * index));
}
