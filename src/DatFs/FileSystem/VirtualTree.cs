using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>What a virtual node is.</summary>
internal enum VirtualKind : byte
{
    /// <summary>Not virtual: an entry of the drive.</summary>
    None,
    /// <summary><c>.dat</c>.</summary>
    Folder,
    /// <summary><c>.dat/versions</c>.</summary>
    Versions,
    /// <summary><c>.dat/versions/latest</c>, a link to the newest number.</summary>
    Latest,
    /// <summary><c>.dat/status.json</c>.</summary>
    Status,
    /// <summary><c>.dat/peers</c>.</summary>
    Peers,
    /// <summary><c>.dat/key</c>: the drive's link, for whoever may open the file.</summary>
    Key,
    /// <summary><c>.dat/log</c>.</summary>
    Log,
}

/// <summary>A name in the virtual folder.</summary>
internal sealed record VirtualEntry(DrivePath Path, VirtualKind Virtual, NodeKind Kind, uint Mode)
{
    public string Name { get; } = Path.Name;
}

/// <summary>The names of <c>.dat</c> (design: "Inside a mount"), all in one place. The folder is found by name and not listed.</summary>
internal static class VirtualTree
{
    public const string FolderName = ".dat";
    private const uint Everybody = 0x124;
    private const uint Owner = 0x100;
    private const uint Listed = 0x16D;

    private static readonly DrivePath s_folder = DrivePath.Root.Child(FolderName);

    public static VirtualEntry Folder { get; } = new(s_folder, VirtualKind.Folder, NodeKind.Directory, Listed);

    public static VirtualEntry Versions { get; } = new(s_folder.Child("versions"), VirtualKind.Versions, NodeKind.Directory, Listed);

    public static VirtualEntry Latest { get; } = new(Versions.Path.Child("latest"), VirtualKind.Latest, NodeKind.Symlink, 0x1FF);

    /// <summary>What is in <c>.dat</c>, in ordinal order.</summary>
    public static IReadOnlyList<VirtualEntry> Entries { get; } =
    [
        new(s_folder.Child("key"), VirtualKind.Key, NodeKind.File, Owner),
        new(s_folder.Child("log"), VirtualKind.Log, NodeKind.File, Everybody),
        new(s_folder.Child("peers"), VirtualKind.Peers, NodeKind.File, Everybody),
        new(s_folder.Child("status.json"), VirtualKind.Status, NodeKind.File, Everybody),
        Versions,
    ];

    public static uint ModeOf(VirtualKind kind) => kind switch
    {
        VirtualKind.Folder or VirtualKind.Versions => Listed,
        VirtualKind.Latest => Latest.Mode,
        VirtualKind.Key => Owner,
        _ => Everybody,
    };

    public static VirtualEntry? Find(string name) => Entries.FirstOrDefault(entry => entry.Name == name);
}
