using DatFs.Crypto;
using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>What a machine that has merged a path does now.</summary>
/// <param name="MayCommit">False: never, as things are.</param>
/// <param name="Wait">How long to wait before looking again; zero = write now.</param>
public readonly record struct AutocommitVerdict(bool MayCommit, TimeSpan Wait)
{
    /// <summary>Nothing is to be written.</summary>
    public static AutocommitVerdict Never => default;

    /// <summary>Write.</summary>
    public static AutocommitVerdict Now => new(true, TimeSpan.Zero);
}

/// <summary>
/// When a merge is written without being asked for (hyperdb-multiwriter.md §16). So that not every machine writes the same, of those who take
/// part the one with the smallest key writes at once; all others wait, and look again. Remembers since when it waits for each path. Any thread may call.
/// </summary>
/// <param name="time">Clock.</param>
/// <param name="random">Spreads the others over a minute.</param>
public sealed class Autocommit(TimeProvider time, Random random)
{
    /// <summary>How long the others wait at least.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>What is added to that, at most.</summary>
    public static readonly TimeSpan Spread = TimeSpan.FromSeconds(60);

    /// <summary>Paths waited for; of more the oldest are forgotten, and wait again.</summary>
    public const int MaxWaiting = 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<DrivePath, Waiting> _waiting = [];

    /// <summary>What to do about a path. Ask again after the time it says, with what the path holds then.</summary>
    /// <param name="path">The path.</param>
    /// <param name="sides">What takes part now.</param>
    /// <param name="outcome">What the path's strategy made of it.</param>
    /// <param name="own">This machine's key; null = it has none.</param>
    /// <param name="isAuthorized">Others show what it writes.</param>
    public AutocommitVerdict Look(DrivePath path, IReadOnlyList<MergeSide> sides, MergeOutcome outcome, FeedKey? own, bool isAuthorized)
    {
        lock (_gate)
        {
            if (own is not { } key || !isAuthorized || outcome is not { Bytes: not null, IsClean: true } || sides.Count < 2)
            {
                _waiting.Remove(path);
                return AutocommitVerdict.Never;
            }

            if (sides.Min(MergeOrder.ByWriter)!.Writer == key) return AutocommitVerdict.Now;
            string about = string.Join(' ', sides.Order(MergeOrder.ByWriter).Select(side => side.Label));
            if (!_waiting.TryGetValue(path, out Waiting waiting) || waiting.About != about)
            {
                if (_waiting.Count >= MaxWaiting) _waiting.Remove(_waiting.MinBy(one => one.Value.Due).Key);
                waiting = new Waiting(about, time.GetUtcNow() + Patience + random.NextDouble() * Spread);
                _waiting[path] = waiting;
            }

            TimeSpan left = waiting.Due - time.GetUtcNow();
            return new AutocommitVerdict(true, left > TimeSpan.Zero ? left : TimeSpan.Zero);
        }
    }

    /// <summary>The path is settled.</summary>
    public void Forget(DrivePath path)
    {
        lock (_gate) _waiting.Remove(path);
    }

    private readonly record struct Waiting(string About, DateTimeOffset Due);
}
