using System.Runtime.InteropServices;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>What a call of the <see cref="Announcer"/> is about, for the thread that answers it.</summary>
internal sealed class Announcement(bool added, ulong parent, byte[] name, NodeInfo info)
{
    public bool Added => added;

    public NodeInfo Info => info;

    /// <summary>The kernel took the reference that looking up <see cref="Info"/> gave us.</summary>
    public bool ReferenceGiven { get; set; }

    public bool IsAbout(NodeId directory, ReadOnlySpan<byte> text) => directory.Value == parent && text.SequenceEqual(name);
}

/// <summary>
/// Gives inotify watchers their events for changes made elsewhere (platform.md §3, last part of "Cache times and live changes"):
/// notifications post none, but the equivalent call through our own mount does. Runs on the notifier's thread, which serves no
/// request; <see cref="FuseSession"/> knows its calls by that thread's number and answers them from the state that is already there.
/// Nodes are opened by handle, not by path: what the kernel does not hold has no watcher, and costs nothing. Root only.
/// </summary>
internal sealed unsafe class Announcer(IMountFs fs, string mountPoint)
{
    /// <summary>The handle number of files and folders opened by these calls.</summary>
    public const ulong Handle = ulong.MaxValue - 1;

    /// <summary>Stands for a removed node the kernel no longer knows, between its lookup and its unlink.</summary>
    public const ulong Ghost = ulong.MaxValue - 1;

    private const int FuseHandleType = 0x81;

    private int _thread;
    private Announcement? _now;
    private bool _denied;

    /// <summary>The thread whose calls these are; 0 = none.</summary>
    public uint Thread => (uint)Volatile.Read(ref _thread);

    /// <summary>What is being announced now.</summary>
    public Announcement? Now
    {
        get => Volatile.Read(ref _now);
        private set => Volatile.Write(ref _now, value);
    }

    /// <summary>Called first, on the thread that announces.</summary>
    public void Attach() => Volatile.Write(ref _thread, Libc.ThreadId());

    /// <summary>IN_CREATE in the folder; for a file also IN_CLOSE_WRITE.</summary>
    public void Added(ulong parent, byte[] name)
    {
        if (Find(parent, name) is not { } info) return;
        var announcement = new Announcement(true, parent, name, info);
        int directory = Open(parent, Libc.O_PATH);
        if (directory >= 0)
        {
            Now = announcement;
            fixed (byte* text = Terminated(name))
            {
                switch (info.Kind)
                {
                    case NodeKind.Directory:
                        Libc.MkDirAt(directory, text, 0x1C0);
                        break;
                    case NodeKind.Symlink:
                        byte target = (byte)'.';
                        ushort terminated = target;
                        Libc.SymLinkAt((byte*)&terminated, directory, text);
                        break;
                    default:
                        CloseIfOpen(Libc.OpenAt(
                            directory, text, Libc.O_CREAT | Libc.O_EXCL | Libc.O_WRONLY | Libc.NoFollow | Libc.O_CLOEXEC, 0x180));
                        break;
                }
            }

            Now = null;
            Libc.Close(directory);
        }

        if (!announcement.ReferenceGiven) fs.Forget(info.Id, 1);
    }

    /// <summary>IN_DELETE in the folder, IN_DELETE_SELF at the node; false = nothing was announced, the kernel still has the name.</summary>
    public bool Removed(ulong parent, ulong child, byte[] name)
    {
        if (Find(parent, name) is { } there)
        {
            // It is back already.
            fs.Forget(there.Id, 1);
            return false;
        }

        int directory = Open(parent, Libc.O_PATH);
        if (directory < 0) return false;
        int childDirectory = child == 0 ? -1 : Open(child, Libc.O_PATH);
        bool isDirectory = childDirectory >= 0 && IsDirectory(childDirectory);
        CloseIfOpen(childDirectory);
        var ghost = new NodeInfo(new NodeId(Ghost), Ghost, isDirectory ? NodeKind.Directory : NodeKind.File, 0, 0, 0x1C0, 1, 0, 0, 0, 0, 0, true);
        Now = new Announcement(false, parent, name, ghost);
        int errno;
        fixed (byte* text = Terminated(name))
        {
            errno = Unlink(directory, text, isDirectory);
            if (errno is Errno.EISDIR or Errno.ENOTDIR) errno = Unlink(directory, text, !isDirectory);
        }

        Now = null;
        Libc.Close(directory);
        return errno == 0;
    }

    /// <summary>IN_MODIFY and IN_CLOSE_WRITE, by name.</summary>
    public void Replaced(ulong parent, byte[] name)
    {
        int directory = Open(parent, Libc.O_PATH);
        if (directory < 0) return;
        fixed (byte* text = Terminated(name))
            Touch(Libc.OpenAt(directory, text, Libc.O_WRONLY | Libc.NoFollow | Libc.O_CLOEXEC, 0));
        Libc.Close(directory);
    }

    /// <summary>IN_MODIFY and IN_CLOSE_WRITE.</summary>
    public void Modified(ulong node) => Touch(Open(node, Libc.O_WRONLY));

    /// <summary>IN_ATTRIB; not for folders, whose times change with every name.</summary>
    public void AttributesChanged(ulong node)
    {
        int fd = Open(node, Libc.O_PATH);
        if (fd < 0) return;
        byte nothing = 0;
        if (!IsDirectory(fd)) Libc.UTimesAt(fd, &nothing, null, Libc.AT_EMPTY_PATH);
        Libc.Close(fd);
    }

    private static void Touch(int fd)
    {
        if (fd < 0) return;
        Libc.FTruncate(fd, 0);
        Libc.Close(fd);
    }

    private static int Unlink(int directory, byte* name, bool isDirectory) =>
        Libc.UnlinkAt(directory, name, isDirectory ? Libc.AT_REMOVEDIR : 0) == 0 ? 0 : Marshal.GetLastPInvokeError();

    private static void CloseIfOpen(int fd)
    {
        if (fd >= 0) Libc.Close(fd);
    }

    private static byte[] Terminated(byte[] name) => [.. name, 0];

    /// <summary>Looking up "." succeeds in folders only, and asks nobody.</summary>
    private static bool IsDirectory(int fd)
    {
        int again = Libc.OpenAt(fd, Here, Libc.O_PATH | Libc.O_CLOEXEC, 0);
        CloseIfOpen(again);
        return again >= 0;
    }

    private static byte* Here => (byte*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetReference("."u8));

    private NodeInfo? Find(ulong parent, byte[] name)
    {
        // This thread may wait: no request waits for it.
        Result<NodeInfo> found = fs.LookupAsync(new NodeId(parent), name, CancellationToken.None).AsTask().GetAwaiter().GetResult();
        return found.Ok ? found.Value : null;
    }

    /// <summary>Opens a node the kernel holds; negative when it does not, or when this is not ours to do.</summary>
    private int Open(ulong node, int flags)
    {
        if (_denied) return -1;
        // Not kept: an open folder would make the mount busy.
        int mount = Libc.Open(mountPoint, Libc.O_RDONLY | Libc.O_CLOEXEC);
        if (mount < 0) return -1;
        var handle = new Libc.FileHandle { Length = 12, Type = FuseHandleType, NodeHigh = (uint)(node >> 32), NodeLow = (uint)node };
        int fd = Libc.OpenByHandle(mount, &handle, flags | Libc.O_CLOEXEC);
        if (fd < 0) _denied = Marshal.GetLastPInvokeError() is Errno.EPERM or Errno.EOPNOTSUPP;
        Libc.Close(mount);
        return fd;
    }
}
