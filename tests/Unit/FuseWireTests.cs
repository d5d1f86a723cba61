using DatFs.Evidence;
using DatFs.FileSystem;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Every opcode from fixed bytes to fixed bytes (platform.md §3), no kernel.</summary>
public sealed class FuseWireTests
{
    private const uint Flags31 =
        (1u << 0) | (1u << 3) | (1u << 5) | (1u << 6) | (1u << 13) | (1u << 14) | (1u << 18) | (1u << 22) | (1u << 25);

    [Fact]
    public async Task Init_of_7_31_is_answered_within_what_it_offers()
    {
        await using var harness = await Raw(FuseHarness.Caps());
        // A 7.31 kernel sends 16 bytes and knows bits up to 27; bit 30 must not be claimed for it.
        harness.Channel.Send(FuseBytes.Init(7, 31, 131072, 0x0FFFFFFB, null));
        byte[] reply = await harness.Channel.NextAsync();

        reply.Length().Should().Be(80);
        reply.Error().Should().Be(0);
        reply.Unique().Should().Be(2);
        Hex(reply.Payload()).Should().Be(Hex(new FuseBytes().U32(7).U32(31).U32(131072).U32(Flags31).U16(4096).U16(3072).U32(1 << 20).U32(1_000_000)
            .U16(256).U16(0).U32(0).U32(0).U16(0).U16(0).U32(0).U32(0).U32(0).U32(0).U32(0).ToArray()));
    }

    [Fact]
    public async Task Init_of_7_45_uses_both_flag_words()
    {
        await using var harness = await Raw(FuseHarness.Caps());
        harness.Channel.Send(FuseBytes.Init(7, 45, 131072, uint.MaxValue, uint.MaxValue));
        byte[] payload = (await harness.Channel.NextAsync()).Payload();

        payload.U32(4).Should().Be(45);
        payload.U32(12).Should().Be(Flags31 | (1u << 30));
        payload.U32(32).Should().Be(1u << 3, "HAS_EXPIRE_ONLY is bit 35");
    }

    [Fact]
    public async Task Init_of_a_newer_kernel_settles_on_the_highest_we_know()
    {
        await using var harness = await Raw(FuseHarness.Caps());
        harness.Channel.Send(FuseBytes.Init(8, 0, 131072, 0, null));
        (await harness.Channel.NextAsync()).Payload().U32(0).Should().Be(7);
        harness.Channel.Send(FuseBytes.Init(7, 99, 131072, uint.MaxValue, uint.MaxValue));
        (await harness.Channel.NextAsync()).Payload().U32(4).Should().Be(45);
    }

    [Fact]
    public async Task Init_below_7_31_is_refused_with_a_sentence()
    {
        await using var harness = await Raw(FuseHarness.Caps());
        harness.Channel.Send(FuseBytes.Init(7, 30, 131072, uint.MaxValue, null));
        (await harness.Channel.NextAsync()).Error().Should().Be(-71);
        MountException failure = (await FluentActions.Awaiting(() => harness.Session.Ready).Should().ThrowAsync<MountException>()).Which;
        failure.Kind.Should().Be(MountFailure.KernelTooOld);
        failure.Message.Should().Contain("Linux 5.4");
    }

    [Theory]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    [InlineData(false, true, false)]
    public async Task Link_targets_are_cached_only_where_nothing_can_change(bool readOnly, bool live, bool cached)
    {
        await using var harness = await Raw(FuseHarness.Caps(readOnly, live));
        harness.Channel.Send(FuseBytes.Init(7, 45, 131072, uint.MaxValue, uint.MaxValue));
        uint flags = (await harness.Channel.NextAsync()).Payload().U32(12);
        ((flags & (1u << 23)) != 0).Should().Be(cached);
    }

    [Fact]
    public async Task Without_max_pages_requests_stay_at_32_pages()
    {
        await using var harness = await Raw(FuseHarness.Caps());
        harness.Channel.Send(FuseBytes.Init(7, 31, 131072, 1, null));
        byte[] payload = (await harness.Channel.NextAsync()).Payload();
        payload.U32(12).Should().Be(1);
        payload.U32(20).Should().Be(131072);
        payload.U16(28).Should().Be(0);
    }

