namespace DatFs.Storage;

/// <summary>Names of files within a folder: one component, so that no name leads out of it.</summary>
internal static class StorageName
{
    /// <summary>Returns the name if it is usable.</summary>
    /// <exception cref="ArgumentException">It is empty, a dot name, or contains a separator or NUL.</exception>
    public static string Check(string name)
    {
        if (name is "" or "." or ".." || name.AsSpan().IndexOfAny('/', '\\', '\0') >= 0)
            throw new ArgumentException($"\"{name}\" is not a single path component", nameof(name));
        return name;
    }
}
