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
}
