using System.Collections.Concurrent;
using DatFs.Feeds;
using FluentAssertions;

namespace DatFs.Unit;

/// <summary>Gives a feed what another one holds, and counts. Without <see cref="Answers"/> a question stays open until it is cancelled or <see cref="AnswerAsync"/>.</summary>
internal sealed class GivingSource(Feed from, Feed to) : IBlockSource
{
    private readonly ConcurrentDictionary<long, TaskCompletionSource> _open = new();
    private readonly ConcurrentQueue<long> _fetched = new();
    private readonly List<(long Start, long End, FetchPriority Priority)> _ranges = [];

    public bool Answers { get; set; } = true;

    /// <summary>Blocks asked for one by one, in order.</summary>
    public IReadOnlyCollection<long> Fetched => _fetched;

    /// <summary>Questions without an answer.</summary>
    public ICollection<long> Open => _open.Keys;

    /// <summary>Ranges being downloaded.</summary>
    public IReadOnlyList<(long Start, long End, FetchPriority Priority)> Ranges
    {
        get
        {
            lock (_ranges) return [.. _ranges];
        }
    }

    public async ValueTask FetchAsync(long index, FetchPriority priority, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        _fetched.Enqueue(index);
        if (Answers) await GiveAsync(index);
        else
        {
            try
            {
                await _open.GetOrAdd(index, _ => new(TaskCreationOptions.RunContinuationsAsynchronously)).Task.WaitAsync(ct);
            }
            catch (OperationCanceledException)
            {
                _open.TryRemove(index, out _);
                throw;
            }
        }
    }

    public async ValueTask FetchOffsetAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct)
    {
        for (long block = start; block < Math.Min(end, from.Length); block++) await GiveAsync(block);
        if (start >= from.Length) throw new DatException(DatError.Offline, "nobody has it");
    }

    public async ValueTask FetchLengthAsync(long minLength, FetchPriority priority, CancellationToken ct)
    {
        if (from.Length >= minLength) await GiveAsync(from.Length - 1);
        else throw new DatException(DatError.Offline, "nobody has more");
    }

    public IDisposable Download(long start, long end, DownloadOrder order, FetchPriority priority)
    {
        lock (_ranges) _ranges.Add((start, end, priority));
        return new Range(this, (start, end, priority));
    }

    /// <summary>Stores a block, whether it was asked for or not.</summary>
    public async Task GiveAsync(long index)
    {
        if (index >= from.Length) throw new DatException(DatError.Offline, "nobody has it");
        if (to.HasBlock(index)) return;
        from.TryProve(index, to.DigestFor(index), hashOnly: false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
        using (lease) (await to.AcceptAsync(proof, CancellationToken.None)).Should().BeOneOf(ProofOutcome.Accepted, ProofOutcome.AcceptedLonger, ProofOutcome.AlreadyHeld);
    }

    /// <summary>Answers a question that is open.</summary>
    public async Task AnswerAsync(long index)
    {
        await GiveAsync(index);
        if (_open.TryRemove(index, out TaskCompletionSource? waiting)) waiting.TrySetResult();
    }

    private sealed class Range(GivingSource source, (long, long, FetchPriority) range) : IDisposable
    {
        public void Dispose()
        {
            lock (source._ranges) source._ranges.Remove(range);
        }
    }
}
