using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;
using static DatFs.Unit.DamagedFeed;

namespace DatFs.Unit;

/// <summary>What becomes of each damage in the table of hypercore.md §16, and of some more, when a feed is opened.</summary>
public sealed class FeedDamageTests
{
    private const int PageBytes = SleepHeader.BitfieldEntry;
    private const int DataBits = SleepHeader.Size;
    private const int TreeBits = SleepHeader.Size + BitfieldPage.DataBytes;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_bitfield_older_than_the_other_files_is_brought_forward(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 3, 1, 9, 4);
        files.TakeBack("bitfield", 2);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(17, "the last signature was written after all that it signs");
        feed.LostBlocks.Should().Be(0);
        (await HeldAsync(feed)).Should().Equal(Upto(writer ? 17 : 4), "an owner finds their blocks again, and a reader fetches them again");
        await GoesOn(files, feed, 17);
    }

    [Fact]
    public async Task A_lost_bitfield_costs_an_owner_nothing_however_many_signatures_there_are()
    {
        int appends = FeedRecovery.MaxChecks + 100;
        DamagedFeed files = await CreateAsync(writer: true, [.. Enumerable.Repeat(1, appends)]);
        files.Cut("bitfield", SleepHeader.Size);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(appends);
        feed.HeldBlocks.Should().Be(appends);
        feed.LostBlocks.Should().Be(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_bitfield_newer_than_the_tree_goes_back_to_the_last_signature(bool writer)
    {
        foreach (int lost in (int[])[1, 4, 7])
        {
            DamagedFeed files = await CreateAsync(writer, 3, 7, lost);
            files.TakeBack("tree", 2);
            files.TakeBack("data", 2);
            await Loses(files, 10, lost);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_tree_cut_inside_goes_back_to_the_last_signature_that_still_holds(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 8, 5, 1, 1, 5);
        files.Cut("tree", (int)TreeFile.OffsetOf(25) + 17);
        await Loses(files, 13, 7);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_tree_cut_below_its_roots_keeps_the_length_and_gives_up_the_blocks(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 8);
        files.Cut("tree", (int)TreeFile.OffsetOf(11));
        await using Feed feed = files.Open();
        feed.Length.Should().Be(8, "its one root is there and signed");
        feed.LostBlocks.Should().Be(0, "no number can be used twice");
        for (long block = 0; block < 8; block++)
        {
            feed.TryRead(block, out BlockLease lease).Should().Be(writer && block < 6, "of block {0} an owner may have the only copy, even if it cannot be proven now", block);
            lease.Dispose();
        }

        await GoesOn(files, feed, 8);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Without_the_signature_of_its_length_a_feed_goes_back_to_the_one_before(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 4, 3, 6);
        files.LoseSignature(13);
        await Loses(files, 7, 6);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_signature_that_is_not_valid_counts_as_none(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 4, 3, 6);
        files.Change("signatures", slots => slots[^10] ^= 1);
        await Loses(files, 7, 6);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Short_data_is_noticed_when_it_is_read(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 9);
        files.Cut("data", (int)Enumerable.Range(0, 7).Sum(i => Content(i).Length) + 3);
        await using (Feed feed = files.Open())
        {
            feed.Length.Should().Be(9);
            for (long block = 0; block < 9; block++)
            {
                feed.TryRead(block, out BlockLease lease).Should().Be(block < 7, $"block {block}");
                lease.Dispose();
            }

            feed.FirstMissing(0, 9).Should().Be(7, "what is not there is no longer promised");
        }

        await using Feed again = files.Open();
        (await HeldAsync(again)).Should().Equal(Upto(7));
        await GoesOn(files, again, 9);
    }

    [Theory]
    [InlineData(true, TreeBits + 1)]
    [InlineData(true, TreeBits)]
    [InlineData(true, DataBits + 1)]
    [InlineData(true, DataBits)]
    [InlineData(false, TreeBits + 1)]
    [InlineData(false, TreeBits)]
    [InlineData(false, DataBits + 1)]
    public async Task A_short_page_counts_as_zeros_and_is_completed(bool writer, int size)
    {
        DamagedFeed files = await CreateAsync(writer, 3, 4, 13);
        files.Cut("bitfield", size);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(20);
        List<long> held = await HeldAsync(feed);
        if (writer) held.Should().Equal(Upto(20));
        await GoesOn(files, feed, 20);
        RecordedFeed.Read(files.Folder, "bitfield").Should().HaveCount(SleepHeader.Size + PageBytes, "pages are written whole");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_page_whose_halves_are_of_different_age_is_put_right(bool writer)
    {
        DamagedFeed data = await CreateAsync(writer, 3, 9);
        data.Change("bitfield", page => page.AsSpan(DataBits + 1, BitfieldPage.DataBytes - 1).Clear());
        DamagedFeed tree = await CreateAsync(writer, 3, 9);
        tree.Change("bitfield", page => page.AsSpan(TreeBits + 1, BitfieldPage.TreeBytes - 1).Clear());
        foreach (DamagedFeed files in (DamagedFeed[])[data, tree])
        {
            await using Feed feed = files.Open();
            feed.Length.Should().Be(12);
            (await HeldAsync(feed)).Should().Equal(Upto(writer ? 12 : files == data ? 8 : 4));
            await GoesOn(files, feed, 12);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Nodes_that_lost_the_nodes_above_them_are_linked_again(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 16);
        files.Change("bitfield", page =>
        {
            foreach (int node in (int[])[1, 3, 7, 10, 29]) page[TreeBits + node / 8] &= (byte)~(0x80 >> node % 8);
        });
        await using Feed feed = files.Open();
        feed.Length.Should().Be(16);
        (await HeldAsync(feed)).Should().Equal(Upto(16).Where(block => writer || block != 5));
        await GoesOn(files, feed, 16);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_node_that_was_lost_with_its_bit_is_computed(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 16);
        files.LoseNodes(5);
        files.Change("bitfield", page => page[TreeBits] &= 0b1111_1011);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(16);
        (await HeldAsync(feed)).Should().Equal(Upto(16));
        await GoesOn(files, feed, 16);
    }

    [Fact]
    public async Task A_node_that_leads_nowhere_is_forgotten_and_fetched_again()
    {
        DamagedFeed files = await CreateAsync(writer: false, 16);
        files.LoseNodes(4, 5);
        files.Change("bitfield", page => page[TreeBits] &= 0b1111_1011);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(16);
        (await HeldAsync(feed)).Should().Equal(Upto(16).Where(block => block >= 4));
        await GoesOn(files, feed, 16);
    }

    [Fact]
    public async Task An_owner_keeps_what_can_be_read_though_not_proven()
    {
        DamagedFeed files = await CreateAsync(writer: true, 16);
        files.LoseNodes(4, 5);
        files.Change("bitfield", page => page[TreeBits] &= 0b1111_1011);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(16);
        feed.TryRead(0, out BlockLease lease).Should().BeTrue();
        lease.Memory.ToArray().Should().Equal(Content(0));
        lease.Dispose();
        feed.TryProve(0, 0, false, new RemoteTree(), out _, out _).Should().BeFalse();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_lost_page_in_the_middle_costs_an_owner_nothing(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 3, 8192, 50);
        files.Change("bitfield", pages => pages.AsSpan(SleepHeader.Size, PageBytes).Clear());
        await using Feed feed = files.Open();
        feed.Length.Should().Be(8245);
        feed.LostBlocks.Should().Be(0);
        List<long> held = await HeldAsync(feed);
        if (writer) held.Should().Equal(Upto(8245));
        else held.Should().Equal(Upto(8245).Where(block => block >= 8192));
        await GoesOn(files, feed, 8245);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Lost_roots_are_computed_from_the_nodes_below(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 3, 8);
        files.LoseNodes(7, 17);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(11);
        (await HeldAsync(feed)).Should().Equal(Upto(11));
        RecordedFeed.Read(files.Folder, "tree").Should().Equal(RecordedFeed.Read(files.Whole, "tree"));
        await GoesOn(files, feed, 11);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_damaged_root_is_computed_from_the_nodes_below(bool writer)
    {
        foreach (int at in (int[])[0, 33])
        {
            DamagedFeed files = await CreateAsync(writer, 3, 8);
            files.Change("tree", tree => tree[TreeFile.OffsetOf(7) + at] ^= 0x80);
            await using Feed feed = files.Open();
            feed.Length.Should().Be(11);
            (await HeldAsync(feed)).Should().Equal(Upto(11));
            await GoesOn(files, feed, 11);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_lost_node_below_the_roots_is_reported_by_what_needs_it(bool writer)
    {
        DamagedFeed files = await CreateAsync(writer, 16);
        files.LoseNodes(5);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(16);
        FluentActions.Invoking(() => feed.TryRead(6, out _)).Should().NotThrow("node 3 tells where block 6 lies");
        FluentActions.Invoking(() => feed.TryProve(0, 0, false, new RemoteTree(), out _, out _)).Should().Throw<DatException>()
            .Where(e => e.Error == DatError.Corrupt && e.Message.Contains("Tree node 5"));
    }

    [Fact]
    public async Task A_loss_is_remembered_until_peers_make_it_good()
    {
        DamagedFeed files = await CreateAsync(writer: true, 4, 6);
        files.LoseSignature(10);
        for (int opened = 0; opened < 3; opened++)
        {
            await using Feed feed = files.Open();
            feed.LostBlocks.Should().Be(6);
            await Refused(feed);
        }

        await using (Feed feed = files.Open())
        {
            await using Feed peer = files.OpenPeer();
            await FetchAllAsync(peer, feed);
            feed.LostBlocks.Should().Be(0);
            await feed.AppendAsync([Content(10)], default);
        }

        await using Feed again = files.Open();
        again.LostBlocks.Should().Be(0);
        (await HeldAsync(again)).Should().Equal(Upto(11));
        files.Folder.Exists(FeedFiles.LostName).Should().BeFalse();
    }

    [Fact]
    public async Task An_owner_may_give_up_what_was_lost()
    {
        DamagedFeed files = await CreateAsync(writer: true, 4, 6);
        files.LoseSignature(10);
        await using (Feed feed = files.Open(appendAfterLoss: true))
        {
            feed.LostBlocks.Should().Be(6);
            await feed.AppendAsync([Content(4)], default);
            feed.LostBlocks.Should().Be(0);
        }

        await using Feed again = files.Open();
        again.Length.Should().Be(5);
        again.LostBlocks.Should().Be(0);
        await again.AppendAsync([Content(5)], default);
    }

    [Fact]
    public async Task Bytes_that_were_lost_with_their_bits_are_no_reason_to_sign_anew()
    {
        DamagedFeed files = await CreateAsync(writer: true, 4, 6);
        files.TakeBack("bitfield", 1);
        files.TakeBack("data", 1);
        await using Feed feed = files.Open();
        feed.Length.Should().Be(4);
        feed.LostBlocks.Should().Be(6, "their signature is there, so peers may have them");
        await Refused(feed);
    }

    [Fact]
    public async Task A_cleared_block_stays_cleared()
    {
        DamagedFeed files = await CreateAsync(writer: true, 4, 6);
        await using (Feed feed = files.Open()) await feed.ClearAsync(1, 7, default);
        await using Feed again = files.Open();
        (await HeldAsync(again)).Should().Equal(0, 7, 8, 9);
    }

    [Fact]
    public async Task Pages_that_promise_too_much_to_other_programs_are_written_again()
    {
        DamagedFeed files = await CreateAsync(writer: false, 40);
        byte[] good = RecordedFeed.Read(files.Folder, "bitfield")!;
        files.Change("bitfield", page => page.AsSpan(SleepHeader.Size + BitfieldPage.Size).Fill(0xFF));
        await using (files.Open())
        {
        }

        RecordedFeed.Read(files.Folder, "bitfield").Should().Equal(good, "an index of ones hides missing blocks from hypercore");
        files.Change("bitfield", page => page[TreeBits + 3] = 0);
        await using (files.Open())
        {
        }

        (RecordedFeed.Read(files.Folder, "bitfield")![DataBits + 1] & 0x0F).Should().Be(0, "blocks 12 to 15 have no leaves");
    }

    [Theory]
    [InlineData("secret_key", 0)]
    [InlineData("secret_key", 64)]
    [InlineData("tree", 32)]
    [InlineData("signatures", 32)]
    [InlineData("bitfield", 32)]
    [InlineData("key", 32)]
    [InlineData("key", 0)]
    public async Task A_creation_that_was_interrupted_is_done_again(string name, int zeros)
    {
        MemoryFolder folder = new();
        await Feed.Open(new FeedFiles(folder), new FeedOptions { CreateKeyPair = true }).DisposeAsync();
        folder.Delete("key");
        RecordedFeed.Write(folder, name, new byte[zeros]);
        if (zeros > 0)
        {
            using IRandomAccessFile file = folder.Open(name, FileUse.ReadWrite)!;
            file.SetLength(zeros);
        }

        await using (Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { CreateKeyPair = true }))
        {
            feed.Writable.Should().BeTrue();
            await feed.AppendAsync([Content(1)], default);
        }

        await using Feed again = Feed.Open(new FeedFiles(folder), new FeedOptions());
        again.Length.Should().Be(1);
        again.Writable.Should().BeTrue();
    }

    private static IEnumerable<long> Upto(int length) => Enumerable.Range(0, length).Select(i => (long)i);

    private static Task Refused(Feed feed) => FluentActions.Awaiting(() => feed.AppendAsync([new byte[1]], default).AsTask()).Should()
        .ThrowAsync<DatException>().Where(e => e.Error == DatError.NotWritable && e.Message.Contains("peers may have"));

    private static async Task Loses(DamagedFeed files, int kept, int lost)
    {
        await using Feed feed = files.Open();
        feed.Length.Should().Be(kept);
        (await HeldAsync(feed)).Should().Equal(Upto(kept));
        feed.LostBlocks.Should().Be(files.IsWriter ? lost : 0);
        if (files.IsWriter) await Refused(feed);
        else new SignatureSlots(files.Folder).Count.Should().BeLessThanOrEqualTo(kept, "abandoned signatures are not picked up later");
        await GoesOn(files, feed, kept + lost);
    }

    // Peers who saw everything find nothing that they did not know, and the feed grows for them.
    private static async Task GoesOn(DamagedFeed files, Feed feed, int length)
    {
        await using Feed peer = files.OpenPeer();
        await FetchAllAsync(peer, feed);
        (await HeldAsync(feed)).Should().Equal(Upto(length));
        if (files.IsWriter) await feed.AppendAsync([Content(length), Content(length + 1)], default);
        long whole = feed.Length;
        await feed.DisposeAsync();

        await using Feed again = files.Open();
        (await HeldAsync(again)).Should().Equal(Upto((int)whole));
        again.LostBlocks.Should().Be(0);
        await using Feed onlooker = Feed.Open(new FeedFiles(files.Whole.Clone()), new FeedOptions());
        await FetchAllAsync(again, onlooker);
        onlooker.Length.Should().Be(whole);
    }

    private readonly struct SignatureSlots(IStorageFolder folder)
    {
        public int Count => (RecordedFeed.Read(folder, "signatures")!.Length - SleepHeader.Size) / SleepHeader.SignatureEntry;
    }
}
