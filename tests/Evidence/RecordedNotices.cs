using DatFs.FileSystem;

namespace DatFs.Evidence;

/// <summary>An adapter that only writes down what it is told, one line each.</summary>
public sealed class RecordedNotices : IMountNotifier
{
    private readonly List<string> _lines = [];

    /// <summary>Called inside each notification.</summary>
    public Action? During { get; set; }

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_lines) return [.. _lines];
        }
    }

    public List<string> Take()
    {
        lock (_lines)
        {
            List<string> taken = [.. _lines];
            _lines.Clear();
            return taken;
        }
    }

    public void Changed(NodeId node, long offset, long length, bool attributesOnly) => Add(attributesOnly ? $"attributes {node.Value}" : $"content {node.Value}");

    public void EntryChanged(NodeId parent, ReadOnlyMemory<byte> name, EntryChange what, NodeId? node) =>
        Add($"{what} {parent.Value}/{System.Text.Encoding.UTF8.GetString(name.Span)}{(node is { } id ? " was " + id.Value : "")}");

    public void AllEntriesChanged() => Add("all");

    public void Unmount(string reason) => Add("unmount " + reason);

    private void Add(string line)
    {
        lock (_lines) _lines.Add(line);
        During?.Invoke();
    }
}
