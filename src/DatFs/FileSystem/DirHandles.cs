using System.Runtime.CompilerServices;
using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>
/// An open directory: names as they were when it was opened. Position 0 is ".", 1 is "..", 2 and up the entries; a cookie is a position,
/// so it stays true whatever comes and goes meanwhile.
/// </summary>
internal abstract class DirHandle(DatFileSystem owner, Node node) : IDirHandle
{
    private const int Dots = 2;
    private int _closed;

    protected enum Step : byte
    {
        Taken,
        Full,
        Waits,
    }

    public abstract bool Immutable { get; }

    protected DatFileSystem Owner => owner;

    protected Node Node => node;

    protected abstract int Count { get; }

    protected abstract NodeName Parent { get; }

    public ValueTask<Result<bool>> ReadAsync(ulong position, DirAdd add, bool withInfo, CancellationToken ct)
    {
        ulong end = (ulong)Count + Dots;
        for (ulong at = position; at < end; at++)
        {
            Step step = at < Dots ? AddDot(at, add) : Add((int)(at - Dots), add, withInfo, at + 1);
            if (step == Step.Full) return new(false);
            if (step == Step.Waits) return ContinueAsync(at, add, withInfo, ct);
        }

        return new(true);
    }

    public ulong PositionAfter(ReadOnlySpan<byte> utf8Name)
    {
        if (utf8Name.IsEmpty) return 0;
        if (utf8Name.SequenceEqual("."u8)) return 1;
        if (utf8Name.SequenceEqual(".."u8)) return Dots;
        int low = 0;
        int high = Count;
        Span<byte> name = stackalloc byte[EntryName.MaxBytes];
        while (low < high)
        {
            int middle = (low + high) / 2;
            int length = Math.Max(0, NameAt(middle, name));
            if (name[..length].SequenceCompareTo(utf8Name) <= 0) low = middle + 1;
            else high = middle;
        }

        return (ulong)low + Dots;
    }

    public ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _closed, 1) == 0) owner.Close(node);
        return ValueTask.CompletedTask;
    }

    /// <summary>The bytes of a name; -1 = it cannot be shown.</summary>
    protected abstract int NameAt(int index, Span<byte> into);

    protected abstract Step Add(int index, DirAdd add, bool withInfo, ulong next);

    /// <summary>Adds an entry whose attributes are not at hand.</summary>
    protected abstract ValueTask<Result<bool>> AddSlowlyAsync(int index, DirAdd add, ulong next, CancellationToken ct);

    protected static NodeInfo Plain(NodeKind kind, ulong fileNumber) => new() { Kind = kind, FileNumber = fileNumber };

    private Step AddDot(ulong at, DirAdd add)
    {
        NodeInfo info = Plain(NodeKind.Directory, at == 0 ? node.FileNumber : owner.FileNumberOf(Parent));
        return add(at == 0 ? "."u8 : ".."u8, info, at + 1) ? Step.Taken : Step.Full;
    }

    private async ValueTask<Result<bool>> ContinueAsync(ulong at, DirAdd add, bool withInfo, CancellationToken ct)
    {
        while (true)
        {
            Result<bool> room = await AddSlowlyAsync((int)(at - Dots), add, at + 1, ct);
            if (!room.Ok || !room.Value) return room;
            // On from here as before; what waits again comes back.
            ulong end = (ulong)Count + Dots;
            Step step = Step.Taken;
            for (at++; at < end; at++)
            {
                step = Add((int)(at - Dots), add, withInfo, at + 1);
                if (step != Step.Taken) break;
            }

            if (step == Step.Full) return false;
            if (at >= end) return true;
        }
    }
}

/// <summary>A directory of the drive. Entries become nodes only where attributes are asked for.</summary>
internal sealed class DriveDirHandle(DatFileSystem owner, Node node, IDriveView view, IReadOnlyList<DriveEntry> entries) : DirHandle(owner, node)
{
    private readonly bool _hidesVirtual = owner.HidesVirtualName(node.Name);

    public override bool Immutable => Node.Name.Space.Kind == SpaceKind.Version;

    protected override int Count => entries.Count;

    protected override NodeName Parent => Node.Name.Parent;

    protected override int NameAt(int index, Span<byte> into) => EntryName.Encode(EntryName.Of(entries[index].Path), into);

    [SkipLocalsInit]
    protected override Step Add(int index, DirAdd add, bool withInfo, ulong next)
    {
        Span<byte> buffer = stackalloc byte[EntryName.MaxBytes];
        if (!TryName(index, buffer, out ReadOnlySpan<byte> name)) return Step.Taken;
        DriveEntry entry = entries[index];
        if (!withInfo)
        {
            NodeInfo plain = Plain(DatFileSystem.KindOf(entry.Kind), Owner.FileNumberOf(new NodeName(Node.Name.Space, entry.Path)));
            return add(name, plain, next) ? Step.Taken : Step.Full;
        }

        if (!Owner.TryAcquireListed(Node.Name.Space, view, entry, out NodeInfo info)) return Step.Waits;
        return AddReferenced(name, info, add, next) ? Step.Taken : Step.Full;
    }

    /// <summary>The directory changed since: an entry that is gone by now is left out.</summary>
    protected override async ValueTask<Result<bool>> AddSlowlyAsync(int index, DirAdd add, ulong next, CancellationToken ct)
    {
        Result<NodeInfo> found = await Owner.AcquireListedAsync(Node.Name.Space, entries[index].Path, ct);
        if (found.Error == FsError.NotFound) return true;
        if (!found.Ok) return found.Error;
        byte[] name = EntryName.Bytes(entries[index].Path);
        return AddReferenced(name, found.Value, add, next);
    }

    private bool AddReferenced(ReadOnlySpan<byte> name, in NodeInfo info, DirAdd add, ulong next)
    {
        if (add(name, info, next)) return true;
        Owner.Forget(info.Id, 1);
        return false;
    }

    private bool TryName(int index, Span<byte> buffer, out ReadOnlySpan<byte> name)
    {
        int length = NameAt(index, buffer);
        name = length < 0 ? default : buffer[..length];
        return length >= 0 && !(_hidesVirtual && name.SequenceEqual(".dat"u8));
    }
}

/// <summary>A name of a virtual directory.</summary>
internal readonly record struct ListedName(byte[] Name, NodeName Node, NodeKind Kind, VirtualEntry? Virtual);

/// <summary><c>.dat</c> or <c>.dat/versions</c>.</summary>
internal sealed class VirtualDirHandle(DatFileSystem owner, Node node, List<ListedName> names) : DirHandle(owner, node)
{
    public override bool Immutable => false;

    protected override int Count => names.Count;

    protected override NodeName Parent => Owner.ParentOfVirtual(Node);

    protected override int NameAt(int index, Span<byte> into)
    {
        names[index].Name.CopyTo(into);
        return names[index].Name.Length;
    }

    protected override Step Add(int index, DirAdd add, bool withInfo, ulong next)
    {
        ListedName name = names[index];
        NodeInfo info = withInfo ? Owner.AcquireListed(name) : Plain(name.Kind, Owner.FileNumberOf(name.Node));
        if (add(name.Name, info, next)) return Step.Taken;
        if (info.Id.Value != 0) Owner.Forget(info.Id, 1);
        return Step.Full;
    }

    protected override ValueTask<Result<bool>> AddSlowlyAsync(int index, DirAdd add, ulong next, CancellationToken ct) =>
        throw new InvalidOperationException("virtual entries never wait");
}
