using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Drives.Hyperdb;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Drives of several writers that are written here; the writers are told of each other's entries through storage alone.</summary>
public sealed class HyperdbWritingTests
{
    [Fact]
    public async Task What_is_written_is_read_back_and_earlier_versions_stay()
    {
        await using HyperdbDrive drive = await CreateAsync(new MemoryFolder());
        byte[] big = SeededBytes.Take(3, 0, 70 * HyperdbDrive.BlockSize + 17);
        (await PutAsync(drive, "/a/big", big)).Should().Be(1);
        (await PutAsync(drive, "/empty", [])).Should().Be(2);
        (await PutAsync(drive, "/a/big", "small"u8.ToArray(), new DriveAttributes(0x1ED, 77))).Should().Be(3);
        (await drive.MakeDirectoryAsync(DrivePath.From("/d"), DriveAttributes.Directory, Token)).Should().Be(4);
        (await drive.DeleteAsync(DrivePath.From("/empty"), Token)).Should().Be(5);

        (await ReadAsync(drive.Live, "/a/big")).Should().Equal("small"u8.ToArray());
        DriveEntry now = (await drive.Live.FindAsync(DrivePath.From("/a/big"), Token))!;
        (now.Mode, now.MtimeMs, now.Seq, now.Writer).Should().Be((0x1EDu, 77, 3, drive.OwnKey!.Value.ToHex()));
        (await ReadAsync(await drive.CheckoutAsync(2, Token), "/a/big")).Should().Equal(big);
        (await NamesAsync(await drive.CheckoutAsync(4, Token), "/")).Should().Equal("a", "d", "empty");
        (await NamesAsync(drive.Live, "/")).Should().Equal("a", "d");
        (await drive.Live.FindAsync(DrivePath.From("/d"), Token))!.Kind.Should().Be(EntryKind.Directory);
    }

