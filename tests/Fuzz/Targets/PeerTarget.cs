using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using DatFs.Unit;
using DatFs.Wire;
using DatMount.Fuzz.Engine;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// Replication with a peer that has the key and says anything: the connection ends for a broken rule or the end of its stream, and the feed holds nothing
/// that the owner did not sign. The first byte cuts the stream, the second says what is held here, what is wanted and who dialled; frames in clear follow
/// the peer's Feed and Handshake. Verification runs on other threads, so the order of what happens may differ from run to run; the promises do not.
/// </summary>
internal sealed class PeerTarget : IFuzzTarget
{
    private const int Holds = 3;
    private const int Downloads = 4;
    private const int Acceptor = 8;
    private const int Finite = 16;
    private const int Acknowledges = 32;

    private static readonly byte[] s_nonce = [.. Enumerable.Repeat<byte>(5, XSalsa20Stream.NonceSize)];
    private static readonly byte[] s_handshake = [6, 0x01, 0x0A, 0x01, 0x70, 0x10, 0x01];
    private static readonly FrozenTime s_time = new();

    private readonly OwnersFeed _owner = new();
    private readonly MemoryFolder[] _stored;

    public PeerTarget() => _stored = [Store(), Store(4, 9), Store(0, 1, 2, 3, 22), Store([.. Enumerable.Range(0, 23)])];

    public string Name => "peer";

    public int MaxLength => 16 * 1024;

    public long AllocationLimit(int inputLength) => 16 * 1024 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
        [[5, 0x03, 8, 0, 0x10, 23], [5, 0x02, 8, 1, 0x10, 1], [7, 0x03, 8, 0, 0x1A, 2, 7, 2, 0xFF], [6, 0x05, 8, 0, 0x10, 0x80, 0x40], [3, 0x07, 8, 4], [5, 0x04, 8, 0, 0x10, 23], [3, 0x08, 8, 4], [7, 0x07, 8, 4, 0x18, 1, 0x20, 1]];

    public IEnumerable<byte[]> Corpus()
    {
        byte[] info = Frame(FrameType.Info, MessageCodec.Encode(new InfoMessage(true, true)));
        byte[] all = Frame(FrameType.Have, MessageCodec.Encode(new HaveMessage(0, 23, null, false)));
        byte[] want = Frame(FrameType.Want, MessageCodec.Encode(new WantMessage(0, 8192)));
        for (int holds = 0; holds <= Holds; holds++)
        {
            byte[] blocks = [.. Enumerable.Range(0, 23).SelectMany(block => Data(holds, block, hash: false))];
            yield return [40, (byte)(holds | Downloads), .. info, .. want, .. all, .. blocks];
            yield return [9, (byte)(holds | Downloads | Acceptor | Acknowledges), .. all, .. Data(holds, 22, hash: true), .. Data(holds, 3, hash: false), .. want];
            yield return [90, (byte)(holds | Finite), .. want, .. info, .. Enumerable.Range(0, 23).SelectMany(block =>
                Frame(FrameType.Request, MessageCodec.Encode(new RequestMessage(block, 0, block % 3 == 0, (ulong)block))))];
        }

        yield return [30, 3, .. want, .. Frame(FrameType.Unhave, MessageCodec.Encode(new UnhaveMessage(0, 23))), .. Frame(FrameType.Cancel, MessageCodec.Encode(new CancelMessage(3, 0, false))),
            .. Frame(FrameType.Request, MessageCodec.Encode(new RequestMessage(0, 30, false, 0))), .. Frame(FrameType.Unwant, MessageCodec.Encode(new UnwantMessage(0, 8192)))];
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int seed = reader.Byte(), mode = reader.Byte();
        Feed feed = Open(_stored[mode & Holds].Clone());
        Ends log = new();
        Replicator replicator = new(new ReplicatorOptions
        {
            Id = new byte[32],
            Live = (mode & Finite) == 0,
            Ack = (mode & Acknowledges) != 0,
            Time = s_time,
            Log = log,
            FillNonce = nonce => nonce.Span.Fill(3),
        });
        replicator.Join(feed);
        if ((mode & Downloads) != 0) _ = feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        Task<PeerEnd> running = replicator.RunAsync(new FragmentTransport(Stream(reader.Rest), seed, (mode & Acceptor) == 0), CancellationToken.None);
        Oracle.That(running.Wait(TimeSpan.FromSeconds(20)), "the connection ends");
        Oracle.That(replicator.DisposeAsync().AsTask().Wait(TimeSpan.FromSeconds(20)), "replication ends");
        Oracle.That(running.Result != PeerEnd.Failed || log.IsOrdinary, $"an end for a reason, not {log.Last}");
        Oracle.That(log.Failure is null, $"blocks are stored and sent: {log.Failure}");
        Judge(feed);
        Oracle.That(feed.DisposeAsync().AsTask().Wait(TimeSpan.FromSeconds(20)), "the feed ends");
    }

