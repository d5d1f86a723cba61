using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Storage;
using Xunit;

namespace DatFs.Unit;

/// <summary>A hyperdrive in memory whose nodes a test writes as it likes, also such as no writer would.</summary>
internal sealed class CraftedDrive : IAsyncDisposable
{
    /// <summary>The time of entries, unless a test says otherwise: 2018-01-15T00:00:00Z.</summary>
    public const long Time = 1515974400000;

    private readonly HyperdriveWriter _writer;

    private CraftedDrive(HyperdriveWriter writer) => _writer = writer;

    public HyperdriveWriter Writer => _writer;

    public Feed Metadata => _writer.Feeds[0];

    public Feed Content => _writer.Feeds[1];

    public static async Task<CraftedDrive> CreateAsync(byte key = 7)
    {
        SecretKey secret = ProofExchange.Key(key);
        return new CraftedDrive(await HyperdriveWriter.CreateAsync(new MemoryFolder(), TimeProvider.System, secret, Token));
    }

    /// <summary>A file's attributes; size and place are whatever the test claims.</summary>
    public static HyperStat Stat(uint mode = 0x81A4, long size = 0, long blocks = 0, long offset = 0, long byteOffset = 0, long time = Time, byte[]? link = null) =>
        new(mode, 0, 0, size, blocks, offset, byteOffset, time, time, link);

    /// <summary>Attributes as stored; a link's target in the field that hyperdrive 10 has for it.</summary>
    public static byte[] Bytes(HyperStat stat) => [.. HyperCodec.EncodeFileStat(stat), .. stat.LinkName is { } link ? [0x52, (byte)link.Length, .. link] : Array.Empty<byte>()];

    public ValueTask<long> PutAsync(string path, HyperStat stat) => _writer.PutAsync(path, Bytes(stat), Token);

    public ValueTask<long> PutAsync(string path) => PutAsync(path, Stat());

    public ValueTask<long> WriteAsync(string path, byte[] bytes) => _writer.PutFileAsync(path, bytes, Token);

    public ValueTask<long> DeleteAsync(string path) => _writer.DeleteNodeAsync(HyperCodec.Split(path), Token);

    /// <summary>Appends a node with an index of the test's own.</summary>
    public async ValueTask<long> NodeAsync(string path, byte[]? value, params long[][] levels)
    {
        long seq = Metadata.Length;
        await Metadata.AppendAsync([HyperCodec.EncodeNode(seq, path, value, levels)], Token);
        return seq;
    }

    /// <summary>The drive over the writer's own feeds.</summary>
    public HyperdriveDrive Open(TimeProvider? time = null) => new(Metadata, new HyperdriveParts(_ => Content), null, time);

    /// <summary>A copy that holds nothing and gets what it asks for from this drive.</summary>
    public HyperdriveDrive Clone(out GivingNetwork network, bool answers = true)
    {
        network = new GivingNetwork(this, answers);
        Feed metadata = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = Metadata.Key });
        return new HyperdriveDrive(metadata, new HyperdriveParts(key => Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = key })), network);
    }

    public ValueTask DisposeAsync() => _writer.DisposeAsync();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>Makes a source for each feed that is joined.</summary>
    internal sealed class GivingNetwork(CraftedDrive from, bool answers) : IFeedNetwork, IDisposable
    {
        public GivingSource Metadata { get; private set; } = null!;

        public GivingSource? Content { get; private set; }

        public IDisposable Join(Feed feed)
        {
            bool isMetadata = feed.Key == from.Metadata.Key;
            GivingSource source = new(isMetadata ? from.Metadata : from.Content, feed) { Answers = answers };
            if (isMetadata) Metadata = source;
            else Content = source;
            feed.Source = source;
            return this;
        }

        public void Dispose()
        {
        }
    }
}
