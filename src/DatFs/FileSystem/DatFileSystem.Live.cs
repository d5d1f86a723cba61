using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>Changes of the drive while it is mounted (platform.md §3, "Cache times and live changes").</summary>
public sealed partial class DatFileSystem
{
    private readonly ChangeLog _log;

    private void OnChange(DriveChange change)
    {
        var notices = new Notices();
        var touched = new List<Node>();
        var unknown = new List<(NodeId Parent, DrivePath Path)>();
        lock (_gate)
        {
            // A version of several writers may have been numbered before it was live; what follows on the newest is news whatever its number.
            if (change.After.Version < _newest.Version && change.Before != _newest) return;
            AnnounceVersions(change, notices);
            _newest = change.After;
            BeginShowing(notices);
            _log.Add(change);
            if (_root.Kind == SpaceKind.Live && (change.After.Version > _firstShown || change.Before.Version == change.After.Version))
            {
                if (change.Paths is { } paths) Mark(paths, touched, unknown, notices);
                else MarkAll(touched, notices);
            }
        }

        foreach ((NodeId parent, DrivePath path) in unknown)
        {
            if (WhatHappened(change, path) is { } what) notices.Entry(parent, EntryName.Bytes(path), what, null);
        }

        foreach (Node node in touched) Refresh(node, change.After, notices);
        _notices.Post(notices);
    }

    /// <summary>Doubts every node at a changed path or above it: a directory comes and goes with what is below it. Gate held.</summary>
    private void Mark(IReadOnlyList<DrivePath> paths, List<Node> touched, List<(NodeId Parent, DrivePath Path)> unknown, Notices notices)
    {
        var seen = new HashSet<DrivePath>();
        foreach (DrivePath path in paths)
        {
            for (DrivePath at = path; !at.IsRoot && seen.Add(at); at = at.Parent)
            {
                if (at.Parent.IsRoot && at.Name == VirtualTree.FolderName) continue;
                NodeName name = new(_live, at);
                Node? parent = _nodes.At(name.Parent);
                if (_nodes.At(name) is { } node) Doubt(node, touched);
                else if (parent is not null) unknown.Add((parent.Id, at));
                if (parent is not null && at == path) notices.Attributes(parent.Id);
            }
        }

        Doubt(_nodes.Root, touched);
    }

    private void MarkAll(List<Node> touched, Notices notices)
    {
        notices.AllEntries = true;
        foreach (Node node in _nodes.Named)
        {
            if (node.Name.Space.Kind == SpaceKind.Live) Doubt(node, touched);
        }
    }

    private static void Doubt(Node node, List<Node> touched)
    {
        node.Stale = true;
        touched.Add(node);
    }

    /// <summary>
    /// What happened to a name that has no node: the kernel may still hold that it does not exist. Null when a directory just stays.
    /// </summary>
    private EntryChange? WhatHappened(DriveChange change, DrivePath path)
    {
        if (!TryFind(change.After, path, out DriveEntry? now)) return EntryChange.Added;
        if (now is null) return EntryChange.Removed;
        if (!TryFind(change.Before, path, out DriveEntry? then) || then is null) return EntryChange.Added;
        return then.Kind == EntryKind.Directory && now.Kind == EntryKind.Directory ? null : EntryChange.Replaced;
    }

    /// <summary>Finds an entry if it is held here.</summary>
    private bool TryFind(IDriveView view, DrivePath path, out DriveEntry? entry)
    {
        ValueTask<Result<DriveEntry?>> found = FindAsync(view, path, _ended.Token);
        Result<DriveEntry?> held = found.IsCompletedSuccessfully ? found.Result : FsError.Offline;
        entry = held.Value;
        return held.Ok;
    }

    /// <summary>Settles a doubted node if the answer is held here; else it stays in doubt until it is asked for or the answer comes.</summary>
    private void Refresh(Node node, IDriveView view, Notices notices)
    {
        ValueTask<Result<DriveEntry?>> found = FindAsync(view, node.Name.Path, _ended.Token);
        if (!found.IsCompletedSuccessfully)
        {
            lock (_gate) Unsettle(node, notices);
            _ = RefreshLaterAsync(node, view, found);
            return;
        }

        Result<DriveEntry?> held = found.Result;
        if (held.Ok) TrySettle(node, view, held.Value, notices);
        else
        {
            lock (_gate) Unsettle(node, notices);
        }
    }

