using DatFs.FileSystem;

namespace DatFs.Evidence;

/// <summary>Calls on an <see cref="IMountFs"/> in the words of a test: names as text, paths from the root.</summary>
public static class FsCalls
{
    public static byte[] Utf8(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    public static ValueTask<Result<NodeInfo>> LookupAsync(this IMountFs fs, NodeId parent, string name, CancellationToken ct = default) =>
        fs.LookupAsync(parent, Utf8(name), ct);

    /// <summary>Walks a path; gives back the references of the directories on the way, keeps that of the last.</summary>
    public static async Task<Result<NodeInfo>> WalkAsync(this IMountFs fs, string path)
    {
        Result<NodeInfo> at = await fs.GetAsync(NodeId.Root, null, default);
        foreach (string name in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            NodeId parent = at.Value.Id;
            at = await fs.LookupAsync(parent, name);
            if (parent != NodeId.Root) fs.Forget(parent, 1);
            if (!at.Ok) return at;
        }

        return at;
    }

    public static async Task<NodeInfo> NodeAsync(this IMountFs fs, string path)
    {
        Result<NodeInfo> at = await fs.WalkAsync(path);
        return at.Ok ? at.Value : throw new InvalidOperationException($"{path}: {at.Error}");
    }

    /// <summary>The whole content, or the error in angle brackets. Leaves no reference.</summary>
    public static async Task<string> ReadAsync(this IMountFs fs, string path)
    {
        Result<NodeInfo> at = await fs.WalkAsync(path);
        if (!at.Ok) return $"<{at.Error}>";
        try
        {
            Result<IFileHandle> opened = await fs.OpenAsync(at.Value.Id, OpenMode.Read, default);
            if (!opened.Ok) return $"<{opened.Error}>";
            await using IFileHandle handle = opened.Value;
            return await handle.TextAsync();
        }
        finally
        {
            if (at.Value.Id != NodeId.Root) fs.Forget(at.Value.Id, 1);
        }
    }

    /// <summary>What a handle reads from the start, or the error in angle brackets.</summary>
    public static async Task<string> TextAsync(this IFileHandle handle, long offset = 0, int length = 1 << 20)
    {
        Result<ReadLease> read = await handle.ReadAsync(offset, length, default);
        if (!read.Ok) return $"<{read.Error}>";
        using ReadLease lease = read.Value;
        return System.Text.Encoding.UTF8.GetString(System.Buffers.BuffersExtensions.ToArray(lease.Data));
    }

    public static async Task<IFileHandle> OpenAsync(this IMountFs fs, NodeId node)
    {
        Result<IFileHandle> opened = await fs.OpenAsync(node, OpenMode.Read, default);
        return opened.Ok ? opened.Value : throw new InvalidOperationException(opened.Error.ToString());
    }

    /// <summary>Names in the order of the listing, "." and ".." left out.</summary>
    public static async Task<List<string>> ListAsync(this IMountFs fs, string path)
    {
        NodeInfo node = await fs.NodeAsync(path);
        Result<IDirHandle> opened = await fs.OpenDirAsync(node.Id, default);
        if (!opened.Ok) throw new InvalidOperationException($"{path}: {opened.Error}");
        await using IDirHandle handle = opened.Value;
        List<string> names = [.. (await handle.EntriesAsync()).Select(entry => entry.Name).Where(name => name is not ("." or ".."))];
        if (node.Id != NodeId.Root) fs.Forget(node.Id, 1);
        return names;
    }

    /// <summary>Everything a directory handle has, asked for <paramref name="atATime"/> entries at a time.</summary>
    public static async Task<List<(string Name, NodeInfo Info, ulong Next)>> EntriesAsync(
        this IDirHandle handle, bool withInfo = false, ulong from = 0, int atATime = int.MaxValue)
    {
        List<(string Name, NodeInfo Info, ulong Next)> entries = [];
        while (true)
        {
            int room = atATime;
            Result<bool> end = await handle.ReadAsync(from, Add, withInfo, default);
            if (!end.Ok) throw new InvalidOperationException(end.Error.ToString());
            if (end.Value) return entries;

            bool Add(ReadOnlySpan<byte> name, in NodeInfo info, ulong next)
            {
                if (room-- == 0) return false;
                entries.Add((System.Text.Encoding.UTF8.GetString(name), info, next));
                from = next;
                return true;
            }
        }
    }
}