    private void Judge(Feed feed)
    {
        Oracle.That(!feed.IsForked, "an honest owner is not accused");
        Oracle.That(feed.Length == 0 || OwnersFeed.Lengths.Contains((int)feed.Length), "a length that was signed");
        for (long block = 0; block < feed.Length; block++)
        {
            if (!feed.TryRead(block, out BlockLease lease)) continue;
            using (lease) Oracle.Same(lease.Memory.Span, OwnersFeed.Block(block), "a stored block");
        }

        for (long node = 0; node < 2 * _owner.Whole.Length; node++)
            Oracle.That(!feed.HasNode(node) || _owner.Whole.Has(node), "no node beyond the owner's");
    }

    private Feed Open(MemoryFolder folder) =>
        Feed.Open(new FeedFiles(folder), new FeedOptions { Key = _owner.Whole.Key, Time = s_time, VerifyReads = true });

    private MemoryFolder Store(params int[] blocks)
    {
        MemoryFolder folder = new();
        Feed feed = Open(folder);
        foreach (int block in blocks)
            Oracle.That(feed.AcceptAsync(WholeProof(block, hash: false), CancellationToken.None).AsTask().Result is ProofOutcome.Accepted or ProofOutcome.AcceptedLonger, "the owner's blocks");
        Oracle.That(feed.DisposeAsync().AsTask().Wait(TimeSpan.FromSeconds(20)), "the feed ends");
        return folder;
    }

    private Proof WholeProof(int block, bool hash) => OwnersFeed.Answer(_owner.Whole, new MemoryTree(_owner.Whole.Key), block, hash);

    private byte[] Data(int holds, int block, bool hash) => holds == Holds ? [] : Frame(FrameType.Data, DataTarget.Encode(WholeProof(block, hash)));

    private byte[] Stream(ReadOnlySpan<byte> rest)
    {
        byte[] key = new byte[DiscoveryKey.Size];
        _owner.Whole.Key.ToDiscoveryKey().CopyTo(key);
        byte[] first = [0x3D, 0x00, 0x0A, 0x20, .. key, 0x12, 0x18, .. s_nonce];
        byte[] stream = [.. first, .. s_handshake, .. rest];
        using XSalsa20Stream cipher = new(_owner.Whole.Key, s_nonce);
        cipher.Apply(stream.AsSpan(first.Length));
        return stream;
    }

    private static byte[] Frame(FrameType type, IMessage message) => Frame(type, message.ToByteArray());

    private static byte[] Frame(FrameType type, byte[] body) => new InputWriter().Number(1 + body.Length).Byte((byte)type).Raw(body).ToArray();

    /// <summary>Why connections ended, and what went wrong on our side.</summary>
    private sealed class Ends : ILogger
    {
        public string Last { get; private set; } = "";

        public Exception? Failure { get; private set; }

        public bool IsOrdinary => Last.Contains("the remote ended the stream", StringComparison.Ordinal);

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (exception is not (null or OperationCanceledException)) Failure ??= exception;
            if (eventId.Name == "Disconnected") Last = formatter(state, exception);
        }
    }
}
