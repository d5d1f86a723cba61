namespace DatFs.FileSystem;

/// <summary>What one change has to tell, in the order of platform.md §3: names, then their directories, then files.</summary>
internal sealed class Notices
{
    private readonly List<(NodeId Parent, byte[] Name, EntryChange What, NodeId? Node)> _entries = [];
    private readonly List<NodeId> _attributes = [];
    private readonly HashSet<NodeId> _attributesSeen = [];
    private readonly List<NodeId> _contents = [];

    public bool AllEntries { get; set; }

    public bool IsEmpty => !AllEntries && _entries.Count == 0 && _attributes.Count == 0 && _contents.Count == 0;

    public void Entry(NodeId parent, byte[] name, EntryChange what, NodeId? node) => _entries.Add((parent, name, what, node));

    public void Attributes(NodeId node)
    {
        if (_attributesSeen.Add(node)) _attributes.Add(node);
    }

    public void Content(NodeId node) => _contents.Add(node);

    public void SendTo(IMountNotifier to)
    {
        if (AllEntries) to.AllEntriesChanged();
        foreach ((NodeId parent, byte[] name, EntryChange what, NodeId? node) in _entries) to.EntryChanged(parent, name, what, node);
        foreach (NodeId node in _attributes) to.Changed(node, -1, 0, attributesOnly: true);
        foreach (NodeId node in _contents) to.Changed(node, 0, -1, attributesOnly: false);
    }
}

/// <summary>
/// Hands notices to the subscribed adapters: in the order in which they were posted, one at a time, and never under a lock that a call may take.
/// </summary>
internal sealed class NoticeQueue
{
    private readonly Lock _gate = new();
    private readonly Queue<Notices> _waiting = new();
    private volatile IMountNotifier[] _to = [];
    private bool _sending;

    public IDisposable Subscribe(IMountNotifier notifier)
    {
        lock (_gate) _to = [.. _to, notifier];
        return new Subscription(this, notifier);
    }

    /// <summary>Sends unless another thread is sending, which then takes these too.</summary>
    public void Post(Notices notices)
    {
        if (notices.IsEmpty) return;
        lock (_gate)
        {
            _waiting.Enqueue(notices);
            if (_sending) return;
            _sending = true;
        }

        while (TryNext(out Notices? next))
        {
            foreach (IMountNotifier to in _to) next.SendTo(to);
        }
    }

    private bool TryNext([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Notices? next)
    {
        lock (_gate)
        {
            if (_waiting.TryDequeue(out next)) return true;
            _sending = false;
            return false;
        }
    }

    private sealed class Subscription(NoticeQueue owner, IMountNotifier notifier) : IDisposable
    {
        public void Dispose()
        {
            lock (owner._gate) owner._to = [.. owner._to.Where(to => to != notifier)];
        }
    }
}
