using DatFs.Drives;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>Drives of several writers, made and shared by the hyperdrive of 2018 that has them, read through the drive's door.</summary>
public sealed class MultiDriveTests
{
    [Fact]
    public async Task A_drive_of_two_writers_is_known_by_its_first_block_and_read_lazily()
    {
        using TempFolder folder = TempFolder.Create();
        byte[] big = SeededBytes.Take(7, 0, 300_000);
        await using MultiDrivePeer first = await MultiDrivePeer.StartAsync(folder.File("first"));
        await first.WriteAsync("/hello.txt", "from the first"u8.ToArray());
        await first.WriteAsync("/deep/er/big.bin", big);
        await first.MakeDirectoryAsync("/empty");
        await using MultiDrivePeer second = await MultiDrivePeer.StartAsync(folder.File("second"), first.Key);
        int port = await first.ListenAsync();
        await second.ConnectAsync(port);
        await second.WaitForAsync("/hello.txt", "from the first");
        await first.AuthorizeAsync(second.LocalKey);
        await second.WaitAuthorizedAsync(second.LocalKey);
        await second.WriteAsync("/second.txt", "from the second"u8.ToArray());
        await first.WaitForAsync("/second.txt", "from the second");

        await using OurDrive ours = await OurDrive.OpenAsync(first.Key, port);
        IDriveView view = await ours.ReadyAsync();
        while (await view.FindAsync(DrivePath.From("/second.txt"), default) is null) view = await ours.VersionAsync(view.Version + 1);
        IReadOnlyList<OurEntry> entries = await ours.WalkAsync(view);

        entries.Where(e => !e.IsDirectory).Select(e => (e.Path, e.Size, e.Sha256)).Should().Equal(
            ("/deep/er/big.bin", big.Length, Sha256Of.Bytes(big)),
            ("/hello.txt", 14, Sha256Of.Bytes("from the first"u8)),
            ("/second.txt", 15, Sha256Of.Bytes("from the second"u8)));
        entries.Where(e => e.IsDirectory).Select(e => e.Path).Should().Equal("/deep", "/deep/er", "/empty");
        ours.Drive.Format.Should().Be("hyperdb");
        ours.Drive.Writable.Should().BeFalse();
    }

    [Fact]
    public async Task A_new_view_shows_what_either_writer_changes_and_earlier_ones_stay()
    {
        using TempFolder folder = TempFolder.Create();
        await using MultiDrivePeer first = await MultiDrivePeer.StartAsync(folder.File("first"));
        await first.WriteAsync("/kept", "kept"u8.ToArray());
        await first.WriteAsync("/gone", "soon"u8.ToArray());
        int port = await first.ListenAsync();
        string storage = folder.File("ours");
        long before;
        await using (OurDrive ours = await OurDrive.OpenAsync(first.Key, port, storage))
        {
            IDriveView old = await ours.ReadyAsync();
            before = old.Version;
            (await ours.WalkAsync(old)).Select(e => e.Path).Should().Equal("/gone", "/kept");
            await first.UnlinkAsync("/gone");
            IDriveView after = await ours.VersionAsync(before + 1);
            (await ours.WalkAsync(after)).Select(e => e.Path).Should().Equal("/kept");
            (await ours.WalkAsync(await ours.Drive.CheckoutAsync(before, default))).Select(e => e.Path).Should().Equal("/gone", "/kept");
        }

        await using OurDrive again = await OurDrive.OpenAsync(first.Key, port, storage);
        (await again.ReadyAsync()).Version.Should().Be(before + 1, "a number means the same version for ever");
        (await again.WalkAsync(await again.Drive.CheckoutAsync(before, default))).Select(e => e.Path).Should().Equal("/gone", "/kept");
    }

