using System.Globalization;
using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>Extended attributes: facts of the format, by name and never listed, so that copying tools do not carry them along.</summary>
public sealed partial class DatFileSystem
{
    private const string XattrPrefix = "user.dat.";

    /// <inheritdoc/>
    public ValueTask<Result<int>> GetXattrAsync(NodeId node, ReadOnlyMemory<byte> name, Memory<byte> into, CancellationToken ct)
    {
        Node? known = Find(node);
        if (known is null) return new(FsError.Stale);
        if (!name.Span.StartsWith("user.dat."u8)) return new(FsError.NoAttribute);
        string which = System.Text.Encoding.UTF8.GetString(name.Span)[XattrPrefix.Length..];
        return known.Stale && known != _nodes.Root ? GetXattrSlowlyAsync(known, which, into, ct) : new(Answer(known, which, into));
    }

    /// <inheritdoc/>
    public ValueTask<Result<int>> ListXattrAsync(NodeId node, Memory<byte> into, CancellationToken ct) => new(Find(node) is null ? FsError.Stale : 0);

    private async ValueTask<Result<int>> GetXattrSlowlyAsync(Node node, string which, Memory<byte> into, CancellationToken ct)
    {
        FsError failed = await SettleAsync(node, ct);
        return failed == FsError.None ? Answer(node, which, into) : failed;
    }

    private Result<int> Answer(Node node, string which, Memory<byte> into)
    {
        if (XattrOf(node, which) is not { } text) return FsError.NoAttribute;
        byte[] value = System.Text.Encoding.UTF8.GetBytes(text);
        if (into.IsEmpty) return value.Length;
        if (value.Length > into.Length) return FsError.Range;
        value.CopyTo(into);
        return value.Length;
    }

    private string? XattrOf(Node node, string which)
    {
        if (which == "key") return _drive.Key.ToHex();
        if (node.Virtual != VirtualKind.None) return null;
        DriveEntry? entry;
        long newest;
        lock (_gate) (entry, newest) = (node.Entry, _newest.Version);
        IFileContent? content = entry is { Kind: EntryKind.File } && which is "blocks" or "local" ? Content(node.Name.Space, entry!) : null;
        return which switch
        {
            "version" => Number(node.Name.Space.Kind == SpaceKind.Live ? newest : node.Name.Space.Version),
            "seq" when entry is { Seq: >= 0 } => Number(entry.Seq),
            "writer" => entry?.Writer,
            "conflict" when entry is { Losers: > 0 } => Number(entry.Losers),
            "blocks" when content is not null => Number(content.Blocks),
            "local" when content is not null => Number(content.LocalBytes()),
            _ => null,
        };
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
