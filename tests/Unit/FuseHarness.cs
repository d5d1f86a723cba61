using DatFs.Evidence;
using DatFs.FileSystem;
using DatMount.Platform.Fuse;

namespace DatFs.Unit;

/// <summary>A session over a fake channel, past INIT (7.45 unless said otherwise), with one reader thread unless said otherwise.</summary>
internal sealed class FuseHarness : IAsyncDisposable
{
    public const uint AllFlags = 0xFFFFFFFF;
    private ulong _unique = 100;

    private FuseHarness(IMountFs fs, int threads, TimeProvider time, uint? onlyFor)
    {
        Channel = new FuseChannelFake();
        Session = new FuseSession(fs, Channel, new SessionOptions { Threads = threads, Uid = 500, Gid = 501, OnlyFor = onlyFor, Time = time }, Log);
    }

    public FuseChannelFake Channel { get; }

    public FuseSession Session { get; }

    public FuseLogLines Log { get; } = new();

    public static MountCapabilities Caps(bool readOnly = false, bool live = true, bool xattrs = true) => new()
    {
        ReadOnly = readOnly,
        CaseSensitive = true,
        Symlinks = true,
        HardLinks = false,
        Xattrs = xattrs,
        LiveChanges = live,
        EntryTtl = TimeSpan.FromSeconds(3600.5),
        AttrTtl = TimeSpan.FromSeconds(60.25),
        NegativeTtl = TimeSpan.FromSeconds(1),
    };

    public static async Task<FuseHarness> StartAsync(IMountFs fs, int threads = 1, uint minor = 45, TimeProvider? time = null,
        uint? onlyFor = null)
    {
        var harness = new FuseHarness(fs, threads, time ?? TimeProvider.System, onlyFor);
        harness.Session.Start();
        harness.Channel.Send(FuseBytes.Init(7, minor, 131072, AllFlags, minor >= 36 ? AllFlags : null));
        (await harness.Channel.NextAsync()).Error().Should0();
        await harness.Session.Ready.WaitAsync(TimeSpan.FromSeconds(20));
        return harness;
    }

    /// <summary>Sends one request and waits for its reply.</summary>
    public async Task<byte[]> AskAsync(Opcode opcode, ulong node, Action<FuseBytes>? body = null)
    {
        ulong unique = Post(opcode, node, body);
        byte[] reply = await Channel.NextAsync();
        if (reply.Unique() != unique) throw new InvalidOperationException($"the reply is for {reply.Unique()}, not {unique}");
        if (reply.Length() != reply.Length) throw new InvalidOperationException("the length field is wrong");
        return reply;
    }

    /// <summary>Sends one request; answers its unique number.</summary>
    public ulong Post(Opcode opcode, ulong node, Action<FuseBytes>? body = null)
    {
        ulong unique = _unique += 2;
        Channel.Send(FuseBytes.Request(opcode, unique, node, body));
        return unique;
    }

    public async Task<ulong> LookupAsync(ulong parent, string name) =>
        (await AskAsync(Opcode.Lookup, parent, w => w.Name(name))).Payload().U64(0);

    public async Task<ulong> OpenAsync(TreeFsNode node, uint flags = 0) =>
        (await AskAsync(Opcode.Open, node.Id.Value, w => w.U32(flags).U32(0))).Payload().U64(0);

    public static Action<FuseBytes> ReadArguments(ulong handle, ulong offset, uint size) =>
        w => w.U64(handle).U64(offset).U32(size).U32(0).U64(0).U32(0).U32(0);

    public async ValueTask DisposeAsync()
    {
        Channel.Unmount();
        await Session.Completion.WaitAsync(TimeSpan.FromSeconds(20));
    }
}

internal static class HarnessAssertions
{
    public static void Should0(this int errno)
    {
        if (errno != 0) throw new InvalidOperationException("errno " + -errno);
    }
}
