namespace DatFs.Drives;

/// <summary>
/// An absolute path inside a drive: components of UTF-16 text compared ordinally, no trailing slash, root is "/".
/// It names entries; it is never joined to a path of the operating system.
/// </summary>
public readonly record struct DrivePath
{
    private readonly string? _text;

    private DrivePath(string text) => _text = text;

    /// <summary>The root.</summary>
    public static DrivePath Root => default;

    /// <summary>From "/a/b" or "a/b" or "": one empty leading and trailing component is dropped, nothing else is interpreted (hyperdrive.md §2.1).</summary>
    public static DrivePath From(string path)
    {
        ReadOnlySpan<char> text = path;
        if (text.StartsWith("/")) text = text[1..];
        if (text.EndsWith("/")) text = text[..^1];
        return text.IsEmpty ? default : new DrivePath("/" + text.ToString());
    }

    /// <summary>"/" or "/a/b".</summary>
    public string Text => _text ?? "/";

    /// <summary>True for the root.</summary>
    public bool IsRoot => _text is null;

    /// <summary>The last component; empty for the root.</summary>
    public string Name => _text is null ? "" : _text[(_text.LastIndexOf('/') + 1)..];

    /// <summary>The directory that holds it; the root's parent is the root.</summary>
    public DrivePath Parent
    {
        get
        {
            int cut = _text is null ? 0 : _text.LastIndexOf('/');
            return cut <= 0 ? default : new DrivePath(_text![..cut]);
        }
    }

    /// <summary>An entry of this directory.</summary>
    public DrivePath Child(string name) => new(_text is null ? "/" + name : _text + "/" + name);

    /// <summary>The components, none for the root.</summary>
    public string[] Components() => _text is null ? [] : _text[1..].Split('/');

    /// <inheritdoc/>
    public override string ToString() => Text;
}
