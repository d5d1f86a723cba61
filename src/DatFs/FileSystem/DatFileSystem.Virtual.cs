using System.Text.Json;
using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>The virtual folder <c>.dat</c> (design: "Inside a mount").</summary>
public sealed partial class DatFileSystem
{
    /// <summary>Listing <c>.dat/versions</c> names the newest so many; every other is reachable by name.</summary>
    internal const int MaxListedVersions = 1000;

    private readonly Space _virtual = new(SpaceKind.Virtual);

    private Result<NodeInfo> AcquireVirtual(VirtualEntry entry)
    {
        NodeName name = new(_virtual, entry.Path);
        Node node;
        lock (_gate)
        {
            node = _nodes.At(name) ?? _nodes.Add(name, entry.Kind, null, entry.Virtual);
            node.Lookups++;
        }

        return VirtualInfo(node, null);
    }

    private NodeInfo VirtualInfo(Node node, GeneratedHandle? handle) => VirtualInfo(node.Virtual, node.Kind, handle) with { Id = node.Id, FileNumber = node.FileNumber };

    private NodeInfo VirtualInfo(VirtualKind what, NodeKind kind, GeneratedHandle? handle)
    {
        uint mode = VirtualTree.ModeOf(what);
        NodeInfo info = new(default, 0, kind, 0, 0, mode, 1, _options.Uid, _options.Gid, _mountedNs, _mountedNs, _mountedNs, true);
        if (kind == NodeKind.Directory) return info with { Links = 2 };
        ulong size = what == VirtualKind.Latest ? (ulong)LatestTarget().Length : (ulong)(handle?.Length ?? Generate(what).Length);
        long now = Nanoseconds(_options.Time.GetUtcNow().ToUnixTimeMilliseconds());
        return info with { Size = size, StoredBytes = size, MtimeNs = now, CtimeNs = now, AtimeNs = now, AttrTtl = TimeSpan.Zero };
    }

    private ValueTask<Result<NodeInfo>> LookupVirtualAsync(Node directory, string name, CancellationToken ct)
    {
        if (directory.Virtual == VirtualKind.Folder) return new(VirtualTree.Find(name) is { } entry ? AcquireVirtual(entry) : FsError.NotFound);
        if (name == VirtualTree.Latest.Name) return new(AcquireVirtual(VirtualTree.Latest));
        if (VersionName.TryTime(name, _options.Time.GetUtcNow(), out DateTimeOffset time)) return LookupTimeAsync(name, time, ct);
        if (VersionName.IsText(name)) return LookupTextAsync(name, ct);
        return VersionName.TryNumber(name, out long number) ? LookupNumberAsync(number, ct) : new(FsError.NotFound);
    }

    private async ValueTask<Result<NodeInfo>> LookupNumberAsync(long number, CancellationToken ct)
    {
        Result<bool> there = await ReachesAsync(number, ct);
        if (!there.Ok) return there.Error;
        return there.Value ? await AcquireVersionAsync(new Space(SpaceKind.Version, number), ct) : FsError.NotFound;
    }

    /// <summary>What names a version everywhere, or its short alias; a text that is none of these may still be a number.</summary>
    private async ValueTask<Result<NodeInfo>> LookupTextAsync(string name, CancellationToken ct)
    {
        Result<IDriveView> ready = await ViewAsync(_live, ct);
        if (!ready.Ok) return ready.Error;
        Result<long?> named = await _patience.RunAsync((_drive, name), static (s, token) => s._drive.VersionOfAsync(s.name, token), ct);
        if (named.Ok && named.Value is { } version) return await AcquireVersionAsync(new Space(SpaceKind.Version, version, name), ct);
        if (VersionName.TryNumber(name, out long number)) return await LookupNumberAsync(number, ct);
        return named.Ok || named.Error == FsError.Invalid ? FsError.NotFound : named.Error;
    }

    /// <summary>Resolved anew at each lookup; who is inside keeps the version that was resolved.</summary>
    private async ValueTask<Result<NodeInfo>> LookupTimeAsync(string name, DateTimeOffset time, CancellationToken ct)
    {
        Result<IDriveView> ready = await ViewAsync(_live, ct);
        if (!ready.Ok) return ready.Error;
        Result<long> number = await _patience.RunAsync((_drive, time), static (s, token) => s._drive.VersionAtAsync(s.time, token), ct);
        if (!number.Ok) return number.Error;
        return await AcquireVersionAsync(new Space(SpaceKind.Version, Math.Max(0, number.Value), name), ct);
    }

    private async ValueTask<Result<bool>> ReachesAsync(long number, CancellationToken ct)
    {
        TryView(_live, out IDriveView newest);
        if (number <= newest.Version) return true;
        Result<IDriveView> ready = await ViewAsync(_live, ct);
        return ready.Ok ? number <= ready.Value.Version : ready.Error;
    }

    private async ValueTask<Result<NodeInfo>> AcquireVersionAsync(Space space, CancellationToken ct)
    {
        NodeName name = new(space, DrivePath.Root);
        lock (_gate)
        {
            if (_nodes.At(name) is { } known)
            {
                known.Lookups++;
                return InfoOf(known);
            }
        }

        Result<IDriveView> view = await CheckoutAsync(space.Version, ct);
        if (!view.Ok) return view.Error;
        space.View = view.Value;
        Result<DriveEntry?> root = await FindAsync(view.Value, DrivePath.Root, ct);
        TryAdmit(name, view.Value, root, out Result<NodeInfo> answer);
        return answer;
    }

    /// <summary>What ".." is: the mount's root for <c>.dat</c>, <c>.dat</c> for what is in it.</summary>
    internal NodeName ParentOfVirtual(Node node) => node.Virtual == VirtualKind.Folder ? new NodeName(_root, DrivePath.Root) : node.Name.Parent;

    private byte[] LatestTarget()
    {
        lock (_gate) return Text(VersionName.Of(_newest.Version));
    }

    private async ValueTask<Result<ReadOnlyMemory<byte>>> ReadLatestAsync(CancellationToken ct)
    {
        Result<IDriveView> ready = await ViewAsync(_live, ct);
        return ready.Ok ? new ReadOnlyMemory<byte>(Text(VersionName.Of(ready.Value.Version))) : ready.Error;
    }

    /// <summary>The content of a generated file as it is now.</summary>
    private byte[] Generate(VirtualKind what)
    {
        switch (what)
        {
            case VirtualKind.Key:
                return Text($"dat://{_drive.Key.ToHex()}\n");
            case VirtualKind.Status:
                return _options.Status is { } source ? Text(source.StatusJson()) : DriveFacts();
            case VirtualKind.Peers:
                return Text(_options.Status?.PeersText() ?? "");
            case VirtualKind.Log:
                lock (_gate) return Text(_log.ToString());
            default:
                return [];
        }
    }

    private byte[] DriveFacts()
    {
        DriveStatus status = _drive.Status;
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("discoveryKey", _drive.Key.ToDiscoveryKey().ToHex());
            json.WriteString("format", _drive.Format);
            json.WriteBoolean("writable", _drive.Writable);
            json.WriteNumber("version", status.Version);
            json.WriteNumber("metadataLength", status.MetadataLength);
            json.WriteNumber("metadataHeld", status.MetadataHeld);
            json.WriteNumber("contentLength", status.ContentLength);
            json.WriteNumber("contentHeld", status.ContentHeld);
            json.WriteNumber("contentBytes", status.ContentBytes);
            json.WriteEndObject();
        }

        buffer.WriteByte((byte)'\n');
        return buffer.ToArray();
    }
}
