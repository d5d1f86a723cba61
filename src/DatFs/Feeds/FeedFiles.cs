using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>
/// Where the six files of a feed lie (hypercore.md §17): in one folder, each name after a prefix. "" is the layout of hypercore and
/// hyperdrive folders; "metadata." and "content." are those of the dat tool.
/// </summary>
public sealed class FeedFiles
{
    /// <summary>Names the files; nothing is touched yet.</summary>
    public FeedFiles(IStorageFolder folder, string prefix = "")
    {
        Folder = folder;
        Prefix = prefix;
    }

    /// <summary>The folder.</summary>
    public IStorageFolder Folder { get; }

    /// <summary>What each name begins with.</summary>
    public string Prefix { get; }

    /// <summary>Block bytes from elsewhere: the user's own files behind one virtual file. Only ever read; the feed disposes it.</summary>
    public IRandomAccessFile? Data { get; init; }

    /// <summary>True when the feed's key is stored here.</summary>
    public bool HasKey => Folder.Exists(Prefix + KeyName);

    internal const string KeyName = "key";
    internal const string SecretKeyName = "secret_key";
    internal const string DataName = "data";
    internal const string TreeName = "tree";
    internal const string SignaturesName = "signatures";
    internal const string BitfieldName = "bitfield";

    /// <summary>Evidence of a forked feed; not a file of the format.</summary>
    internal const string ForkName = "fork";

    /// <summary>How many blocks an owner signed once, when storage was lost; not a file of the format.</summary>
    internal const string LostName = "lost";

    internal IRandomAccessFile? Open(string name, FileUse use) => Folder.Open(Prefix + name, use);

    internal bool Exists(string name) => Folder.Exists(Prefix + name);

    internal void Delete(string name) => Folder.Delete(Prefix + name);

    /// <summary>For messages.</summary>
    internal string Describe(string name) => $"{Folder.DisplayName}/{Prefix}{name}";
}
