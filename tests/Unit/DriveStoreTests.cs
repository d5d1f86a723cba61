using System.Buffers;
using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Where drives are kept and how they are opened (hypercore.md §17.1, §20; command-line.md).</summary>
public sealed class DriveStoreTests : IDisposable
{
    private readonly TempFolder _root = TempFolder.Create("store");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _root.Dispose();

    [Theory]
    [InlineData("/data", "/home/u", false, "/data/datmount")]
    [InlineData(null, "/home/u", false, "/home/u/.local/share/datmount")]
    [InlineData("", "/home/u", false, "/home/u/.local/share/datmount")]
    [InlineData("relative", "/home/u", false, "/home/u/.local/share/datmount")]
    [InlineData(null, "/root", true, "/var/lib/datmount")]
    [InlineData(null, "", false, "/var/lib/datmount")]
    public void Drives_are_kept_where_the_platform_keeps_data(string? xdg, string home, bool privileged, string root)
    {
        if (OperatingSystem.IsLinux()) DriveStore.DefaultRoot(xdg, home, privileged).Should().Be(root);
    }

    [Fact]
    public void A_drive_is_held_once_and_the_next_one_is_told_by_whom()
    {
        DiscoveryKey key = ProofExchange.Key(1).PublicKey.ToDiscoveryKey();
        using (DriveStore.Open(_root.Path, key, "mounted at /mnt"))
        {
            DatException refused = FluentActions.Invoking(() => DriveStore.Open(_root.Path, key)).Should().Throw<DatException>().Which;
            refused.Error.Should().Be(DatError.Locked);
            refused.Message.Should().Contain("in use by").And.Contain($"mounted at /mnt (pid {Environment.ProcessId})");
        }

        DriveStore.Open(_root.Path, key).Dispose();
    }

    [Fact]
    public void A_drive_s_folder_belongs_to_the_user_alone_and_shows_no_key()
    {
        SecretKey secret = ProofExchange.Key(1);
        using DriveStore store = DriveStore.Open(_root.Path, secret.PublicKey.ToDiscoveryKey(), "shared");
        store.Write(new DriveRecord("hyperdrive") { Name = "birds" });
        if (!OperatingSystem.IsWindows()) File.GetUnixFileMode(store.Folder.DisplayName).Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        string[] notes = [.. Directory.EnumerateFiles(_root.Path, "*.json", SearchOption.AllDirectories)];
        notes.Should().HaveCount(2);
        foreach (string file in notes) File.ReadAllText(file).Should().NotContain(secret.PublicKey.ToHex());
        store.Record.Should().Be(new DriveRecord("hyperdrive") { Name = "birds" });
    }

    [Fact]
    public void A_damaged_record_is_no_worse_than_a_missing_one()
    {
        DiscoveryKey key = ProofExchange.Key(1).PublicKey.ToDiscoveryKey();
        using DriveStore store = DriveStore.Open(_root.Path, key);
        store.Record.Should().BeNull();
        foreach (byte[] damaged in (byte[][])[[], "{"u8.ToArray(), "[1]"u8.ToArray(), new byte[JsonFile.MaxBytes + 1]])
        {
            File.WriteAllBytes(Path.Combine(store.Folder.DisplayName, "drive.json"), damaged);
            store.Record.Should().BeNull();
        }

        store.Write(new DriveRecord("hyperdrive"));
        DriveStore.RecordOf(_root.Path, key).Should().Be(new DriveRecord("hyperdrive"));
    }

    [Fact]
    public async Task An_unknown_drive_is_written_to_disk_once_its_first_block_told_what_it_is()
    {
        await using PeerWith peer = await PeerWith.HyperdriveAsync(Token);
        await using (Replicator network = new(new ReplicatorOptions()))
        await using (IDrive drive = await OpenAsync(peer.Key.ToHex(), network))
        {
            string folder = _root.File(peer.Key.ToDiscoveryKey().ToHex());
            drive.Live.Version.Should().Be(0);
            Directory.Exists(Path.Combine(folder, "drive")).Should().BeFalse("nothing is known about it yet");
            await using Connection connection = peer.Connect(network);
            IDriveView view = await drive.ReadyAsync(Token);
            (await TextAsync(view, "/hello.txt")).Should().Be("hello");
            File.Exists(Path.Combine(folder, "drive", "metadata", "key")).Should().BeTrue();
            DriveStore.RecordOf(_root.Path, drive.Key.ToDiscoveryKey()).Should().Be(new DriveRecord("hyperdrive"));
        }

        await using IDrive again = await OpenAsync(peer.Key.ToDiscoveryKey().ToHex()[..8], null);
        (await TextAsync(await again.ReadyAsync(Token), "/hello.txt")).Should().Be("hello", "what was read once is kept");
    }