    private async Task RefreshLaterAsync(Node node, IDriveView view, ValueTask<Result<DriveEntry?>> found)
    {
        Result<DriveEntry?> late = await found;
        if (!late.Ok) return;
        var notices = new Notices();
        TrySettle(node, view, late.Value, notices);
        _notices.Post(notices);
    }

    private bool TrySettle(Node node, IDriveView view, DriveEntry? now, Notices notices)
    {
        lock (_gate)
        {
            if (!ReferenceEquals(view, _newest)) return false;
            Settle(node, now, notices);
            return true;
        }
    }

    /// <summary>Waits until a node shows what the newest view has at its name.</summary>
    private async ValueTask<FsError> SettleAsync(Node node, CancellationToken ct)
    {
        for (int overtaken = 0; overtaken < MaxOvertaken; overtaken++)
        {
            Result<IDriveView> view = await ViewAsync(node.Name.Space, ct);
            if (!view.Ok) return view.Error;
            Result<DriveEntry?> found = await FindAsync(view.Value, node.Name.Path, ct);
            if (!found.Ok) return found.Error;
            var notices = new Notices();
            bool settled = TrySettle(node, view.Value, found.Value, notices);
            _notices.Post(notices);
            if (settled) return FsError.None;
        }

        return FsError.TimedOut;
    }

    /// <summary>
    /// Brings a doubted node up to date with the newest view. One node has one page cache: a file that is open keeps its version, and
    /// the name gets a new node; without open handles the node stays and its pages are dropped. A directory stays the same node. Gate held.
    /// </summary>
    private void Settle(Node node, DriveEntry? now, Notices notices)
    {
        if (!node.Stale) return;
        node.Stale = false;
        if (node.Detached) return;
        if (node == _nodes.Root) SettleRoot(now, notices);
        else if (now is null) Replace(node, EntryChange.Removed, notices);
        else if (KindOf(now.Kind) != node.Kind) Replace(node, EntryChange.Replaced, notices);
        else if (Equals(now.Identity, node.Entry!.Identity)) node.Entry = now;
        else if (node.Kind == NodeKind.Directory)
        {
            node.Entry = now;
            notices.Attributes(node.Id);
        }
        else if (node.Handles > 0) Replace(node, EntryChange.Replaced, notices);
        else
        {
            node.Entry = now;
            Announce(node, EntryChange.Replaced, notices);
            notices.Content(node.Id);
        }
    }

    private void SettleRoot(DriveEntry? now, Notices notices)
    {
        if (now is null) return;
        bool same = Equals(now.Identity, _nodes.Root.Entry?.Identity);
        _nodes.Root.Entry = now;
        if (!same) notices.Attributes(NodeId.Root);
    }

    /// <summary>What holds whatever the new entry turns out to be. Gate held.</summary>
    private void Unsettle(Node node, Notices notices)
    {
        if (!node.Stale || node.Detached) return;
        if (node.Kind == NodeKind.Directory) notices.Attributes(node.Id);
        else if (node.Handles > 0) Replace(node, EntryChange.Replaced, notices);
        else
        {
            Announce(node, EntryChange.Replaced, notices);
            notices.Content(node.Id);
        }
    }

    private void Replace(Node node, EntryChange what, Notices notices)
    {
        node.Stale = false;
        _nodes.Detach(node);
        Announce(node, what, notices);
        // Those who still hold it see that it has no name any more.
        notices.Attributes(node.Id);
    }

    private void Announce(Node node, EntryChange what, Notices notices)
    {
        if (_nodes.At(node.Name.Parent) is { } parent) notices.Entry(parent.Id, EntryName.Bytes(node.Name.Path), what, node.Id);
    }

    /// <summary>The names that <c>.dat/versions</c> gains, and what <c>latest</c> says. Gate held.</summary>
    private void AnnounceVersions(DriveChange change, Notices notices)
    {
        if (change.After.Version <= _newest.Version) return;
        if (_nodes.At(new NodeName(_virtual, VirtualTree.Latest.Path)) is { } latest) notices.Content(latest.Id);
        if (_nodes.At(new NodeName(_virtual, VirtualTree.Versions.Path)) is not { } versions) return;
        for (long n = Math.Max(_newest.Version + 1, change.After.Version - MaxListedVersions + 1); n <= change.After.Version; n++)
            notices.Entry(versions.Id, Text(VersionName.Of(n)), EntryChange.Added, null);
        notices.Attributes(versions.Id);
    }
}
