using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using DatFs.Drives.Hyperdrive;
using DatFs.Replication;
using DatFs.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatMount.Hosting;

/// <summary>
/// The main job with nothing but this program: a sample drive is made and served by a second peer over real sockets on loopback, and mounted.
/// Everything lies in one temporary folder that goes with it.
/// </summary>
internal sealed class Demo : IAsyncDisposable
{
    private const int VideoBytes = 8 << 20;
    private static readonly TimeSpan s_live = TimeSpan.FromSeconds(10);

    private readonly string _folder;
    private readonly string _mountpoint;
    private readonly HyperdriveWriter _writer;
    private readonly Replicator _peer;
    private readonly PeerListener _listener;
    private readonly MountActivity _mount;

    private Demo(string folder, string mountpoint, HyperdriveWriter writer, Replicator peer, PeerListener listener, MountActivity mount)
    {
        _folder = folder;
        _mountpoint = mountpoint;
        _writer = writer;
        _peer = peer;
        _listener = listener;
        _mount = mount;
    }

    public static async Task<Demo> StartAsync(string? mountpoint, CancellationToken ct)
    {
        string folder = Directory.CreateTempSubdirectory("datmount-demo-").FullName;
        HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new DiskFolder(Path.Combine(folder, "owner")), TimeProvider.System, null, ct);
        await FillAsync(writer, ct);

        Replicator peer = new(new ReplicatorOptions());
        foreach (DatFs.Feeds.Feed feed in writer.Feeds) peer.Join(feed);
        PeerListener listener = PeerListener.Start(new IPEndPoint(IPAddress.Loopback, 0), (transport, serving) => peer.RunAsync(transport, serving), TimeProvider.System, NullLogger.Instance);

        string place = mountpoint is null ? Directory.CreateDirectory(Path.Combine(folder, "mnt")).FullName : Path.GetFullPath(mountpoint);
        MountActivity mount = new(new MountRequest
        {
            Drive = writer.Key.ToHex(),
            Mountpoint = place,
            Settings = new DriveSettings { Peers = [new PeerAddress(IPAddress.Loopback.ToString(), listener.LocalEndPoint.Port)], Discovery = [], StorageRoot = Path.Combine(folder, "reader") },
        }, TimeProvider.System, NullLoggerFactory.Instance);
        Demo demo = new(folder, place, writer, peer, listener, mount);
        try
        {
            await mount.StartAsync(ct);
            return demo;
        }
        catch
        {
            await demo.DisposeAsync();
            throw;
        }
    }

    /// <summary>Prints what a user would type and what the mount answers; every answer is read through the mount.</summary>
    public async Task TourAsync(TextWriter to, CancellationToken ct)
    {
        await to.WriteLineAsync($"A second peer shares a sample drive on {_listener.LocalEndPoint}; it is mounted at {_mountpoint}.");
        await ShowAsync(to, "ls", _mountpoint);
        await CommandAsync(to, "cat birds/blackbird.txt", await File.ReadAllTextAsync(Path.Combine(_mountpoint, "birds", "blackbird.txt"), ct));

        long before = _mount.Report().BytesReceived;
        await using (FileStream video = File.OpenRead(Path.Combine(_mountpoint, "media", "dawn-chorus.raw")))
        {
            byte[] piece = new byte[4096];
            video.Position = VideoBytes / 2;
            await video.ReadExactlyAsync(piece, ct);
        }

        await CommandAsync(to, $"dd if=media/dawn-chorus.raw bs=4096 skip={VideoBytes / 2 / 4096} count=1 | wc -c",
            $"4096\n# of {Commands.TerminalText.Bytes(VideoBytes)} only {Commands.TerminalText.Bytes(_mount.Report().BytesReceived - before)} were fetched, each block verified");

        string added = Path.Combine(_mountpoint, "birds", "wren.txt");
        Task appears = AppearsAsync(added, ct);
        await _writer.PutFileAsync("/birds/wren.txt", Encoding.UTF8.GetBytes("Troglodytes troglodytes\n"), ct);
        await appears;
        await CommandAsync(to, "cat birds/wren.txt          # written by the other peer a moment ago", await File.ReadAllTextAsync(added, ct));
        await ShowAsync(to, "ls .dat/versions", Path.Combine(_mountpoint, ".dat", "versions"));
        await ShowAsync(to, "ls .dat/versions/2/birds    # as it was then", Path.Combine(_mountpoint, ".dat", "versions", "2", "birds"));
    }

    /// <summary>Keeps the demo until Ctrl-C or an unmount.</summary>
    public async Task WaitAsync(TextWriter to, CancellationToken ct)
    {
        await to.WriteLineAsync($"\nLook around in {_mountpoint}; Ctrl-C ends the demo.");
        TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => End(context));
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => End(context));
        await Task.WhenAny(_mount.Completion, asked.Task).WaitAsync(ct);

        void End(PosixSignalContext context)
        {
            context.Cancel = true;
            asked.TrySetResult();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _mount.StopAsync(lazy: true, CancellationToken.None);
        await _mount.DisposeAsync();
        await _listener.DisposeAsync();
        await _peer.DisposeAsync();
        await _writer.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private static async Task FillAsync(HyperdriveWriter writer, CancellationToken ct)
    {
        await writer.PutFileAsync("/README.md", "A sample drive.\n"u8.ToArray(), ct);
        await writer.PutFileAsync("/birds/blackbird.txt", "Turdus merula\n"u8.ToArray(), ct);
        await writer.PutFileAsync("/birds/robin.txt", "Erithacus rubecula\n"u8.ToArray(), ct);
        byte[] sound = new byte[VideoBytes];
        for (int i = 0; i < sound.Length; i++) sound[i] = (byte)((i >> 8) ^ (i * 31));
        await writer.PutFileAsync("/media/dawn-chorus.raw", sound, ct);
        await writer.PutFileAsync("/birds/robin.txt", "Erithacus rubecula, the European robin\n"u8.ToArray(), ct);
    }

    private async Task AppearsAsync(string path, CancellationToken ct)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
        patience.CancelAfter(s_live);
        TaskCompletionSource appeared = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable watching = _mount.ObserveVersions(() =>
        {
            if (File.Exists(path)) appeared.TrySetResult();
        });
        await appeared.Task.WaitAsync(patience.Token);
    }

    private static Task ShowAsync(TextWriter to, string command, string folder) =>
        CommandAsync(to, command, string.Join("  ", Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal)));

    private static Task CommandAsync(TextWriter to, string command, string answer) => to.WriteLineAsync($"\n$ {command}\n{answer.TrimEnd('\n')}");
}