    [Fact]
    public async Task Lookup_answers_an_entry()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("größe", new byte[1025]);
        file.Uid = 7;
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        byte[] reply = await harness.AskAsync(Opcode.Lookup, 1, w => w.Name("größe"));
        Hex(reply.Payload()).Should().Be(Hex(new FuseBytes().U64(file.Id.Value).U64(0).U64(3600).U64(60).U32(500_000_000).U32(250_000_000)
            .Raw(Attributes(file, 1025, 3, 0x81A4, 1, 7, 501)).ToArray()));
        file.References.Should().Be(1);
    }

    [Fact]
    public async Task Lookup_of_nothing_is_cached_for_the_negative_time()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        byte[] reply = await harness.AskAsync(Opcode.Lookup, 1, w => w.Name("nothing"));
        reply.Error().Should().Be(0);
        Hex(reply.Payload()).Should().Be(Hex(new FuseBytes().U64(0).U64(0).U64(1).Raw(new byte[104]).ToArray()));
    }

    [Fact]
    public async Task Lookup_of_nothing_is_an_error_where_it_must_not_be_cached()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps() with { NegativeTtl = TimeSpan.Zero }));
        (await harness.AskAsync(Opcode.Lookup, 1, w => w.Name("nothing"))).Error().Should().Be(-2);
    }

    [Fact]
    public async Task A_node_can_have_times_of_its_own()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "x");
        file.EntryTtl = TimeSpan.Zero;
        file.AttrTtl = TimeSpan.FromMilliseconds(2500);
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        byte[] entry = (await harness.AskAsync(Opcode.Lookup, 1, w => w.Name("a"))).Payload();
        (entry.U64(16), entry.U32(32)).Should().Be((0UL, 0u));
        (entry.U64(24), entry.U32(36)).Should().Be((2UL, 500_000_000u));
    }

    [Fact]
    public async Task Names_over_the_bound_are_refused_as_the_kernel_lets_them_through()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        fs.File("a", "x");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        string name = new('x', 256);
        (await harness.AskAsync(Opcode.Lookup, 1, w => w.Name(name))).Error().Should().Be(-36);
        (await harness.AskAsync(Opcode.MkDir, 1, w => w.U32(0).U32(0).Name(name))).Error().Should().Be(-36);
        (await harness.AskAsync(Opcode.Create, 1, w => w.U64(0).U64(0).Name(name))).Error().Should().Be(-36);
        (await harness.AskAsync(Opcode.Rename, 1, w => w.U64(1).Name("a").Name(name))).Error().Should().Be(-36);
        (await harness.AskAsync(Opcode.MkDir, 1, w => w.U32(0).U32(0).Name(name[1..]))).Error().Should().Be(0);
    }

    [Fact]
    public async Task Getattr_answers_attributes_with_the_node_s_own_time()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "abc");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        byte[] reply = await harness.AskAsync(Opcode.GetAttr, file.Id.Value, w => w.U32(0).U32(0).U64(0));
        Hex(reply.Payload()).Should().Be(Hex(new FuseBytes().U64(60).U32(250_000_000).U32(0).Raw(Attributes(file, 3, 1, 0x81A4, 1, 500, 501)).ToArray()));

        file.AttrTtl = TimeSpan.Zero;
        file.MtimeNs = -1;
        byte[] now = (await harness.AskAsync(Opcode.GetAttr, file.Id.Value, w => w.U32(0).U32(0).U64(0))).Payload();
        now.U64(0).Should().Be(0);
        now.U64(16 + 32).Should().Be(ulong.MaxValue, "a moment before 1970 is second -1");
        now.U32(16 + 52).Should().Be(999_999_999);
    }

    [Fact]
    public async Task Setattr_hands_on_only_the_valid_fields()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "abcdef");
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000));
        await using FuseHarness harness = await FuseHarness.StartAsync(fs, time: time);
        Action<FuseBytes> arguments(uint valid) => w => w.U32(valid).U32(0).U64(0).U64(4).U64(0).I64(11).I64(12).I64(13).U32(1).U32(2_000_000).U32(3)
            .U32(0x8000 | 0x180).U32(0).U32(42).U32(43).U32(0);

        (await harness.AskAsync(Opcode.SetAttr, file.Id.Value, arguments(8))).Error().Should().Be(0);
        System.Text.Encoding.UTF8.GetString(file.Data).Should().Be("abcd");
        file.Mode.Should().Be(0x1A4);

        byte[] all = (await harness.AskAsync(Opcode.SetAttr, file.Id.Value, arguments(1 | 2 | 4 | 32))).Payload();
        (file.Mode, file.Uid, file.Gid, file.MtimeNs).Should().Be((0x180u, 42u, 43u, 12_002_000_000L));
        all.U32(16 + 60).Should().Be(0x8180);

        await harness.AskAsync(Opcode.SetAttr, file.Id.Value, arguments(32 | 256));
        file.MtimeNs.Should().Be(1_700_000_000_000_000_000);
    }

    [Fact]
    public async Task Readlink_answers_the_bytes_without_a_terminator()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode link = fs.Symlink("l", "../größe");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        (await harness.AskAsync(Opcode.ReadLink, link.Id.Value)).Payload().Text().Should().Be("../größe");
    }

    [Fact]
    public async Task Names_are_made_removed_and_renamed_with_the_caller_s_umask()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);

        (await harness.AskAsync(Opcode.MkDir, 1, w => w.U32(0x41FF).U32(0x12).Name("dir"))).Payload().U32(40 + 60).Should().Be(0x41ED);
        (await harness.AskAsync(Opcode.MkNod, 1, w => w.U32(0x81B6).U32(0).U32(0x12).U32(0).Name("file"))).Payload().U32(40 + 60).Should().Be(0x81A4);
        (await harness.AskAsync(Opcode.MkNod, 1, w => w.U32(0x1000 | 0x1B6).U32(0).U32(0x12).U32(0).Name("pipe"))).Error().Should().Be(-1);
        byte[] link = (await harness.AskAsync(Opcode.SymLink, 1, w => w.Name("link").Name("tar/get"))).Payload();
        link.U32(40 + 60).Should().Be(0xA1FF);
        fs.At("link").Data.Text().Should().Be("tar/get");
        fs.At("file").Uid.Should().Be(1000);
        (await harness.AskAsync(Opcode.Link, 1, w => w.U64(3).Name("hard"))).Error().Should().Be(-1, "EPERM lets git and rsync fall back");

        (await harness.AskAsync(Opcode.Rename, 1, w => w.U64(fs.At("dir").Id.Value).Name("file").Name("moved"))).Error().Should().Be(0);
        fs.At("dir/moved").Kind.Should().Be(NodeKind.File);
        Action<FuseBytes> rename2(uint flags) => w => w.U64(1).U32(flags).U32(0).Name("link").Name("dir");
        (await harness.AskAsync(Opcode.Rename2, 1, rename2(1))).Error().Should().Be(-17);
        (await harness.AskAsync(Opcode.Rename2, 1, rename2(4))).Error().Should().Be(-22, "there are no whiteouts");
        (await harness.AskAsync(Opcode.Rename2, 1, rename2(2))).Error().Should().Be(0);
        fs.At("link").Kind.Should().Be(NodeKind.Directory);

        (await harness.AskAsync(Opcode.Unlink, 1, w => w.Name("link"))).Error().Should().Be(-21);
        (await harness.AskAsync(Opcode.RmDir, 1, w => w.Name("link"))).Error().Should().Be(-39);
        (await harness.AskAsync(Opcode.RmDir, 1, w => w.Name("dir"))).Error().Should().Be(-20);
        (await harness.AskAsync(Opcode.Unlink, 1, w => w.Name("dir"))).Error().Should().Be(0);
        (await harness.AskAsync(Opcode.Unlink, 1, w => w.Name("dir"))).Error().Should().Be(-2);
    }

    [Fact]
    public async Task Open_read_write_flush_fsync_release()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "hello");
        TreeFsNode status = fs.Status("s", "generated");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);

        byte[] open = (await harness.AskAsync(Opcode.Open, file.Id.Value, w => w.U32(0).U32(0))).Payload();
        open.Should().HaveCount(16);
        open.U32(8).Should().Be(2 | 32, "KEEP_CACHE, and NOFLUSH as it only reads");
        (await harness.AskAsync(Opcode.Open, status.Id.Value, w => w.U32(0).U32(0))).Payload().U32(8).Should().Be(1 | 32, "DIRECT_IO");
        byte[] write = (await harness.AskAsync(Opcode.Open, file.Id.Value, w => w.U32(2).U32(0))).Payload();
        write.U32(8).Should().Be(2);
        byte[] append = (await harness.AskAsync(Opcode.Open, file.Id.Value, w => w.U32(1 | 0x400).U32(0))).Payload();

        (await harness.AskAsync(Opcode.Read, file.Id.Value, FuseHarness.ReadArguments(open.U64(0), 1, 3))).Payload().Text().Should().Be("ell");
        (await harness.AskAsync(Opcode.Read, file.Id.Value, FuseHarness.ReadArguments(open.U64(0), 5, 3))).Should().HaveCount(16);
        (await harness.AskAsync(Opcode.Read, file.Id.Value, FuseHarness.ReadArguments(99, 0, 3))).Error().Should().Be(-9);
        (await harness.AskAsync(Opcode.Read, file.Id.Value, FuseHarness.ReadArguments(open.U64(0), ulong.MaxValue, 3))).Error().Should().Be(-22);

        Action<FuseBytes> data(ulong handle, string text) => w =>
            w.U64(handle).U64(1).U32((uint)text.Length).U32(0).U64(0).U32(0).U32(0).Raw(System.Text.Encoding.UTF8.GetBytes(text));
        Hex((await harness.AskAsync(Opcode.Write, file.Id.Value, data(write.U64(0), "EL"))).Payload()).Should().Be("0200000000000000");
        await harness.AskAsync(Opcode.Write, file.Id.Value, data(append.U64(0), "!"));
        file.Data.Text().Should().Be("hELlo!");
        (await harness.AskAsync(Opcode.Write, file.Id.Value, w => w.U64(write.U64(0)).U64(0).U32(9).U32(0).U64(0).U32(0).U32(0))).Error().Should().Be(-22);

        (await harness.AskAsync(Opcode.Flush, file.Id.Value, w => w.U64(write.U64(0)).U64(0).U64(0))).Error().Should().Be(0);
        (await harness.AskAsync(Opcode.FSync, file.Id.Value, w => w.U64(write.U64(0)).U32(1).U32(0))).Error().Should().Be(0);
        fs.OpenHandles.Should().Be(4);
        (await harness.AskAsync(Opcode.Release, file.Id.Value, w => w.U64(write.U64(0)).U32(2).U32(0).U64(0))).Error().Should().Be(0);
        fs.OpenHandles.Should().Be(3);
        fs.LeasesOut.Should().Be(0);
    }

    [Fact]
    public async Task A_write_of_a_megabyte_arrives_whole()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong handle = await harness.OpenAsync(file, 1);
        byte[] data = new byte[1 << 20];
        new Random(5).NextBytes(data);
        byte[] reply = await harness.AskAsync(Opcode.Write, file.Id.Value, w => w.U64(handle).U64(0).U32(1 << 20).U32(0).U64(0).U32(0).U32(0).Raw(data));
        reply.Payload().U32(0).Should().Be(1 << 20);
        file.Data.Should().Equal(data);
    }

    [Fact]
    public async Task Create_answers_entry_and_handle()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        byte[] payload = (await harness.AskAsync(Opcode.Create, 1, w => w.U32(0x80 | 2).U32(0x81B6).U32(0x12).U32(0).Name("new"))).Payload();
        payload.Should().HaveCount(144);
        payload.U64(0).Should().Be(fs.At("new").Id.Value);
        payload.U32(40 + 60).Should().Be(0x81A4);
        payload.U32(128 + 8).Should().Be(2);
        (await harness.AskAsync(Opcode.Create, 1, w => w.U32(0x80 | 2).U32(0x81B6).U32(0).U32(0).Name("new"))).Error().Should().Be(-17);
    }

    [Fact]
    public async Task A_mount_that_is_never_written_ends_flush_for_good()
    {
        var fs = new TreeFs(FuseHarness.Caps(readOnly: true, live: false));
        TreeFsNode file = fs.File("a", "x");
        fs.Folder("d");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong handle = await harness.OpenAsync(file);
        (await harness.AskAsync(Opcode.Flush, file.Id.Value, w => w.U64(handle).U64(0).U64(0))).Error().Should().Be(-38);
        (await harness.AskAsync(Opcode.OpenDir, 1, w => w.U32(0).U32(0))).Payload().U32(8).Should().Be(2 | 8, "CACHE_DIR");
        (await harness.AskAsync(Opcode.MkDir, 1, w => w.U32(0x1FF).U32(0).Name("x"))).Error().Should().Be(-30);
    }

    [Fact]
    public async Task Readdir_packs_records_and_stops_before_one_that_does_not_fit()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("12345678", "x");
        TreeFsNode folder = fs.Folder("d");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong handle = (await harness.AskAsync(Opcode.OpenDir, 1, w => w.U32(0).U32(0))).Payload().U64(0);

        byte[] first = (await harness.AskAsync(Opcode.ReadDir, 1, FuseHarness.ReadArguments(handle, 0, 127))).Payload();
        Hex(first).Should().Be(Hex(new FuseBytes()
            .U64(fs.Root.FileNumber).U64(1).U32(1).U32(4).Raw([(byte)'.', 0, 0, 0, 0, 0, 0, 0])
            .U64(fs.Root.FileNumber).U64(2).U32(2).U32(4).Raw([(byte)'.', (byte)'.', 0, 0, 0, 0, 0, 0])
            .U64(file.FileNumber).U64(3).U32(8).U32(8).Raw(System.Text.Encoding.ASCII.GetBytes("12345678")).ToArray()));
        byte[] rest = (await harness.AskAsync(Opcode.ReadDir, 1, FuseHarness.ReadArguments(handle, 3, 127))).Payload();
        rest.U64(0).Should().Be(folder.FileNumber);
        rest.U32(20).Should().Be(4);
        (await harness.AskAsync(Opcode.ReadDir, 1, FuseHarness.ReadArguments(handle, 4, 127))).Should().HaveCount(16, "an empty reply is the end");
        fs.References().Should().Be(0);
        (await harness.AskAsync(Opcode.FSyncDir, 1, w => w.U64(handle).U32(0).U32(0))).Error().Should().Be(0);
        (await harness.AskAsync(Opcode.ReleaseDir, 1, w => w.U64(handle).U32(0).U32(0).U64(0))).Error().Should().Be(0);
        fs.OpenHandles.Should().Be(0);
    }

    [Fact]
    public async Task Readdirplus_counts_a_lookup_for_each_entry_but_the_dots()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "xyz");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong handle = (await harness.AskAsync(Opcode.OpenDir, 1, w => w.U32(0).U32(0))).Payload().U64(0);
        byte[] listing = (await harness.AskAsync(Opcode.ReadDirPlus, 1, FuseHarness.ReadArguments(handle, 0, 4096))).Payload();

        listing.Should().HaveCount(3 * 160);
        listing.U64(0).Should().Be(0, "'.' is no lookup");
        listing.U64(160).Should().Be(0, "'..' is no lookup");
        listing.U64(320).Should().Be(file.Id.Value);
        listing.U64(320 + 16).Should().Be(3600);
        listing.U64(320 + 40 + 8).Should().Be(3, "the size is in the entry");
        listing.U64(320 + 128).Should().Be(file.FileNumber);
        fs.References().Should().Be(1);
    }

    [Fact]
    public async Task Attributes_of_the_volume_and_extended_ones()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "x");
        file.Xattrs["user.dat"] = [1, 2, 3];
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);

        Hex((await harness.AskAsync(Opcode.StatFs, 1)).Payload()).Should().Be(Hex(
            new FuseBytes().U64(1000).U64(400).U64(400).U64(2).U64(77).U32(4096).U32(255).U32(4096).Raw(new byte[28]).ToArray()));
        Action<FuseBytes> get(uint size, string name) => w => w.U32(size).U32(0).Name(name);
        Hex((await harness.AskAsync(Opcode.GetXattr, file.Id.Value, get(0, "user.dat"))).Payload()).Should().Be("0300000000000000");
        (await harness.AskAsync(Opcode.GetXattr, file.Id.Value, get(16, "user.dat"))).Payload().Should().Equal(1, 2, 3);
        (await harness.AskAsync(Opcode.GetXattr, file.Id.Value, get(2, "user.dat"))).Error().Should().Be(-34);
        (await harness.AskAsync(Opcode.GetXattr, file.Id.Value, get(2, "user.no"))).Error().Should().Be(-61);
        (await harness.AskAsync(Opcode.ListXattr, file.Id.Value, w => w.U32(64).U32(0))).Payload().Text().Should().Be("user.dat\0");
        (await harness.AskAsync(Opcode.ListXattr, file.Id.Value, w => w.U32(0).U32(0))).Payload().U32(0).Should().Be(9);

        Action<FuseBytes> set(uint flags) => w => w.U32(2).U32(flags).Name("user.new").Raw([8, 9]);
        (await harness.AskAsync(Opcode.SetXattr, file.Id.Value, set(2))).Error().Should().Be(-61, "replace only");
        (await harness.AskAsync(Opcode.SetXattr, file.Id.Value, set(1))).Error().Should().Be(0);
        (await harness.AskAsync(Opcode.SetXattr, file.Id.Value, set(1))).Error().Should().Be(-17, "create only");
        (await harness.AskAsync(Opcode.SetXattr, file.Id.Value, set(0))).Error().Should().Be(0);
        file.Xattrs["user.new"].Should().Equal(8, 9);
        (await harness.AskAsync(Opcode.RemoveXattr, file.Id.Value, w => w.Name("user.new"))).Error().Should().Be(0);
        file.Xattrs.Should().NotContainKey("user.new");
    }

    [Fact]
    public async Task Where_there_are_no_extended_attributes_the_kernel_stops_asking()
    {
        var fs = new TreeFs(FuseHarness.Caps(xattrs: false));
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        (await harness.AskAsync(Opcode.GetXattr, 1, w => w.U32(0).U32(0).Name("user.x"))).Error().Should().Be(-38);
        (await harness.AskAsync(Opcode.ListXattr, 1, w => w.U32(0).U32(0))).Error().Should().Be(-38);
    }

    [Theory]
    [InlineData(31u, -38)] // GETLK: the kernel locks by itself
    [InlineData(34u, -38)] // ACCESS: it checks by itself
    [InlineData(39u, -25)] // IOCTL
    [InlineData(40u, -38)] // POLL
    [InlineData(43u, -38)] // FALLOCATE
    [InlineData(46u, -38)] // LSEEK
    [InlineData(47u, -38)] // COPY_FILE_RANGE
    [InlineData(50u, -38)] // SYNCFS
    [InlineData(51u, -38)] // TMPFILE
    [InlineData(52u, -38)] // STATX
    [InlineData(63u, -38)]
    [InlineData(4711u, -38)]
    public async Task Opcodes_we_lack_are_refused(uint opcode, int error)
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        (await harness.AskAsync((Opcode)opcode, 1, w => w.Raw(new byte[64]))).Error().Should().Be(error);
    }

    [Fact]
    public async Task Requests_shorter_than_their_arguments_are_invalid()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        (await harness.AskAsync(Opcode.Read, 1, w => w.U64(0))).Error().Should().Be(-22);
        (await harness.AskAsync(Opcode.Lookup, 1, w => w.Raw([65, 66]))).Error().Should().Be(-22, "the name has no end");
        (await harness.AskAsync(Opcode.SetXattr, 1, w => w.U32(5).U32(0).Name("n").Raw([1]))).Error().Should().Be(-22);
        (await harness.AskAsync(Opcode.Destroy, 0)).Error().Should().Be(0);
    }

    private static byte[] Attributes(TreeFsNode node, ulong size, ulong blocks, uint mode, uint links, uint uid, uint gid) =>
        new FuseBytes().U64(node.FileNumber).U64(size).U64(blocks).U64(1_500_000_000).U64(1_500_000_000).U64(1_500_000_000)
            .U32(123_000_000).U32(123_000_000).U32(123_000_000).U32(mode).U32(links).U32(uid).U32(gid).U32(0).U32(4096).U32(0).ToArray();

    private static string Hex(byte[] bytes) => Convert.ToHexStringLower(bytes);

    private static Task<RawSession> Raw(MountCapabilities caps)
    {
        var raw = new RawSession(new TreeFs(caps));
        raw.Session.Start();
        return Task.FromResult(raw);
    }

    /// <summary>A session before INIT.</summary>
    private sealed class RawSession : IAsyncDisposable
    {
        public RawSession(IMountFs fs) => Session = new FuseSession(fs, Channel, new SessionOptions { Threads = 1 }, new FuseLogLines());

        public FuseChannelFake Channel { get; } = new();

        public FuseSession Session { get; }

        public async ValueTask DisposeAsync()
        {
            Channel.Unmount();
            await Session.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        }
    }
}
