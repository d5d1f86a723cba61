namespace DatFs.Replication;

/// <summary>
/// How often each block was sent to one peer lately: ten bytes of request bring up to 8 MiB of answer (wire-protocol.md §9.2, amplification).
/// Belongs to the task that serves the connection.
/// </summary>
internal sealed class AnswerCounts
{
    /// <summary>Answers to one block within <see cref="WindowMs"/>.</summary>
    public const int MaxRepeats = 8;
    /// <summary>Length of the time that is looked at.</summary>
    public const double WindowMs = 60_000;
    /// <summary>Blocks counted at a time; when there are more, counting begins anew.</summary>
    public const int MaxCounted = 65_536;

    private readonly Dictionary<(FeedReplication Feed, long Index), int> _answered = [];
    private double _since;

    /// <summary>Blocks counted now.</summary>
    public int Counted => _answered.Count;

    /// <summary>Counts one more answer; true when there were too many.</summary>
    public bool IsTooMany(FeedReplication feed, long index, double nowMs)
    {
        if (nowMs - _since >= WindowMs || _answered.Count >= MaxCounted)
        {
            _since = nowMs;
            _answered.Clear();
        }

        int times = _answered.GetValueOrDefault((feed, index));
        _answered[(feed, index)] = times + 1;
        return times >= MaxRepeats;
    }
}
