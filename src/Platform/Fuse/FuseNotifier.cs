using DatFs.FileSystem;
using Microsoft.Extensions.Logging;

namespace DatMount.Platform.Fuse;

/// <summary>
/// Tells the kernel what it may no longer believe (platform.md §3). One queue, one thread that serves no request: a notification may
/// wait for a directory's lock or a page that a pending request holds. Calls return at once.
/// </summary>
internal sealed unsafe class FuseNotifier(IFuseChannel channel, Announcer? announcer, FuseCounts counts, ILogger log) : IMountNotifier
{
    /// <summary>Beyond this many waiting notices, names are dropped all at once and each changed file whole.</summary>
    public const int MaxQueued = 65536;

    /// <summary>Names of the root remembered for kernels without epochs; further ones are not cached at all.</summary>
    public const int MaxRootNames = 65536;

    private readonly object _gate = new();
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly HashSet<ulong> _wholeFiles = [];
    private readonly HashSet<ulong> _directories = [];
    private readonly HashSet<byte[]> _rootNames = new(NameEquality.Instance);
    private Queue<Notice> _queue = new();
    private bool _started;
    private bool _closing;
    private bool _epochs = true;

    private enum Kind : byte
    {
        Content,
        AttributesOnly,
        Added,
        Replaced,
        Removed,
        AllEntries,
    }

    /// <summary>What the file system's wish to end the mount does.</summary>
    public Action<string>? UnmountAsked { get; set; }

    public void Changed(NodeId node, long offset, long length, bool attributesOnly) => Post(attributesOnly
        ? new Notice(Kind.AttributesOnly, node.Value)
        : new Notice(Kind.Content, node.Value, Offset: Math.Max(0, offset), Length: length));

    public void EntryChanged(NodeId parent, ReadOnlyMemory<byte> name, EntryChange what, NodeId? node) =>
        Post(new Notice(
            what switch
            {
                EntryChange.Added or EntryChange.RenamedTo => Kind.Added,
                EntryChange.Replaced => Kind.Replaced,
                _ => Kind.Removed,
            },
            // A renamed node lives on: only its name goes.
            parent.Value, what == EntryChange.Removed ? node?.Value ?? 0 : 0, Name: name.ToArray()));

    public void AllEntriesChanged() => Post(new Notice(Kind.AllEntries, NodeId.Root.Value));

    public void Unmount(string reason) => UnmountAsked?.Invoke(reason);

    public void Start(uint kernelMinor)
    {
        lock (_gate)
        {
            if (_started || _closing) return;
            _started = true;
            _epochs = kernelMinor >= Negotiation.EpochMinor;
        }

        new Thread(Run) { IsBackground = true, Name = "fuse notifier" }.Start();
    }

    public Task StopAsync()
    {
        lock (_gate)
        {
            _closing = true;
            if (!_started) return Task.CompletedTask;
            Monitor.Pulse(_gate);
        }

        return _stopped.Task;
    }

    /// <summary>
    /// Called for each name handed out. Kernels without epochs get <see cref="AllEntriesChanged"/> as one notification for each name of
    /// the root, which drops what is below too; false = the name can't be remembered, so it must not be cached.
    /// </summary>
    public bool Remember(NodeId parent, ReadOnlySpan<byte> name)
    {
        if (_epochs || parent != NodeId.Root) return true;
        lock (_gate)
        {
            if (_rootNames.GetAlternateLookup<ReadOnlySpan<byte>>().Contains(name)) return true;
            return _rootNames.Count < MaxRootNames && _rootNames.Add(name.ToArray());
        }
    }

    private void Post(in Notice notice)
    {
        lock (_gate)
        {
            if (_closing) return;
            if (_queue.Count >= MaxQueued) Collapse();
            _queue.Enqueue(notice);
            Monitor.Pulse(_gate);
        }
    }

    private void Collapse()
    {
        foreach (Notice notice in _queue)
        {
            if (notice.Kind == Kind.Content) _wholeFiles.Add(notice.Node);
            else if (notice.Kind != Kind.AllEntries) _directories.Add(notice.Node);
        }

        _queue.Clear();
        _queue.Enqueue(new Notice(Kind.AllEntries, NodeId.Root.Value));
    }

