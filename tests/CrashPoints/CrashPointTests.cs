using System.Diagnostics;
using System.Globalization;
using FluentAssertions;
using Xunit;

namespace DatFs.CrashPoints;

/// <summary>
/// Feeds survive a crash in any moment. DATMOUNT_CRASH_POINTS is "all" for every moment and survival, a number for the seed of the sample, or
/// one case as a failure prints it.
/// </summary>
public sealed class CrashPointTests
{
    private const int SampledShort = 10_000;
    private const int MoreCreations = 10;
    private const int SampledLong = 40;
    private const int SampledOther = 40;
    private const int SampledOfStory = 25;
    private const int AllStories = 200;
    private const int MaxOfStory = 150;

    private static readonly string s_choice = Environment.GetEnvironmentVariable("DATMOUNT_CRASH_POINTS") ?? "";
    private static readonly bool s_all = s_choice == "all";

    private static readonly ulong s_seed = ulong.TryParse(s_choice, NumberStyles.None, CultureInfo.InvariantCulture, out ulong seed) ? seed : (ulong)Stopwatch.GetTimestamp();

    [Fact]
    public void Feeds_survive_a_crash_in_any_call_of_up_to_three_operations()
    {
        List<string[]> sequences = [[]];
        for (int length = 1, from = 0; length <= 3; length++)
        {
            int to = sequences.Count;
            for (; from < to; from++) sequences.AddRange(Story.Operations.Select(operation => (string[])[.. sequences[from], operation]));
        }

        sequences.Should().HaveCount(1 + 12 + 144 + 1728);
        sequences.AddRange(Enumerable.Repeat(Array.Empty<string>(), s_all ? MoreCreations * 10 : MoreCreations));
        ulong seed = s_all ? 1 : s_seed;
        Run("up to three operations", seed, [.. sequences.Select((operations, i) => (Func<Task<Story>>)(() => Story.TellAsync(seed + (ulong)i, operations)))],
            (story, rng) => Choose(story, rng, story.Name.Length == 0 ? 0 : story.Beginning, SampledShort / sequences.Count + 1, int.MaxValue));
    }

    [Fact]
    public void A_feed_that_moves_from_memory_to_the_disk_survives_a_crash() => Many("moves", SampledOther, Story.TellMoveAsync);

    [Fact]
    public void An_owner_who_takes_a_feed_back_from_peers_survives_a_crash() => Many("restored feeds", SampledOther, Story.TellRestoredAsync);

    [Fact]
    public void Feeds_survive_a_crash_in_long_stories_of_large_feeds() => Many("long stories", SampledLong, Story.TellLongAsync);

    private static void Many(string name, int sampled, Func<ulong, Task<Story>> tell)
    {
        ulong seed = s_all ? 1 : s_seed;
        int count = s_all ? AllStories : sampled;
        Run(name, seed, [.. Enumerable.Range(0, count).Select(i => (Func<Task<Story>>)(() => tell(seed + (ulong)i)))], (story, rng) => Choose(story, rng, story.Beginning, SampledOfStory, MaxOfStory));
    }

    // Most calls write one node after the other; half of the sample is taken where something is being made durable or promised.
    private static IEnumerable<CrashCase> Choose(Story story, Rng rng, int first, int sampled, int most)
    {
        int[] all = [.. Enumerable.Range(first, story.Calls.Count - first + 1)];
        if (s_all) sampled = most;
        if (all.Length * CrashCase.Survivals <= sampled || story.Name.Length == 0)
            return all.SelectMany(_ => Enumerable.Range(0, CrashCase.Survivals), (call, survival) => new CrashCase(call, survival));
        int[] turning = [.. all.Where(call => call > 0 && (story.Calls[call - 1].Kind == CallKind.Sync || story.Calls[call - 1].Name.EndsWith("/bitfield", StringComparison.Ordinal)))];
        return Enumerable.Range(0, sampled).Select(i => new CrashCase(rng.Pick<int>(i % 2 == 0 ? turning : all), rng.Below(CrashCase.Survivals)));
    }

    private static void Run(string name, ulong seed, List<Func<Task<Story>>> stories, Func<Story, Rng, IEnumerable<CrashCase>> choose)
    {
        Stopwatch time = Stopwatch.StartNew();
        CrashCases cases = new();
        if (s_choice.Split(':') is [var told, var own, var call, var survival])
        {
            ulong number = ulong.Parse(own, CultureInfo.InvariantCulture);
            CrashCase only = new(int.Parse(call, CultureInfo.InvariantCulture), int.Parse(survival, CultureInfo.InvariantCulture));
            stories =
            [
                told switch
                {
                    "long" => () => Story.TellLongAsync(number),
                    "move" => () => Story.TellMoveAsync(number),
                    "restored" => () => Story.TellRestoredAsync(number),
                    _ => () => Story.TellAsync(number, told.Split(',', StringSplitOptions.RemoveEmptyEntries)),
                },
            ];
            choose = (_, _) => [only];
        }

        cases.Run(stories, choose);
        Console.WriteLine(cases.Summary(name, seed, time));
        cases.Failures.Should().BeEmpty();
    }
}
