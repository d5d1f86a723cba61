using System.Globalization;
using DatFs.Drives;
using DatFs.Evidence;
using DatFs.Merging;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static DatFs.Unit.MergeFixture;

namespace DatFs.Unit;

/// <summary>This machine's own programs that merge, as real processes (hyperdb-multiwriter.md §16, "Command hook").</summary>
public sealed class MergeCommandTests : IDisposable
{
    private readonly TempFolder _folder = TempFolder.Create();

    public MergeCommandTests() => Assert.SkipWhen(OperatingSystem.IsWindows(), "the programs here are shell scripts");

    [Fact]
    public async Task It_gets_the_base_a_place_for_the_result_and_the_sides_by_key()
    {
        MergeOutcome outcome = await RunAsync("""
            [ "$1" = "--flag; rm -rf \$HOME" ] || exit 9
            shift
            for file in "$@"; do echo "$(basename "$file"):$(cat "$file" 2>/dev/null)"; done > "$OUTPUT"
            echo "$DAT_PATH|$DAT_WRITERS|$DAT_SEQS" >> "$OUTPUT"
            stat -c %a "$(dirname "$2")" >> "$OUTPUT"
            pwd >> "$OUTPUT"
            cat "$3" "$4" > "$2"
            """, arguments: ["--flag; rm -rf $HOME"], path: "/dir/$(id) 'a'.txt");
        (TextOf(outcome), outcome.IsClean, outcome.Failed).Should().Be(("one\ntwo\n", true, false));
        string[] seen = File.ReadAllLines(_folder.File("seen"));
        seen[..4].Should().Equal("base:before", "out:", "side1:one", "side2:two");
        seen[4].Should().Be($"/dir/$(id) 'a'.txt|{Key(1).ToHex()} {Key(2).ToHex()}|11 22");
        seen[5].Should().Be("700");
        System.IO.Directory.Exists(seen[6]).Should().BeFalse("its folder is gone afterwards");
    }

    [Theory]
    [InlineData("exit 1", false)]
    [InlineData("exit 2", true)]
    [InlineData("kill -9 $$", true)]
    [InlineData("exit 0", true)]
    public async Task What_it_answers_besides_a_result_leaves_the_conflict(string script, bool failed)
    {
        MergeOutcome outcome = await RunAsync($"echo sorry >&2\n{script}");
        (outcome.Bytes, outcome.Side, outcome.IsClean, outcome.Failed).Should().Be((null, null, false, failed));
        if (script == "exit 2") outcome.Why.Should().Contain("sorry").And.Contain("2");
    }

    [Fact]
    public async Task A_program_that_is_not_there_is_an_error_and_no_exception() =>
        (await Strategy(new MergeCommand(_folder.File("not-there"), [])).ResolveAsync(DrivePath.From("f"), MergeBase.Empty, Sides(), Token)).Failed.Should().BeTrue();

    [Fact]
    public async Task After_its_time_it_is_killed_with_all_that_it_started()
    {
        FakeTimeProvider time = new();
        Task<MergeOutcome> running = RunAsync("sleep 1000 &\necho $! > \"$OUTPUT.part\"\necho $$ >> \"$OUTPUT.part\"\nmv \"$OUTPUT.part\" \"$OUTPUT\"\nwait", time: time);
        await UntilAsync(() => File.Exists(_folder.File("seen")));
        time.Advance(MergeCommand.DefaultLimit - TimeSpan.FromMilliseconds(1));
        running.IsCompleted.Should().BeFalse();
        time.Advance(TimeSpan.FromMilliseconds(1));
        MergeOutcome outcome = await running;
        (outcome.Failed, outcome.Bytes).Should().Be((true, null));
        outcome.Why.Should().Contain("30 s");
        foreach (string id in File.ReadAllLines(_folder.File("seen"))) await UntilAsync(() => IsGone(int.Parse(id, CultureInfo.InvariantCulture)));
    }