    private void Run()
    {
        var batch = new Queue<Notice>();
        announcer?.Attach();
        while (true)
        {
            ulong[] whole;
            ulong[] directories;
            lock (_gate)
            {
                while (_queue.Count == 0 && !_closing) Monitor.Wait(_gate);
                if (_closing) break;
                (batch, _queue) = (_queue, batch);
                whole = [.. _wholeFiles];
                _wholeFiles.Clear();
                directories = [.. _directories];
                _directories.Clear();
            }

            var parents = new HashSet<ulong>(directories);
            while (batch.TryDequeue(out Notice notice)) Send(notice, parents);
            foreach (ulong node in whole) SendInode(node, 0, 0);
            // After the names: a directory's size and times, which the kernel keeps when it had no such name cached.
            foreach (ulong parent in parents) SendInode(parent, -1, 0);
        }

        _stopped.TrySetResult();
    }

    private void Send(in Notice notice, HashSet<ulong> parents)
    {
        switch (notice.Kind)
        {
            case Kind.Content:
                SendInode(notice.Node, notice.Offset, notice.Length);
                announcer?.Modified(notice.Node);
                break;
            case Kind.AttributesOnly:
                SendInode(notice.Node, -1, 0);
                announcer?.AttributesChanged(notice.Node);
                break;
            case Kind.Added:
                SendEntry(notice.Node, notice.Name!);
                announcer?.Added(notice.Node, notice.Name!);
                parents.Add(notice.Node);
                break;
            case Kind.Replaced:
                SendEntry(notice.Node, notice.Name!);
                announcer?.Replaced(notice.Node, notice.Name!);
                parents.Add(notice.Node);
                break;
            case Kind.Removed:
                if (announcer?.Removed(notice.Node, notice.Child, notice.Name!) != true) SendRemoved(notice.Node, notice.Child, notice.Name!);
                parents.Add(notice.Node);
                break;
            default:
                SendAllEntries();
                break;
        }
    }

    private void SendInode(ulong node, long offset, long length)
    {
        var body = new NotifyInode { Node = node, Offset = offset, Length = length };
        Write(NoticeCode.InvalInode, new ReadOnlySpan<byte>(&body, sizeof(NotifyInode)), []);
    }

    private void SendEntry(ulong parent, byte[] name)
    {
        var body = new NotifyEntry { Parent = parent, NameLength = (uint)name.Length };
        Write(NoticeCode.InvalEntry, new ReadOnlySpan<byte>(&body, sizeof(NotifyEntry)), name);
    }

    private void SendRemoved(ulong parent, ulong child, byte[] name)
    {
        if (child == 0)
        {
            SendEntry(parent, name);
            return;
        }

        var body = new NotifyDelete { Parent = parent, Child = child, NameLength = (uint)name.Length };
        int errno = Write(NoticeCode.Delete, new ReadOnlySpan<byte>(&body, sizeof(NotifyDelete)), name);
        // Not the node the kernel knows under this name, or a directory it still finds names in: forget the name itself.
        if (errno != 0) SendEntry(parent, name);
    }

    private void SendAllEntries()
    {
        if (_epochs)
        {
            Write(NoticeCode.IncEpoch, [], null);
            return;
        }

        byte[][] names;
        lock (_gate)
        {
            names = [.. _rootNames];
            _rootNames.Clear();
        }

        foreach (byte[] name in names) SendEntry(NodeId.Root.Value, name);
    }

    /// <summary>Writes one notification; a name is followed by a NUL. ENOENT: the kernel does not hold it, which is normal.</summary>
    private int Write(NoticeCode code, ReadOnlySpan<byte> body, ReadOnlySpan<byte> name)
    {
        bool named = code is NoticeCode.InvalEntry or NoticeCode.Delete;
        int length = OutHeader.Length + body.Length + (named ? name.Length + 1 : 0);
        var header = new OutHeader { Len = (uint)length, Error = (int)code };
        byte nul = 0;
        fixed (byte* bodyAt = body, nameAt = name)
        {
            ReadOnlySpan<IoVec> parts =
            [
                new((nint)(&header), OutHeader.Length), new((nint)bodyAt, body.Length), new((nint)nameAt, name.Length), new((nint)(&nul), 1),
            ];
            int sent = channel.Write(parts[..(named ? 4 : body.IsEmpty ? 1 : 2)]);
            counts.Notified();
            if (sent >= 0) return 0;
            if (-sent is not (Errno.ENOENT or Errno.ENODEV)) FuseLog.NoticeRefused(log, code, -sent);
            return -sent;
        }
    }

    private readonly record struct Notice(Kind Kind, ulong Node, ulong Child = 0, long Offset = 0, long Length = 0, byte[]? Name = null);

    private sealed class NameEquality : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly NameEquality Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(byte[] name) => GetHashCode(name.AsSpan());

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            HashCode hash = default;
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