    [Fact]
    public async Task Node_clones_a_drive_of_ours_is_let_write_and_writes_into_it()
    {
        using TempFolder folder = TempFolder.Create();
        byte[] big = SeededBytes.Take(11, 0, 300_000);
        await using OurDrive ours = await OurDrive.CreateAsync(folder.File("ours"));
        await ours.PutAsync("/deep/er/big.bin", big);
        await ours.PutAsync("/hello.txt", "from here"u8.ToArray());
        await ours.PutAsync("/gone.txt", "soon"u8.ToArray());
        await ours.Drive.Writer!.DeleteAsync(DrivePath.From("/gone.txt"), default);
        await using MultiDrivePeer node = await MultiDrivePeer.StartAsync(folder.File("node"), ours.Drive.Key.ToHex());
        await node.ConnectAsync(ours.Listen());
        await node.WaitForAsync("/hello.txt", "from here");
        Sha256Of.Bytes(await node.ReadAsync("/deep/er/big.bin")).Should().Be(Sha256Of.Bytes(big));
        (await FluentActions.Awaiting(() => node.ReadAsync("/gone.txt")).Should().ThrowAsync<Exception>("what was deleted cannot be read")).Which.Message.Should().NotBeEmpty();

        (await ours.Drive.Writers!.AuthorizeAsync(DatFs.Crypto.FeedKey.From(Convert.FromHexString(node.LocalKey)), default)).Should().BeTrue();
        await node.WaitAuthorizedAsync(node.LocalKey);
        await node.WriteAsync("/node.txt", "from node"u8.ToArray());
        await node.WriteAsync("/hello.txt", "node's"u8.ToArray());
        await ours.WaitForAsync("/node.txt", "from node"u8.ToArray());
        await ours.WaitForAsync("/hello.txt", "node's"u8.ToArray());
        await ours.PutAsync("/hello.txt", "ours again"u8.ToArray());
        await node.WaitForAsync("/hello.txt", "ours again");
    }

    [Fact]
    public async Task Node_lets_us_write_and_reads_what_we_write_byte_for_byte()
    {
        using TempFolder folder = TempFolder.Create();
        await using MultiDrivePeer node = await MultiDrivePeer.StartAsync(folder.File("node"));
        await node.WriteAsync("/theirs.txt", "theirs"u8.ToArray());
        await using OurDrive ours = await OurDrive.OpenAsync(node.Key, await node.ListenAsync(), folder.File("ours"));
        await ours.WaitForAsync("/theirs.txt", "theirs"u8.ToArray());
        ours.Drive.Writable.Should().BeFalse();

        await node.AuthorizeAsync(ours.Drive.Writers!.OwnKey!.Value.ToHex());
        await ours.WaitWritableAsync();
        byte[] big = SeededBytes.Take(12, 0, 200_001);
        await ours.PutAsync("/ours/big.bin", big);
        await ours.PutAsync("/ours/empty", []);
        await ours.Drive.Writer!.DeleteAsync(DrivePath.From("/theirs.txt"), default);
        await ours.PutAsync("/last.txt", "last"u8.ToArray());
        await node.WaitForAsync("/last.txt", "last");
        Sha256Of.Bytes(await node.ReadAsync("/ours/big.bin")).Should().Be(Sha256Of.Bytes(big));
        (await node.ReadAsync("/ours/empty")).Should().BeEmpty();
        await node.WriteAsync("/last.txt", "over it"u8.ToArray());
        await ours.WaitForAsync("/last.txt", "over it"u8.ToArray());
    }

