using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Merging;
using DatMount.Commands;

namespace DatMount.Hosting;

/// <summary>A drive that this process has open.</summary>
internal sealed class DriveHere(DriveSession session, bool owned) : IOpenDrive
{
    // As many digits of a key as labels of versions show.
    private const int ShortestKey = 8;

    public async Task<OwnWriterReport> WriterAsync(CancellationToken ct)
    {
        IDriveWriters writers = await SeveralAsync(ct);
        FeedKey key = writers.OwnKey ?? throw new CommandException(ExitCode.Refused, "this machine has no writer's key for the drive: it was opened read-only; mount it without --read-only once");
        return new OwnWriterReport(key.ToHex(), writers.IsAuthorized);
    }

    public async Task<List<WriterReport>> WritersAsync(CancellationToken ct) =>
        [.. (await (await SeveralAsync(ct)).ListAsync(ct)).Select(one => new WriterReport(
            one.Key.ToHex(), one.Label, one.Own, one.Authorized, one.Entries, Time(one.LastMs), one.AuthorizedBy?.ToHex(), one.AuthorizedBy is null ? null : one.AuthorizedAt, one.IgnoredFrom))];

    public async Task<bool> AuthorizeAsync(FeedKey key, string? label, CancellationToken ct)
    {
        IDriveWriters writers = await SeveralAsync(ct);
        bool changed = await writers.AuthorizeAsync(key, ct);
        if (label is not null) writers.Label(key, label);
        return changed;
    }

    public async Task IgnoreAsync(FeedKey key, long? from, CancellationToken ct) => (await SeveralAsync(ct)).Ignore(key, from);

    public async Task<List<ConflictReport>> ConflictsAsync(CancellationToken ct)
    {
        await session.ReadyAsync(ct);
        List<ConflictReport> conflicts = [];
        if (session.Drive.Writers is not { } writers) return conflicts;
        Dictionary<FeedKey, string?> labels = await LabelsAsync(ct);
        await foreach (DriveConflict conflict in writers.ConflictsAsync(ct))
        {
            conflicts.Add(new ConflictReport(conflict.Path.Text, [.. conflict.Sides.Select(side => new SideReport(
                side.Writer.ToHex(), labels.GetValueOrDefault(side.Writer), side.Seq, side.Deleted, side.Size, Time(side.Deleted ? null : side.MtimeMs), side.Shown?.Text))]));
        }

        conflicts.Sort(static (a, b) => string.CompareOrdinal(a.Path, b.Path));
        return conflicts;
    }

    public async Task<List<ChangeReport>> LogAsync(string? path, int limit, CancellationToken ct)
    {
        await session.ReadyAsync(ct);
        Dictionary<FeedKey, string?> labels = await LabelsAsync(ct);
        List<ChangeReport> changes = [];
        await foreach (DriveLogEntry one in session.Drive.LogAsync(path is null ? null : DrivePath.From(path), ct))
        {
            if (changes.Count == limit) break;
            string? label = one.Writer is { } writer ? labels.GetValueOrDefault(writer) : null;
            changes.Add(new ChangeReport(one.Writer?.ToHex(), label, one.Seq, one.Kind.ToString().ToLowerInvariant(), one.Path.Text, one.Size, Time(one.TimeMs)));
        }

        return changes;
    }

    public async Task<long> PutAsync(string path, Stream content, uint? mode, long? mtimeMs, CancellationToken ct) =>
        await (await WriterOfAsync(ct)).PutFileAsync(DrivePath.From(path), content, new DriveAttributes(mode ?? DriveAttributes.File.Mode, mtimeMs), ct);

    public async Task<long> RemoveAsync(string path, CancellationToken ct) => await (await WriterOfAsync(ct)).DeleteAsync(DrivePath.From(path), ct);

    public async Task<long> ResolveAsync(string path, string? take, bool merged, Stream content, CancellationToken ct)
    {
        _ = await SeveralAsync(ct);
        DrivePath at = DrivePath.From(path);
        MergeCase about = await DriveMerging.FindAsync(session.Drive.Live, at, ct) ?? throw new CommandException(ExitCode.NotFound, $"nobody disagrees about {at}; 'datmount conflicts' lists what there is");
        bool written = merged
            ? await DriveMerging.CommitAsync(about, await MergedAsync(about, ct), ct)
            : take is not null
                ? await DriveMerging.TakeAsync(about, await SideAsync(about, take, ct), ct)
                : await DriveMerging.ReplaceAsync(about, content, null, ct);
        return written ? session.Drive.Live.Version : throw new CommandException(ExitCode.Failed, $"{at} has got other versions meanwhile; look at 'datmount conflicts' and try again");
    }

    public ValueTask DisposeAsync() => owned ? session.DisposeAsync() : ValueTask.CompletedTask;

    private async Task<MergeOutcome> MergedAsync(MergeCase about, CancellationToken ct)
    {
        MergeOutcome outcome = await DriveMerging.ResolveAsync(about, session.Merger.Rules.MergerFor(about.Path) ?? MergeStrategies.Text, ct);
        if (outcome.Bytes is not null) return outcome;
        string why = outcome.Why ?? "these are no texts of at most 1 MiB";
        throw new CommandException(ExitCode.Failed, $"{about.Path} cannot be merged: {why}; choose a version with --take, or give the result with --file");
    }

    // By the beginning of the writer's key, or by what this machine's user calls him.
    private async Task<MergeSide> SideAsync(MergeCase about, string take, CancellationToken ct)
    {
        Dictionary<FeedKey, string?> labels = await LabelsAsync(ct);
        int mark = take.LastIndexOf('@');
        string who = mark < 0 ? "" : take[..mark];
        MergeSide[] meant = [.. about.Sides.Where(side => take.AsSpan(mark + 1).SequenceEqual(side.Seq.ToString(System.Globalization.CultureInfo.InvariantCulture))
            && (who == labels.GetValueOrDefault(side.Writer) || (who.Length >= ShortestKey && side.Writer.ToHex().StartsWith(who, StringComparison.OrdinalIgnoreCase))))];
        return meant.Length == 1 ? meant[0] : throw new CommandException(ExitCode.NotFound, $"{about.Path} has no version {take}; there are {string.Join(", ", about.Sides)}");
    }

    private async Task<IDriveWriters> SeveralAsync(CancellationToken ct)
    {
        await session.ReadyAsync(ct);
        return session.Drive.Writers ?? throw new CommandException(ExitCode.Refused, "this drive has one writer, its owner, and nobody else can be let write; 'datmount create' makes one for several");
    }

    private async Task<IDriveWriter> WriterOfAsync(CancellationToken ct)
    {
        await session.ReadyAsync(ct);
        return session.Drive.Writer ?? throw new CommandException(ExitCode.Refused, $"drives of one writer ({session.Drive.Format}) can only be read by this version; 'datmount create' makes one that can be written");
    }

    private async Task<Dictionary<FeedKey, string?>> LabelsAsync(CancellationToken ct) =>
        session.Drive.Writers is { } writers ? (await writers.ListAsync(ct)).ToDictionary(one => one.Key, one => one.Label) : [];

    private static DateTimeOffset? Time(long? ms) => ms is { } told ? DateTimeOffset.UnixEpoch.AddMilliseconds(Math.Min(told, DateTimeOffset.MaxValue.ToUnixTimeMilliseconds())) : null;
}
