using System.Diagnostics;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>The instruments themselves, Node against Node: what fails here says nothing about DatMount.</summary>
public sealed class HarnessTests
{
    [Theory]
    [InlineData("7.7.1", "6.9.2")]
    [InlineData("6.9.2", "7.7.1")]
    [InlineData("6.26", "7.7.1")]
    public async Task Node_feeds_of_two_releases_replicate_and_compute_natively(string owner, string reader)
    {
        await using FeedPeer source = await FeedPeer.StartAsync(owner);
        await using FeedPeer copy = await FeedPeer.StartAsync(reader, key: source.Info.Key);
        await source.AppendSeededAsync(seed: 7, count: 200, size: 1000);
        source.Crypto.Should().Be("native");
        copy.Crypto.Should().Be("native");

        await copy.ConnectAsync(await source.ListenAsync());
        await copy.WaitHeldAsync(0, 200);

        (await copy.HashAsync(0, 200)).Sha256.Should().Be(Sha256Of.Seeded(7, 0, 200_000));
        (await source.CountersAsync()).Uploaded.Should().Be(200);
        await source.AppendAsync("one more"u8.ToArray());
        await copy.WaitHeldAsync(200, 201);
        (await copy.GetAsync(200)).Should().Equal("one more"u8.ToArray());
        (await copy.SeekAsync(150_001)).Should().Be((150, 1));
    }

    [Theory]
    [InlineData("9.9", "9.16")]
    [InlineData("9.16", "9.9")]
    public async Task Node_drives_of_two_releases_carry_a_seeded_tree_unharmed(string owner, string reader)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 1, SeededTreeShape.Small);
        await using DrivePeer source = await DrivePeer.StartAsync(owner, new PeerDriveOptions { Folder = folder.File("source") });
        await using DrivePeer copy = await DrivePeer.StartAsync(reader, new PeerDriveOptions { Key = source.Key });
        PeerDriveInfo info = await source.ImportAsync(tree.Root);
        info.Crypto.Should().Be("native");

        await copy.ConnectAsync(await source.ListenAsync());
        await copy.WaitSyncAsync(info.Version);

        IReadOnlyList<PeerEntry> entries = await copy.ListAsync();
        entries.Where(e => !e.IsDirectory).Select(e => (e.Path, e.Size, e.Sha256, Mode: e.Mode & 0x1FF, e.MtimeMs))
            .Should().Equal(tree.Files.Select(f => (f.Path, f.Size, (string?)f.Sha256, f.Mode, f.MtimeMs)));
        entries.Where(e => e.IsDirectory).Select(e => e.Path).Should().Equal(tree.Folders);
    }

    [Fact]
    public async Task A_dat_folder_made_by_the_tool_is_cloned_by_plain_hyperdrive()
    {
        using TempFolder folder = TempFolder.Create();
        string shared = folder.Folder("shared");
        await File.WriteAllTextAsync(Path.Combine(shared, "hello.txt"), "hello");
        await using DrivePeer tool = await DrivePeer.StartAsync("dat", new PeerDriveOptions { Folder = shared, SecretFolder = folder.File("secret") });
        await tool.ImportFilesAsync();
        await using DrivePeer copy = await DrivePeer.StartAsync("9.9", new PeerDriveOptions { Key = tool.Key });

        await copy.ConnectAsync(await tool.ListenAsync());

        (await copy.WaitSyncAsync(1)).Version.Should().Be(1);
        (await copy.ListAsync()).Should().ContainSingle().Which.Sha256.Should().Be(Sha256Of.Bytes("hello"u8));
        File.Exists(Path.Combine(shared, ".dat", "metadata.key")).Should().BeTrue();
    }

    [Fact]
    public async Task The_dat_tool_shares_a_folder_without_any_network()
    {
        using TempFolder folder = TempFolder.Create();
        string shared = folder.Folder("shared");
        await File.WriteAllTextAsync(Path.Combine(shared, "hello.txt"), "hello");
        await using DatTool tool = await DatTool.ShareAsync(shared, folder.File("home"));
        await using DrivePeer copy = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Key = tool.Key });

        await copy.ConnectAsync(tool.Port);
        await copy.WaitSyncAsync(1);

        (await copy.ListAsync()).Should().ContainSingle().Which.Sha256.Should().Be(Sha256Of.Bytes("hello"u8));
    }

    [Fact]
    public async Task A_relay_delays_counts_pauses_and_cuts()
    {
        await using FeedPeer source = await FeedPeer.StartAsync("7.7.1");
        await source.AppendSeededAsync(seed: 3, count: 10, size: 1000);
        await using FeedPeer copy = await FeedPeer.StartAsync("7.7.1", key: source.Info.Key, sparse: true);
        await using Relay relay = Relay.To(await source.ListenAsync());
        relay.SetDelay(TimeSpan.FromMilliseconds(60));

        await copy.ConnectAsync(relay.Port);
        await copy.UpdateAsync(10);
        long started = Stopwatch.GetTimestamp();
        await copy.GetAsync(4);
        Stopwatch.GetElapsedTime(started).Should().BeGreaterThanOrEqualTo(TimeSpan.FromMilliseconds(115), "a request and its answer cross the line once each");
        relay.BytesFromTarget.Should().BeGreaterThan(1000);

        relay.Pause();
        long uploaded = (await source.CountersAsync()).Uploaded;
        Task<byte[]> waiting = copy.GetAsync(5);
        await copy.InfoAsync();
        (await source.CountersAsync()).Uploaded.Should().Be(uploaded);
        waiting.IsCompleted.Should().BeFalse();
        relay.Resume();
        (await waiting).Should().Equal(SeededBytes.Take(3, 5000, 1000));

        relay.Cut();
        await copy.Node.EventAsync("closed");
        (await copy.InfoAsync()).Peers.Should().Be(0);
    }

    [Fact]
    public async Task A_frozen_peer_answers_again_when_resumed()
    {
        await using FeedPeer peer = await FeedPeer.StartAsync("6.26");
        peer.Node.Freeze();
        Task<PeerFeedInfo> asked = peer.InfoAsync();
        asked.IsCompleted.Should().BeFalse();
        peer.Node.Resume();
        (await asked).Length.Should().Be(0);
    }

    [Fact]
    public async Task A_failing_peer_tells_why()
    {
        await using FeedPeer peer = await FeedPeer.StartAsync("7.7.1");
        Func<Task> act = () => peer.Node.DoAsync("get", new { index = 3, wait = false });
        (await act.Should().ThrowAsync<NodePeerException>()).WithMessage("*feed-peer.js*Block not downloaded*");
        await peer.Node.KillAsync();
        Func<Task> after = () => peer.InfoAsync();
        await after.Should().ThrowAsync<NodePeerException>().WithMessage("*has ended*");
    }

    [Theory]
    [InlineData(0, 100)]
    [InlineData(17, 70000)]
    [InlineData(65537, 200000)]
    public async Task Seeded_bytes_are_the_same_in_both_languages_at_any_offset(int offset, int length)
    {
        await using FeedPeer peer = await FeedPeer.StartAsync("7.7.1");
        await peer.Node.DoAsync("append", new { blocks = new[] { new { seed = 42, at = offset, size = length } } });
        (await peer.GetAsync(0)).Should().Equal(SeededBytes.Take(42, offset, length));
        SeededBytes.Take(42, 0, offset + length)[offset..].Should().Equal(SeededBytes.Take(42, offset, length));
    }
}
