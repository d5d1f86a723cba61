namespace DatFs.Drives.Hyperdb;

/// <summary>What came before versions that nobody has merged (hyperdb-multiwriter.md §16).</summary>
public sealed partial class Database
{
    /// <summary>
    /// The entries that a key had when all writers of the given ones last knew the same: one is what they all began with, none means that there
    /// was nothing, several that they disagreed already.
    /// </summary>
    /// <param name="key">The key.</param>
    /// <param name="conflict">Entries of which none covers another.</param>
    /// <param name="ct">Cancels.</param>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<IReadOnlyList<DatabaseEntry>> BaseAsync(string key, IReadOnlyList<DatabaseEntry> conflict, CancellationToken ct)
    {
        if (conflict.Count == 0) return [];
        long[] known = new long[conflict.Max(entry => entry.ClockLength)];
        for (int writer = 0; writer < known.Length; writer++)
            known[writer] = conflict.Min(entry => entry.Id.Writer == writer ? entry.Seq : entry.Known(writer));
        return await (await AtAsync(known, ct)).GetAsync(key, ct);
    }
}
