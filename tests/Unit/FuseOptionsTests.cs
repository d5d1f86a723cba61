using DatFs.FileSystem;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Options, mount tables and error texts (platform.md §2, §6).</summary>
public sealed class FuseOptionsTests
{
    [Fact]
    public void An_fstab_line_becomes_mount_flags_and_the_rest_is_handed_on()
    {
        MountOptions options = MountOptions.Parse("ro,allow_other,_netdev,nofail,x-systemd.automount,user,noexec,nosuid,nodev,comment=mine,upload=1M,live");
        options.ReadOnly.Should().BeTrue();
        options.NoExec.Should().BeTrue();
        options.AllowOther.Should().BeTrue();
        options.Rest.Should().Equal(new KeyValuePair<string, string?>("upload", "1M"), new KeyValuePair<string, string?>("live", null));
    }

    [Theory]
    [InlineData("rw,dev,suid,nodev,nosuid,exec,auto,noauto,user,nouser,users,owner,group,defaults,nofail,_netdev,x-a,x-b=c,comment=d")]
    [InlineData("")]
    [InlineData(",,")]
    public void What_only_mount_needs_is_passed_over(string list) => MountOptions.Parse(list).Should().BeEquivalentTo(new MountOptions());

    [Fact]
    public void Later_options_win_over_earlier_ones()
    {
        MountOptions.Parse("ro,noexec", "rw,exec").Should().BeEquivalentTo(new MountOptions());
        MountOptions.Parse("rw", "ro").ReadOnly.Should().BeTrue();
        MountOptions.Parse("fsname=a", "fsname=b").FsName.Should().Be("b");
    }

    [Fact]
    public void Each_flag_is_understood()
    {
        MountOptions all = MountOptions.Parse("noatime,sync,dirsync,allow_root,auto_unmount,nonempty,max_read=65536,uid=7,gid=8,fsname=a\\,b\\\\c=d");
        all.Should().BeEquivalentTo(new MountOptions
        {
            NoAtime = true,
            Sync = true,
            DirSync = true,
            AllowRoot = true,
            AutoUnmount = true,
            NonEmpty = true,
            MaxRead = 65536,
            Uid = 7,
            Gid = 8,
            FsName = "a,b\\c=d",
        });
        FuseMountOptions applied = all.Apply(new FuseMountOptions { ReadOnly = true });
        (applied.ReadOnly, applied.NoAtime, applied.AutoUnmount, applied.Uid, applied.MaxRead).Should().Be((true, true, true, 7u, 65536));
    }

    [Theory]
    [InlineData("uid=", "uid")]
    [InlineData("gid=x", "gid")]
    [InlineData("uid=-1", "uid")]
    [InlineData("max_read=9999999999", "max_read")]
    [InlineData("fsname=", "fsname")]
    [InlineData("fsname", "fsname")]
    public void A_value_that_is_none_is_refused(string list, string option) =>
        FluentActions.Invoking(() => MountOptions.Parse(list)).Should().Throw<MountException>()
            .Where(e => e.Kind == MountFailure.BadOption && e.Message.Contains("option " + option));

    [Fact]
    public void Flags_and_data_for_mount_2()
    {
        ((int)DirectMount.Flags(new FuseMountOptions())).Should().Be(2 | 4);
        ((int)DirectMount.Flags(new FuseMountOptions { ReadOnly = true, NoExec = true, NoAtime = true, Sync = true, DirSync = true }))
            .Should().Be(1 | 2 | 4 | 8 | 16 | 128 | 1024);
        DirectMount.Data(7, new FuseMountOptions { AllowOther = true, MaxRead = 4096 }).Should()
            .MatchRegex("^fd=7,rootmode=40000,user_id=\\d+,group_id=\\d+,default_permissions,allow_other,max_read=4096$");
    }

    [Fact]
    public void The_option_list_for_fusermount_escapes_the_source()
    {
        Fusermount.Options("a,b\\c", new FuseMountOptions { AllowOther = true, AutoUnmount = true, ReadOnly = true }).Should()
            .Be("fsname=a\\,b\\\\c,subtype=datmount,default_permissions,nosuid,nodev,ro,allow_other,auto_unmount");
        Fusermount.Options("dat", new FuseMountOptions { AllowRoot = true }).Should()
            .Be("fsname=dat,subtype=datmount,default_permissions,nosuid,nodev,allow_other");
    }

    [Theory]
    [InlineData("fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf", MountFailure.AllowOtherRefused, "/etc/fuse.conf")]
    [InlineData("fusermount3: fuse device not found, try 'modprobe fuse' first", MountFailure.NoDevice, "modprobe fuse")]
    [InlineData("fusermount3: failed to open /dev/fuse: Permission denied", MountFailure.DeviceRefused, "chmod 0666 /dev/fuse")]
    [InlineData("fusermount3: user has no write access to mountpoint /x", MountFailure.AccessDenied, "a folder you own")]
    [InlineData("fusermount3: mount failed: Operation not permitted", MountFailure.AccessDenied, "container")]
    [InlineData("", MountFailure.Other, "without saying why")]
    public void What_fusermount_says_becomes_a_reason_and_a_remedy(string text, MountFailure kind, string remedy)
    {
        MountException failure = Fusermount.Failure(text, "/x");
        failure.Kind.Should().Be(kind);
        failure.Message.Should().Contain(remedy);
    }

    [Fact]
    public void The_mount_table_is_read_with_its_escapes()
    {
        MountTable.Parse(
        [
            "22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw",
            "90 28 0:55 / /mnt/a\\040b\\134c rw,nosuid,nodev - fuse.datmount dat\\054mount rw,user_id=0",
            "91 28 0:56 / /mnt/größe rw - fuse.datmount datmount rw",
            "broken",
        ]).Should().Equal(
            new MountEntry("0:20", "/sys", "sysfs", "sysfs"),
            new MountEntry("0:55", "/mnt/a b\\c", "fuse.datmount", "dat,mount"),
            new MountEntry("0:56", "/mnt/größe", "fuse.datmount", "datmount"));
    }

    [Fact]
    public void Every_outcome_has_an_error_number()
    {
        var numbers = Enum.GetValues<FsError>().ToDictionary(e => e, e => Errno.From(e));
        numbers.Should().Equal(new Dictionary<FsError, int>
        {
            [FsError.None] = 0,
            [FsError.NotFound] = 2,
            [FsError.Exists] = 17,
            [FsError.NotDirectory] = 20,
            [FsError.IsDirectory] = 21,
            [FsError.NotEmpty] = 39,
            [FsError.AccessDenied] = 13,
            [FsError.ReadOnly] = 30,
            [FsError.NoSpace] = 28,
            [FsError.NameTooLong] = 36,
            [FsError.InvalidName] = 84,
            [FsError.Invalid] = 22,
            [FsError.TooBig] = 27,
            [FsError.CrossDevice] = 18,
            [FsError.Busy] = 16,
            [FsError.Interrupted] = 4,
            [FsError.TimedOut] = 110,
            [FsError.Offline] = 113,
            [FsError.Corrupt] = 5,
            [FsError.Io] = 5,
            [FsError.NotSupported] = 95,
            [FsError.NoAttribute] = 61,
            [FsError.Range] = 34,
            [FsError.Stale] = 116,
        });
        Errno.From(FsError.Offline, reading: true).Should().Be(5);
        Errno.From(FsError.TimedOut, reading: true).Should().Be(5);
    }
}
