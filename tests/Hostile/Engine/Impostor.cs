using System.Threading.Channels;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatMount.Hostile;

/// <summary>
/// An attacker that the program dialled. It serves the archive's metadata as an honest peer does, so that there is something to read, and leaves
/// the content feed to the script: what to announce, what to answer.
/// </summary>
internal sealed class Impostor : IAsyncDisposable
{
    /// <summary>The number under which the content feed is opened from this side.</summary>
    public const int ContentChannel = 1;

    private readonly Ambush _ambush;
    private readonly Feed _metadata;
    private readonly RemoteTree _tree = new();
    private readonly Channel<RequestMessage> _asked = Channel.CreateUnbounded<RequestMessage>();
    private readonly Dictionary<int, DiscoveryKey> _channels = [];
    private readonly Task _serving;

    private Impostor(Ambush ambush, Raider raider, Feed metadata)
    {
        (_ambush, Raider, _metadata) = (ambush, raider, metadata);
        _serving = Task.Run(ServeAsync);
    }

    public Raider Raider { get; }

    /// <summary>Takes the next connection that the program makes.</summary>
    public static async Task<Impostor> BeginAsync(Ambush ambush, CraftedFolder drive, byte[]? id = null)
    {
        Raider raider = await ambush.MeetAsync(id);
        await raider.GreetAsync();
        await raider.OpenAsync(ContentChannel, drive.Content.Key);
        return new Impostor(ambush, raider, drive.Metadata);
    }

    /// <summary>Announces one block of the content feed.</summary>
    public Task AnnounceAsync(long block) => Raider.SendAsync(Scripts.Have((ulong)block, channel: ContentChannel));

    /// <summary>Waits until the program asks for a block of the content feed, or for its hash; what else it asks is not answered.</summary>
    public async Task<RequestMessage> AskedAsync(long block, bool hash)
    {
        using CancellationTokenSource patience = new(Raider.Patience);
        List<RequestMessage> others = [];
        try
        {
            while (true)
            {
                RequestMessage request = await _asked.Reader.ReadAsync(patience.Token);
                if (request.Index == block && request.Hash == hash) return request;
                others.Add(request);
            }
        }
        catch (Exception e) when (e is ChannelClosedException or OperationCanceledException)
        {
            throw new TimeoutException($"block {block} (hash {hash}) was not asked of {Raider.Name}, only: {string.Join(", ", others)}; the log:\n{_ambush.Log}", e);
        }
    }

    public Task AnswerAsync(byte[] data) => Raider.SendAsync(ContentChannel, FrameType.Data, data);

    public async ValueTask DisposeAsync()
    {
        await Raider.DisposeAsync();
        await _serving;
    }

    private async Task ServeAsync()
    {
        await foreach (HeardFrame frame in Raider.HearAllAsync())
        {
            if (frame.Type == FrameType.Feed && MessageCodec.TryDecodeFeed(frame.Body, out DiscoveryKey opened, out _)) _channels[frame.Channel] = opened;
            if (frame.Channel == 0 || _channels.GetValueOrDefault(frame.Channel) == _metadata.DiscoveryKey) await ServeMetadataAsync(frame);
            else if (frame.Type == FrameType.Request && MessageCodec.TryDecode(frame.Body, out RequestMessage request)) _asked.Writer.TryWrite(request);
        }

        _asked.Writer.TryComplete();
    }

    private async Task ServeMetadataAsync(HeardFrame frame)
    {
        if (frame.Type == FrameType.Want && MessageCodec.TryDecode(frame.Body, out WantMessage want))
            await Raider.SendAsync(0, FrameType.Have, MessageCodec.Encode(new HaveMessage(want.Start, want.Length, _metadata.EncodeHave(want.Start, Math.Max(0, _metadata.Length - want.Start)), false)));
        if (frame.Type != FrameType.Request || !MessageCodec.TryDecode(frame.Body, out RequestMessage request)) return;
        if (!_metadata.TryProve(request.Index, request.Nodes, request.Hash, _tree, out Proof proof, out BlockLease lease)) return;
        byte[] body = RawPeer.Body(proof);
        lease.Dispose();
        await Raider.SendAsync(0, FrameType.Data, body);
    }
}
