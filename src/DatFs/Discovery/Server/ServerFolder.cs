namespace DatFs.Discovery.Server;

/// <summary>A server's state in the files of a folder that only its user may read: among it are the secrets.</summary>
internal sealed class ServerFolder : IServerState
{
    private readonly string _path;

    /// <summary>Opens the folder, creating it if it is not there.</summary>
    /// <exception cref="IOException">It cannot be created.</exception>
    public ServerFolder(string path)
    {
        _path = path;
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
        else Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <inheritdoc/>
    public byte[] Load(string name)
    {
        string file = Path.Combine(_path, name);
        return File.Exists(file) ? File.ReadAllBytes(file) : [];
    }

    /// <inheritdoc/>
    public void Save(string name, ReadOnlySpan<byte> state)
    {
        string file = Path.Combine(_path, name), beside = file + ".new";
        FileStreamOptions options = new() { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (FileStream stream = new(beside, options))
        {
            stream.Write(state);
            stream.Flush(flushToDisk: true);
        }

        File.Move(beside, file, overwrite: true);
    }
}
