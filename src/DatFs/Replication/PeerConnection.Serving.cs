using DatFs.Feeds;
using DatFs.Wire;

namespace DatFs.Replication;

// Answering requests: taken in by the read loop, answered by a task of its own, so that both sides of a connection can download at once.
internal sealed partial class PeerConnection
{
    private const long HashAnswerBytes = 4 * 1024;

    private readonly ServeQueue _serve = new();
    private readonly AnswerCounts _answered = new();

    public ValueTask OnRequestAsync(WireChannel channel, RequestMessage message)
    {
        PeerChannel? state;
        lock (owner.Gate) state = Of(channel);
        if (state is null || state.Feed.Frozen || state.Feed.Left) return ValueTask.CompletedTask;
        long size = message.Hash ? HashAnswerBytes : state.Feed.Feed.TryGetSize(message.Index, out long known) ? known : HashAnswerBytes;
        return _serve.AddAsync(new ServeItem(state, message, size));
    }

    public ValueTask OnCancelAsync(WireChannel channel, CancelMessage message)
    {
        PeerChannel? state;
        lock (owner.Gate) state = Of(channel);
        if (state is not null) _serve.Cancel(state, message);
        return ValueTask.CompletedTask;
    }

    private async Task ServeAsync(CancellationToken ct)
    {
        await ServeAllAsync(ct);

        // The read loop may wait for room in the queue, which nobody makes any more.
        _serve.Close();
    }

    private async Task ServeAllAsync(CancellationToken ct)
    {
        while (await _serve.TakeAsync() is { } item)
        {
            try
            {
                if (item.Want is { } want) Answer(item.Channel, want);
                else Serve(item.Channel, item.Request);
                owner.Budget.Weigh(this);
                await Wire.DrainAsync(ct);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (ObjectDisposedException) when (item.Channel.Feed.Left)
            {
                // The feed was closed while its block was being read; the other feeds of this connection go on.
                continue;
            }
            catch (Exception e)
            {
                ReplicationLog.NotServed(owner.Log, Address, item.Channel.Feed.Feed.DiscoveryKey, item.Request.Index, e);
                Wire.Close(e);
                return;
            }
        }
    }

    private void Serve(PeerChannel channel, RequestMessage request)
    {
        Feed feed = channel.Feed.Feed;
        long index = request.Index;
        ulong digest = request.Nodes;
        if (request.Bytes > 0 && request.Bytes < feed.ByteLength)
        {
            long start = 0;
            long end = feed.Length;
            if (feed.TrySeek(request.Bytes, ref start, ref end, out _))
            {
                if (channel.LastSeekAnswered == request.Bytes) return;
                channel.LastSeekAnswered = request.Bytes;
                (index, digest) = (start, 0);
            }
        }

        if (_answered.IsTooMany(channel.Feed, index, owner.NowMs)) return;
        bool announced = feed.HasBlock(index);
        if (!feed.TryProve(index, digest, request.Hash, channel.Tree, out Proof proof, out BlockLease lease))
        {
            // Announced once and gone since, or never: the peer had better ask somebody else (§3.6).
            if (!announced) Misbehaved("the peer asks for blocks that were not announced");
            channel.Wire.Send(new UnhaveMessage(index, 1));
            return;
        }

        using (lease) channel.Wire.Send(proof);
        if (proof.Value is not { } value) return;
        lock (owner.Gate)
        {
            channel.Served(index);
            channel.Feed.CountUpload(value.Length);
        }
    }
}
