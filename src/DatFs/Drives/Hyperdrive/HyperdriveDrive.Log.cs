using System.Runtime.CompilerServices;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>What the owner did, newest first: the nodes of the metadata feed backwards.</summary>
internal sealed partial class HyperdriveDrive
{
    public async IAsyncEnumerable<DriveLogEntry> LogAsync(DrivePath? path, [EnumeratorCancellation] CancellationToken ct)
    {
        IDriveView newest = await ReadyAsync(ct);
        if (_successor is { } successor)
        {
            await foreach (DriveLogEntry entry in successor.LogAsync(path, ct)) yield return entry;
            yield break;
        }

        for (long seq = newest.Version; seq >= 1; seq--)
        {
            HyperNode node = await _nodes.GetAsync(seq, FetchPriority.Interactive, ct);
            DrivePath changed = DrivePath.From(string.Join('/', node.Parts));
            if (path is { IsRoot: false } one && one != changed) continue;
            yield return new DriveLogEntry(null, seq, node.IsPut ? DriveChangeKind.Put : DriveChangeKind.Delete, changed, node.Stat?.Size, node.Stat?.Time);
        }
    }
}