    [Fact]
    public async Task Whoever_stops_waiting_kills_it_too()
    {
        using CancellationTokenSource leaving = CancellationTokenSource.CreateLinkedTokenSource(Token);
        Task<MergeOutcome> running = RunAsync("echo $$ > \"$OUTPUT.part\"\nmv \"$OUTPUT.part\" \"$OUTPUT\"\nsleep 1000", ct: leaving.Token);
        await UntilAsync(() => File.Exists(_folder.File("seen")));
        await leaving.CancelAsync();
        await FluentActions.Awaiting(() => running).Should().ThrowAsync<OperationCanceledException>();
        await UntilAsync(() => IsGone(int.Parse(File.ReadAllText(_folder.File("seen")), CultureInfo.InvariantCulture)));
    }

    [Fact]
    public async Task One_that_says_a_lot_and_reads_nothing_is_not_stopped_by_that() =>
        TextOf(await RunAsync("head -c 1000000 /dev/zero\nhead -c 1000000 /dev/zero >&2\nread line && exit 5\necho merged > \"$2\"")).Should().Be("merged\n");

    [Fact]
    public async Task Without_a_base_or_with_a_deletion_its_result_is_shown_and_not_clean()
    {
        (await RunAsync("echo x > \"$2\"", ancestor: MergeBase.Unknown)).IsClean.Should().BeFalse();
        (await RunAsync("[ $# = 4 ] && echo x > \"$2\"", sides: [.. Sides(), Deletion(3)])).Should().Match<MergeOutcome>(outcome => outcome.Bytes != null && !outcome.IsClean);
    }

    [Fact]
    public async Task It_is_not_asked_where_there_are_no_two_files_or_they_are_too_large()
    {
        const string never = "touch \"$OUTPUT\"";
        (await RunAsync(never, sides: [Deletion(1), Side(2, "x")])).Side!.Writer.Should().Be(Key(2));
        (await RunAsync(never, sides: [Link(1, 9999), Side(2, "x")])).Side!.Writer.Should().Be(Key(1));
        MergeSide huge = new(new DriveSide(Key(1), 1, false, CommandStrategy.MaxSize + 1L, 9), EntryKind.File, 0x1A4, new MemoryContent([], claimed: CommandStrategy.MaxSize + 1L));
        (await RunAsync(never, sides: [huge, Side(2, "x")])).Failed.Should().BeTrue();
        (await RunAsync(never, sides: [.. Enumerable.Range(1, CommandStrategy.MaxSides + 1).Select(i => Side((byte)i, "x"))])).Failed.Should().BeTrue();
        File.Exists(_folder.File("seen")).Should().BeFalse();
    }

    [Theory]
    [InlineData("ln -s /etc/hostname \"$2\"")]
    [InlineData("truncate -s 68719476736 \"$2\"")]
    public async Task A_result_that_is_a_link_or_too_large_is_an_error(string script) => (await RunAsync(script)).Failed.Should().BeTrue();

    public void Dispose() => _folder.Dispose();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static MergeSide[] Sides() => [Side(2, "two\n", seq: 22), Side(1, "one\n", seq: 11)];

    private static IMergeStrategy Strategy(MergeCommand command, TimeProvider? time = null) => MergeStrategies.Command("mine", command, time);

    private async Task<MergeOutcome> RunAsync(
        string script, string[]? arguments = null, string path = "f", MergeSide[]? sides = null, MergeBase? ancestor = null, TimeProvider? time = null, CancellationToken? ct = null)
    {
        string program = _folder.File("program");
        await File.WriteAllTextAsync(program, $"OUTPUT='{_folder.File("seen")}'\n{script}\n", Token);
        MergeCommand command = new("/bin/sh", [program, .. arguments ?? []]);
        return await Strategy(command, time).ResolveAsync(DrivePath.From(path), ancestor ?? Base("before\n"), sides ?? Sides(), ct ?? Token);
    }

    private static bool IsGone(int id) => !File.Exists($"/proc/{id}/stat") || File.ReadAllText($"/proc/{id}/stat").Split(") ")[^1].StartsWith('Z');

    private static async Task UntilAsync(Func<bool> condition)
    {
        while (!condition())
        {
            Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