    [Theory]
    [InlineData("/", DatError.Invalid)]
    [InlineData("/file/below", DatError.Invalid)]
    [InlineData("/dir", DatError.Invalid)]
    [InlineData("/implicit", DatError.Invalid)]
    [InlineData("/a/../b", DatError.Invalid)]
    [InlineData("/a//b", DatError.Invalid)]
    [InlineData("/nul\0", DatError.Invalid)]
    public async Task A_file_goes_only_where_a_file_can_be(string path, DatError expected)
    {
        await using HyperdbDrive drive = await CreateAsync(new MemoryFolder());
        await PutAsync(drive, "/file", [1]);
        await PutAsync(drive, "/implicit/x", [1]);
        await drive.MakeDirectoryAsync(DrivePath.From("/dir"), DriveAttributes.Directory, Token);
        long before = drive.Live.Version;
        (await FluentActions.Awaiting(() => PutAsync(drive, path, [2])).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(expected);
        drive.Live.Version.Should().Be(before);
    }

    [Fact]
    public async Task Only_what_is_there_and_empty_is_removed()
    {
        await using HyperdbDrive drive = await CreateAsync(new MemoryFolder());
        await PutAsync(drive, "/dir/x", [1]);
        (await FluentActions.Awaiting(async () => await drive.DeleteAsync(DrivePath.From("/no"), Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.NotFound);
        (await FluentActions.Awaiting(async () => await drive.DeleteAsync(DrivePath.From("/dir"), Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Invalid);
        await drive.DeleteAsync(DrivePath.From("/dir/x"), Token);
        (await drive.Live.FindAsync(DrivePath.From("/dir"), Token)).Should().BeNull("it was only there because of what was in it");
    }

    [Fact]
    public async Task Who_was_not_let_write_cannot()
    {
        MemoryFolder made = new();
        await using HyperdbDrive maker = await CreateAsync(made);
        await using HyperdbDrive other = await OpenAsync(new MemoryFolder(), maker.Key);
        other.Writable.Should().BeFalse();
        other.Status.ReadOnlyBecause.Should().Contain("datmount writer");
        (await FluentActions.Awaiting(() => PutAsync(other, "/x", [1])).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.NotWritable);
        (await FluentActions.Awaiting(async () => await other.AuthorizeAsync(maker.Key, Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.NotWritable);
    }

    [Fact]
    public async Task Two_writers_who_did_not_know_of_each_other_are_a_conflict_until_somebody_writes_again()
    {
        using TwoWriters two = await TwoWriters.MakeAsync();
        await PutAsync(two.A, "/f.txt", "from a"u8.ToArray(), At(1000));
        await PutAsync(two.B, "/f.txt", "from b"u8.ToArray(), At(2000));
        await PutAsync(two.B, "/.git/index", "from b"u8.ToArray(), At(1));
        await PutAsync(two.A, "/.git/index", "from a"u8.ToArray(), At(2));
        await two.MeetAsync();
        foreach (HyperdbDrive drive in two.Both)
        {
            (await ReadAsync(drive.Live, "/f.txt")).Should().Equal("from b"u8.ToArray());
            DriveConflict conflict = (await ConflictsAsync(drive)).Single(one => one.Path.Text == "/f.txt");
            conflict.Sides.Select(side => (side.Writer, side.Shown?.Text)).Should().Equal((two.B.OwnKey!.Value, "/f.txt"), (two.A.OwnKey!.Value, $"/f (conflict {two.A.OwnKey.Value.ToHex()[..8]} 1970-01-01 000001).txt"));
            (await ReadAsync(drive.Live, conflict.Sides[1].Shown!.Value.Text)).Should().Equal("from a"u8.ToArray());
            (await drive.Live.FindAsync(DrivePath.From("/f.txt"), Token))!.Losers.Should().Be(1);
            (await NamesAsync(drive.Live, "/.git")).Should().Equal(["index"], "tools that look for their own files find only those");
        }

        two.A.Label(two.B.OwnKey!.Value, "bob: home");
        two.A.Writers!.Choice = new Older();
        (await ReadAsync(two.A.Live, "/f.txt")).Should().Equal("from a"u8.ToArray(), "this machine chose so");
        (await NamesAsync(two.A.Live, "/")).Should().Contain("f (conflict bob_ home 1970-01-01 000002).txt");
        two.A.Writers.Choice = null;

        await PutAsync(two.A, "/f.txt", "both"u8.ToArray());
        await two.MeetAsync();
        foreach (HyperdbDrive one in two.Both)
        {
            (await ConflictsAsync(one)).Select(conflict => conflict.Path.Text).Should().Equal("/.git/index");
            (await NamesAsync(one.Live, "/")).Should().Equal(".git", "f.txt");
        }
    }

    [Fact]
    public async Task The_same_bytes_written_twice_are_no_conflict_and_a_deletion_is_noted()
    {
        using TwoWriters two = await TwoWriters.MakeAsync();
        await PutAsync(two.A, "/old", "old"u8.ToArray());
        await two.MeetAsync();
        await two.PartAsync();
        byte[] same = SeededBytes.Take(9, 0, 3 * HyperdbDrive.BlockSize);
        foreach (HyperdbDrive drive in two.Both) await PutAsync(drive, "/same", same);
        await two.A.DeleteAsync(DrivePath.From("/old"), Token);
        await PutAsync(two.B, "/old", "edited"u8.ToArray());
        await two.MeetAsync();
        foreach (HyperdbDrive drive in two.Both)
        {
            (await NamesAsync(drive.Live, "/")).Should().Equal("old", "same");
            (await ReadAsync(drive.Live, "/old")).Should().Equal("edited"u8.ToArray());
            DriveConflict conflict = (await ConflictsAsync(drive)).Should().ContainSingle().Subject;
            (conflict.Path.Text, conflict.Sides[1].Deleted, conflict.Sides[1].Shown).Should().Be(("/old", true, null));
        }
    }

    [Fact]
    public async Task What_a_writer_did_from_an_entry_on_can_be_left_out_of_ones_own_view()
    {
        using TwoWriters two = await TwoWriters.MakeAsync();
        await PutAsync(two.A, "/kept", "kept"u8.ToArray());
        await PutAsync(two.A, "/edited", "first"u8.ToArray());
        await two.MeetAsync();
        await PutAsync(two.B, "/good", "good"u8.ToArray());
        await two.B.DeleteAsync(DrivePath.From("/kept"), Token);
        await PutAsync(two.B, "/edited", "second"u8.ToArray());
        await PutAsync(two.B, "/new/deep", "new"u8.ToArray());
        await two.MeetAsync();
        List<DriveChange> heard = [];
        using IDisposable hearing = two.A.Observe(heard.Add);
        two.A.Ignore(two.B.OwnKey!.Value, 2);
        heard.Should().ContainSingle().Which.Paths.Should().BeNull("anything may look different now");
        (await NamesAsync(two.A.Live, "/")).Should().Equal("edited", "good", "kept");
        (await ReadAsync(two.A.Live, "/edited")).Should().Equal("first"u8.ToArray());
        (await two.A.Live.FindAsync(DrivePath.From("/new"), Token)).Should().BeNull();
        (await NamesAsync(two.B.Live, "/")).Should().Equal(["edited", "good", "new"], "others see it all");
        (await two.A.ListAsync(Token)).Single(one => !one.Own).IgnoredFrom.Should().Be(2);
        two.A.Ignore(two.B.OwnKey.Value, null);
        (await NamesAsync(two.A.Live, "/")).Should().Equal("edited", "good", "new");
        FluentActions.Invoking(() => two.A.Ignore(two.A.OwnKey!.Value, 1)).Should().Throw<DatException>().Which.Error.Should().Be(DatError.Invalid);
        FluentActions.Invoking(() => two.A.Ignore(two.B.OwnKey.Value, 0)).Should().Throw<DatException>().Which.Error.Should().Be(DatError.Invalid);
        FluentActions.Invoking(() => two.A.Ignore(FeedKey.From(new byte[32]), 1)).Should().Throw<DatException>().Which.Error.Should().Be(DatError.NotFound);
    }

    [Fact]
    public async Task The_log_has_each_change_before_what_its_writer_had_seen()
    {
        using TwoWriters two = await TwoWriters.MakeAsync();
        await PutAsync(two.A, "/one", [1]);
        await two.MeetAsync();
        await PutAsync(two.B, "/two", [1]);
        await two.MeetAsync();
        await PutAsync(two.A, "/one", [1, 2]);
        await two.A.DeleteAsync(DrivePath.From("/two"), Token);
        List<string> log = [];
        await foreach (DriveLogEntry entry in two.A.LogAsync(null, Token)) log.Add($"{(entry.Writer == two.A.OwnKey ? "a" : "b")}{entry.Seq} {entry.Kind} {entry.Path} {entry.Size}");
        log.Should().Equal("a4 Delete /two ", "a3 Put /one 2", "b1 Put /two 1", "a2 Put /one 1", "a1 Authorize / ");
        log.Clear();
        await foreach (DriveLogEntry entry in two.A.LogAsync(DrivePath.From("/one"), Token)) log.Add($"{entry.Seq} {entry.Size}");
        log.Should().Equal("3 2", "2 1");
        DriveWriterFacts b = (await two.A.ListAsync(Token)).Single(one => !one.Own);
        (b.AuthorizedBy, b.AuthorizedAt, b.Entries, b.Authorized).Should().Be((two.A.OwnKey, 1L, 1L, true));
    }

    [Fact]
    public async Task A_text_or_its_alias_names_a_version_on_every_machine()
    {
        using TwoWriters two = await TwoWriters.MakeAsync();
        await PutAsync(two.A, "/x", "old"u8.ToArray());
        (string text, string alias) = (two.A.Status.VersionText!, two.A.Status.VersionAlias!);
        await PutAsync(two.A, "/x", "new"u8.ToArray());
        await two.MeetAsync();
        long there = (await two.B.VersionOfAsync(text, Token))!.Value;
        (await ReadAsync(await two.B.CheckoutAsync(there, Token), "/x")).Should().Equal("old"u8.ToArray());
        (await two.A.VersionOfAsync(alias, Token)).Should().Be(2);
        (await two.B.VersionOfAsync(alias, Token)).Should().Be(there, "it was numbered by its text");
        (await two.B.VersionOfAsync("0123456789abcdef", Token)).Should().BeNull();
        (await two.B.VersionOfAsync("12", Token)).Should().BeNull();
        (await FluentActions.Awaiting(async () => await two.B.VersionOfAsync(new string('0', 66), Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Invalid);
    }

    [Fact]
    public void Notes_about_writers_are_kept_and_bounded()
    {
        MemoryFolder folder = new();
        FeedKey one = FeedKey.From(SeededBytes.Take(1, 0, 32));
        WriterNotes notes = WriterNotes.Open(folder);
        notes.Label(one, "ada");
        notes.Ignore(one, 5);
        WriterNotes again = WriterNotes.Open(folder);
        (again.LabelOf(one), again.IgnoredFrom(one), again.IgnoresAny).Should().Be(("ada", 5L, true));
        again.Ignore(one, null);
        again.Label(one, null);
        WriterNotes.Open(folder).LabelOf(one).Should().BeNull();
        string longest = new('\u20ac', IDriveWriters.MaxLabel);
        for (int i = 2; i < WriterNotes.MaxNotes + 2; i++) again.Label(FeedKey.From(SeededBytes.Take(i, 0, 32)), longest);
        FluentActions.Invoking(() => again.Label(one, "one too many")).Should().Throw<DatException>().Which.Error.Should().Be(DatError.Invalid);
        WriterNotes.Open(folder).LabelOf(FeedKey.From(SeededBytes.Take(2, 0, 32))).Should().Be(longest, "all that may be noted is read again");
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static DriveAttributes At(long ms) => new(0x1A4, ms);

    private static async Task<long> PutAsync(HyperdbDrive drive, string path, byte[] content, DriveAttributes? attributes = null) =>
        await drive.PutFileAsync(DrivePath.From(path), new MemoryStream(content), attributes ?? DriveAttributes.File, Token);

    private static async Task<HyperdbDrive> CreateAsync(MemoryFolder folder) => Drive(await Database.CreateAsync(folder, new DatabaseOptions { ContentFeeds = true }, null, Token));

    private static async Task<HyperdbDrive> OpenAsync(MemoryFolder folder, FeedKey key) => Drive(await Database.OpenAsync(folder, key, new DatabaseOptions { ContentFeeds = true }, Token));

    private static HyperdbDrive Drive(Database database) => new(database, VersionTable.Open(null), WriterNotes.Open(null), null, TimeProvider.System, NullLogger.Instance);

    private static async Task<List<DriveConflict>> ConflictsAsync(HyperdbDrive drive)
    {
        List<DriveConflict> conflicts = [];
        await foreach (DriveConflict conflict in drive.ConflictsAsync(Token)) conflicts.Add(conflict);
        return conflicts;
    }

    private static async Task<string[]> NamesAsync(IDriveView view, string path) => [.. (await view.ListAsync(DrivePath.From(path), Token))!.Select(entry => entry.Path.Name)];

    private static async Task<byte[]> ReadAsync(IDriveView view, string path)
    {
        IFileContent content = view.OpenContent((await view.FindAsync(DrivePath.From(path), Token))!);
        using MemoryStream bytes = new();
        while (bytes.Length < content.Size)
        {
            using ContentLease lease = await content.ReadAsync(bytes.Length, 1 << 20, FetchPriority.Interactive, Token);
            foreach (ReadOnlyMemory<byte> part in lease.Data) bytes.Write(part.Span);
        }

        return bytes.ToArray();
    }

    private sealed class Older : IConflictChoice
    {
        public DriveSide? Choose(DrivePath path, IReadOnlyList<DriveSide> sides) => sides.MinBy(side => side.MtimeMs);
    }

    /// <summary>A drive and its copy, both let write, which meet only when they are told to.</summary>
    private sealed class TwoWriters : IDisposable
    {
        private readonly DatFs.Replication.Replicator _first = new(new DatFs.Replication.ReplicatorOptions());
        private readonly DatFs.Replication.Replicator _second = new(new DatFs.Replication.ReplicatorOptions());

        private readonly List<MemoryTransport> _links = [];
        private readonly HashSet<Feed> _fetched = [];
        private readonly List<IDisposable> _fetching = [];
        private Task _running = Task.CompletedTask;

        public HyperdbDrive A { get; private set; } = null!;

        public HyperdbDrive B { get; private set; } = null!;

        public HyperdbDrive[] Both => [A, B];

        public static async Task<TwoWriters> MakeAsync()
        {
            TwoWriters two = new();
            two.A = Drive(await Database.CreateAsync(new MemoryFolder(), new DatabaseOptions { ContentFeeds = true, Network = two._first }, null, Token));
            two.B = Drive(await Database.OpenAsync(new MemoryFolder(), two.A.Key, new DatabaseOptions { ContentFeeds = true, Network = two._second }, Token));
            await two.A.AuthorizeAsync(two.B.OwnKey!.Value, Token);
            await two.MeetAsync();
            await two.PartAsync();
            return two;
        }

        /// <summary>Connects them, until both have all that either has, and leaves them connected.</summary>
        public async Task MeetAsync()
        {
            if (_links.Count == 0)
            {
                (MemoryTransport one, MemoryTransport other) = MemoryTransport.CreatePair();
                _links.AddRange([one, other]);
                _running = Task.WhenAll(_first.RunAsync(one, Token), _second.RunAsync(other, Token));
            }

            while (!IsSame())
            {
                Token.ThrowIfCancellationRequested();
                foreach (Feed feed in Both.SelectMany(drive => drive.Database.AllWriters).Select(writer => writer.Content).OfType<Feed>())
                    if (feed.Source is { } source && _fetched.Add(feed)) _fetching.Add(source.Download(0, long.MaxValue, DownloadOrder.NewestFirst, FetchPriority.Background));
                await Task.Yield();
            }
        }

        /// <summary>Ends the connection.</summary>
        public async Task PartAsync()
        {
            foreach (MemoryTransport link in _links) await link.DisposeAsync();
            _links.Clear();
            await _running;
        }

        public void Dispose()
        {
            foreach (IDisposable fetching in _fetching) fetching.Dispose();
            PartAsync().GetAwaiter().GetResult();
            A.DisposeAsync().AsTask().GetAwaiter().GetResult();
            B.DisposeAsync().AsTask().GetAwaiter().GetResult();
            _first.DisposeAsync().AsTask().GetAwaiter().GetResult();
            _second.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }

        private bool IsSame()
        {
            foreach (HyperdbDrive drive in Both)
            {
                HyperdbDrive other = drive == A ? B : A;
                foreach (Writer writer in drive.Database.AllWriters)
                {
                    if (other.Database.AllWriters.FirstOrDefault(one => one.Key == writer.Key) is not { } same) return false;
                    if (same.Feed.Length != writer.Feed.Length || same.Feed.HeldBlocks != same.Feed.Length || (same.Content?.HeldBlocks ?? 0) != (writer.Content?.Length ?? 0)) return false;
                }
            }

            return A.Status.VersionText == B.Status.VersionText;
        }
    }
}