    [Fact]
    public async Task What_both_wrote_apart_has_the_same_winner_in_node_and_here()
    {
        using TempFolder folder = TempFolder.Create();
        await using OurDrive ours = await OurDrive.CreateAsync(folder.File("ours"));
        await ours.PutAsync("/both.txt", "base"u8.ToArray(), 1000);
        await using MultiDrivePeer node = await MultiDrivePeer.StartAsync(folder.File("node"), ours.Drive.Key.ToHex());
        await node.ConnectAsync(ours.Listen());
        await node.WaitForAsync("/both.txt", "base");
        await ours.Drive.Writers!.AuthorizeAsync(DatFs.Crypto.FeedKey.From(Convert.FromHexString(node.LocalKey)), default);
        await node.WaitAuthorizedAsync(node.LocalKey);
        await node.DisconnectAsync();
        await ours.AloneAsync();

        await ours.PutAsync("/both.txt", "ours, earlier"u8.ToArray(), 2000);
        await node.WriteAsync("/both.txt", "node's, later"u8.ToArray(), 3000);
        await ours.PutAsync("/mine.txt", "ours, later"u8.ToArray(), 5000);
        await node.WriteAsync("/mine.txt", "node's, earlier"u8.ToArray(), 4000);
        await node.ConnectAsync(ours.Listen());

        await ours.WaitForAsync("/both.txt", "node's, later"u8.ToArray());
        await node.WaitForAsync("/both.txt", "node's, later");
        await node.WaitForAsync("/mine.txt", "ours, later");
        IDriveView view = await ours.WaitForAsync("/mine.txt", "ours, later"u8.ToArray());
        string[] shown = [.. (await ours.WalkAsync(view)).Select(entry => entry.Path)];
        shown.Should().HaveCount(4).And.Contain(path => path.StartsWith("/both (conflict", StringComparison.Ordinal)).And.Contain(path => path.StartsWith("/mine (conflict", StringComparison.Ordinal));
        await ours.PutAsync("/both.txt", "settled"u8.ToArray());
        await node.WaitForAsync("/both.txt", "settled");
    }

    [Fact]
    public async Task Three_writers_with_node_in_the_middle_have_the_same_files()
    {
        using TempFolder folder = TempFolder.Create();
        await using OurDrive first = await OurDrive.CreateAsync(folder.File("first"));
        await first.PutAsync("/first", "1"u8.ToArray());
        await using MultiDrivePeer node = await MultiDrivePeer.StartAsync(folder.File("node"), first.Drive.Key.ToHex());
        await node.ConnectAsync(first.Listen());
        await node.WaitForAsync("/first", "1");
        await first.Drive.Writers!.AuthorizeAsync(DatFs.Crypto.FeedKey.From(Convert.FromHexString(node.LocalKey)), default);
        await node.WaitAuthorizedAsync(node.LocalKey);
        await node.WriteAsync("/second", "2"u8.ToArray());
        await using OurDrive third = await OurDrive.OpenAsync(first.Drive.Key.ToHex(), await node.ListenAsync(), folder.File("third"));
        await third.WaitForAsync("/second", "2"u8.ToArray());
        await node.AuthorizeAsync(third.Drive.Writers!.OwnKey!.Value.ToHex());
        await third.WaitWritableAsync();
        await third.PutAsync("/third", "3"u8.ToArray());

        IDriveView there = await first.WaitForAsync("/third", "3"u8.ToArray());
        await node.WaitForAsync("/third", "3");
        IDriveView here = await third.WaitForAsync("/first", "1"u8.ToArray());
        (await first.WalkAsync(there)).Select(entry => (entry.Path, entry.Sha256)).Should().Equal((await third.WalkAsync(here)).Select(entry => (entry.Path, entry.Sha256))).And.HaveCount(3);
        first.Drive.Status.VersionText.Should().Be(third.Drive.Status.VersionText);
    }

    [Fact]
    public async Task Node_opens_the_folder_that_we_wrote_and_we_the_one_that_node_wrote()
    {
        using TempFolder folder = TempFolder.Create();
        byte[] big = SeededBytes.Take(13, 0, 150_000);
        string feeds;
        await using (OurDrive ours = await OurDrive.CreateAsync(folder.File("ours")))
        {
            await ours.PutAsync("/big.bin", big);
            feeds = ours.HyperdriveFolder;
        }

        await using (MultiDrivePeer node = await MultiDrivePeer.StartAsync(feeds))
        {
            Sha256Of.Bytes(await node.ReadAsync("/big.bin")).Should().Be(Sha256Of.Bytes(big));
            await node.WriteAsync("/more.txt", "more"u8.ToArray());
        }

        await using OurDrive again = await OurDrive.OpenFolderAsync(feeds, folder.File("other"));
        IDriveView view = await again.ReadyAsync();
        again.Drive.Writable.Should().BeTrue();
        (await again.WalkAsync(view)).Select(entry => (entry.Path, entry.Sha256)).Should().Equal(("/big.bin", Sha256Of.Bytes(big)), ("/more.txt", Sha256Of.Bytes("more"u8)));
    }
}