    [Theory]
    [InlineData("hypertrie", "names no drive that can be opened")]
    [InlineData("sound", "names no drive that can be opened")]
    public async Task A_key_of_something_else_is_named_and_leaves_nothing_behind(string kind, string said)
    {
        await using PeerWith peer = await PeerWith.FeedAsync(new Encoding.Schemas.Hyperdrive.Header { Type = kind }, Token);
        await using Replicator network = new(new ReplicatorOptions());
        await using IDrive drive = await OpenAsync(peer.Key.ToHex(), network);
        await using Connection connection = peer.Connect(network);
        DatException refused = (await FluentActions.Awaiting(async () => await drive.ReadyAsync(Token)).Should().ThrowAsync<DatException>()).Which;
        refused.Error.Should().Be(DatError.Unsupported);
        refused.Message.Should().Contain(said);
        Directory.Exists(_root.File(peer.Key.ToDiscoveryKey().ToHex() + "/drive")).Should().BeFalse();
    }

    [Fact]
    public async Task Offline_nothing_is_asked_for_and_what_is_missing_is_said_at_once()
    {
        await using Replicator network = new(new ReplicatorOptions());
        await using IDrive drive = await DriveOpener.OpenAsync(
            DriveReference.Parse(ProofExchange.Key(3).PublicKey.ToHex()), new DriveOpenOptions { StorageRoot = _root.Path, Network = network, Offline = true }, Token);
        network.DiscoveryKey.Should().BeNull("no feed was joined");
        (await FluentActions.Awaiting(async () => await drive.ReadyAsync(Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Offline);
    }

    [Fact]
    public async Task A_hyperdrive_folder_is_used_where_it_lies_and_found_again_by_its_key()
    {
        string folder = _root.Folder("mine"), root = _root.Folder("root");
        FeedKey key = await WriteDriveAsync(folder);
        DriveOpenOptions options = new() { StorageRoot = root };
        await using (IDrive drive = await DriveOpener.OpenAsync(DriveReference.Parse(folder), options, Token))
        {
            (await TextAsync(await drive.ReadyAsync(Token), "/hello.txt")).Should().Be("hello");
            (await FluentActions.Awaiting(async () => await DriveOpener.OpenAsync(DriveReference.Parse(folder), options, Token)).Should().ThrowAsync<DatException>())
                .Which.Error.Should().Be(DatError.Locked);
        }

        Directory.Exists(Path.Combine(root, key.ToDiscoveryKey().ToHex(), "drive")).Should().BeFalse("its feeds stay in its own folder");
        foreach (string name in (string[])[key.ToHex(), key.ToHex()[..10], key.ToDiscoveryKey().ToHex()[..10]])
        {
            await using IDrive again = await DriveOpener.OpenAsync(DriveReference.Parse(name), options, Token);
            (await TextAsync(await again.ReadyAsync(Token), "/hello.txt")).Should().Be("hello", "{0} names the drive in the folder", name[..4]);
        }
    }

    [Fact]
    public async Task A_kept_drive_is_found_by_its_name_and_never_by_half_a_name()
    {
        FeedKey key = await KeepAsync(5, "birds");
        await KeepAsync(6, null);
        await using (IDrive drive = await OpenAsync("birds", null)) drive.Key.Should().Be(key);
        foreach (string unknown in (string[])["bird", "ffff0123"])
            (await FluentActions.Awaiting(async () => await OpenAsync(unknown, null)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.NotFound);
    }

    [Fact]
    public async Task A_folder_with_two_drives_or_none_is_refused()
    {
        string folder = _root.Folder("both");
        (await FluentActions.Awaiting(async () => await OpenAsync(folder, null)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.NotFound);
        await WriteDriveAsync(folder);
        Directory.CreateDirectory(Path.Combine(folder, ".dat"));
        await File.WriteAllBytesAsync(Path.Combine(folder, ".dat", "metadata.key"), new byte[32], Token);
        DatException refused = (await FluentActions.Awaiting(async () => await OpenAsync(folder, null)).Should().ThrowAsync<DatException>()).Which;
        refused.Error.Should().Be(DatError.Invalid);
        refused.Message.Should().Contain("more than one drive");
    }

    [Theory]
    [InlineData(".dat/db", "before 2017")]
    public async Task A_folder_of_a_kind_that_cannot_be_read_is_named(string file, string said)
    {
        string folder = _root.Folder("other");
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, file))!);
        await File.WriteAllBytesAsync(Path.Combine(folder, file), new byte[32], Token);
        DatException refused = (await FluentActions.Awaiting(async () => await OpenAsync(folder, null)).Should().ThrowAsync<DatException>()).Which;
        (refused.Error, refused.Message.Contains(said, StringComparison.Ordinal)).Should().Be((DatError.Unsupported, true));
    }

    [Fact]
    public async Task A_content_feed_that_the_header_does_not_name_is_refused()
    {
        string folder = _root.Folder("mine");
        await WriteDriveAsync(folder);
        await File.WriteAllBytesAsync(Path.Combine(folder, "content", "key"), ProofExchange.Key(9).PublicKey.ToArray(), Token);
        await using IDrive drive = await DriveOpener.OpenAsync(DriveReference.Parse(folder), new DriveOpenOptions { StorageRoot = _root.Folder("root") }, Token);
        (await FluentActions.Awaiting(async () => await drive.ReadyAsync(Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.KeyMismatch);
    }

    private ValueTask<IDrive> OpenAsync(string reference, IFeedNetwork? network) =>
        DriveOpener.OpenAsync(DriveReference.Parse(reference), new DriveOpenOptions { StorageRoot = _root.Path, Network = network }, Token);

    private static async Task<FeedKey> WriteDriveAsync(string folder)
    {
        await using HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new DiskFolder(folder), TimeProvider.System, null, Token);
        await writer.PutFileAsync("/hello.txt", "hello"u8.ToArray(), Token);
        return writer.Key;
    }

    private async Task<FeedKey> KeepAsync(byte seed, string? name)
    {
        SecretKey secret = ProofExchange.Key(seed);
        FeedKey key = secret.PublicKey;
        using DriveStore store = DriveStore.Open(_root.Path, key.ToDiscoveryKey());
        await using HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(store.Drive, TimeProvider.System, secret, Token);
        store.Write(new DriveRecord("hyperdrive") { Name = name });
        return key;
    }

    private static async Task<string> TextAsync(IDriveView view, string path)
    {
        DriveEntry entry = (await view.FindAsync(DrivePath.From(path), Token))!;
        using ContentLease lease = await view.OpenContent(entry).ReadAsync(0, (int)entry.Size, FetchPriority.Interactive, Token);
        return System.Text.Encoding.UTF8.GetString(lease.Data.ToArray());
    }

    /// <summary>Another peer, in this process, with feeds in memory.</summary>
    private sealed class PeerWith(Replicator replicator, IReadOnlyList<Feed> feeds) : IAsyncDisposable
    {
        public FeedKey Key => feeds[0].Key;

        public static async Task<PeerWith> HyperdriveAsync(CancellationToken ct)
        {
            HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new MemoryFolder(), TimeProvider.System, null, ct);
            await writer.PutFileAsync("/hello.txt", "hello"u8.ToArray(), ct);
            return Share(writer.Feeds);
        }

        public static async Task<PeerWith> FeedAsync(Encoding.Schemas.Hyperdrive.Header header, CancellationToken ct)
        {
            Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
            await feed.AppendAsync([Google.Protobuf.MessageExtensions.ToByteArray(header)], ct);
            return Share([feed]);
        }

        public Connection Connect(Replicator to)
        {
            (MemoryTransport initiator, MemoryTransport acceptor) = MemoryTransport.CreatePair();
            CancellationTokenSource end = new();
            return new Connection(end, Task.WhenAll(to.RunAsync(initiator, end.Token), replicator.RunAsync(acceptor, end.Token)));
        }

        public async ValueTask DisposeAsync()
        {
            await replicator.DisposeAsync();
            foreach (Feed feed in feeds) await feed.DisposeAsync();
        }

        private static PeerWith Share(IReadOnlyList<Feed> feeds)
        {
            Replicator replicator = new(new ReplicatorOptions());
            foreach (Feed feed in feeds) replicator.Join(feed);
            return new PeerWith(replicator, feeds);
        }
    }

    private sealed class Connection(CancellationTokenSource end, Task running) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await end.CancelAsync();
            await running;
            end.Dispose();
        }
    }
}
