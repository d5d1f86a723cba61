using System.Diagnostics;
using System.Globalization;

namespace DatFs.CrashPoints;

/// <summary>How a crash goes: which process or computer dies in which moment of a story, and what it leaves.</summary>
internal readonly record struct CrashCase(int Call, int Survival)
{
    /// <summary>The power fails with one of the four survivals; or the process dies alone, the computer lives on, and the power fails later.</summary>
    public const int Survivals = 5;

    public const int ProcessDies = 4;

    public string Describe => Survival == ProcessDies ? "the process dies" : $"the power fails, {(Survival)Survival} survives";
}

/// <summary>Runs cases on all processors and counts what was really run.</summary>
internal sealed class CrashCases
{
    private const int MaxFailures = 5;

    private readonly List<string> _failures = [];
    private readonly Lock _lock = new();
    private long _stories;
    private long _cases;
    private long _calls;
    private long _again;

    /// <summary>What failed.</summary>
    public IReadOnlyList<string> Failures => _failures;

    /// <summary>Tells each story and crashes it in the moments that <paramref name="choose"/> picks.</summary>
    public void Run(IReadOnlyList<Func<Task<Story>>> stories, Func<Story, Rng, IEnumerable<CrashCase>> choose)
    {
        long next = 0;
        Thread[] threads = [.. Enumerable.Range(0, Environment.ProcessorCount).Select(_ => new Thread(Work))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();

        void Work()
        {
            while (Interlocked.Increment(ref next) is var number && number <= stories.Count && _failures.Count < MaxFailures)
                RunAsync(stories[(int)number - 1], choose).GetAwaiter().GetResult();
        }
    }

    /// <summary>One line about what was run.</summary>
    public string Summary(string name, ulong seed, Stopwatch time) => string.Create(CultureInfo.InvariantCulture,
        $"crash points, {name}: seed {seed}, {_stories} stories of {_calls} calls, {_cases} crashes and {_again} second ones in {time.Elapsed.TotalSeconds:0.0} s, {_failures.Count} failed");

    private async Task RunAsync(Func<Task<Story>> tell, Func<Story, Rng, IEnumerable<CrashCase>> choose)
    {
        Story? story = null;
        CrashCase current = default;
        try
        {
            await using (story = await tell())
            {
                Interlocked.Increment(ref _stories);
                Interlocked.Add(ref _calls, story.Calls.Count);
                DiskModel disk = new();
                int done = 0;
                foreach (CrashCase crash in choose(story, Rng.For(story.Seed, 3)).OrderBy(crash => crash.Call))
                {
                    current = crash;
                    for (; done < crash.Call; done++) disk.Take(story.Calls[done]);
                    Rng rng = Rng.For(story.Seed, 4, (ulong)crash.Call, (ulong)crash.Survival);
                    DiskModel left = crash.Survival == CrashCase.ProcessDies ? disk.Clone() : disk.Survive((Survival)crash.Survival, rng);
                    bool again = await new Aftermath(story, rng).CheckAsync(left, story.PromisedAt(crash.Call), crashesAgain: true);
                    Interlocked.Increment(ref _cases);
                    if (again) Interlocked.Increment(ref _again);
                }
            }
        }
        catch (Exception e)
        {
            string last = story is null || current.Call == 0 ? "nothing" : story.Calls[current.Call - 1].ToString();
            lock (_lock)
            {
                _failures.Add($"{story} after call {current.Call} of {story?.Calls.Count} ({last}), {current.Describe}: {(e is Broken ? e.Message : e)}\n"
                    + $"  again: DATMOUNT_CRASH_POINTS={story}:{current.Call}:{current.Survival} packaging/test CrashPoints");
            }
        }
    }
}
