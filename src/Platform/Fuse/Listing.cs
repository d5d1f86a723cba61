using System.Runtime.InteropServices;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>Packs directory records into one reply; with <c>attributes</c>, each with its entry in front (READDIRPLUS).</summary>
internal sealed class Listing(Memory<byte> buffer, Attributes? attributes, NodeId directory, FuseNotifier notifier)
{
    private int _length;

    public ReadOnlySpan<byte> Written => buffer.Span[.._length];

    /// <summary>A <see cref="DirAdd"/>; false = does not fit, the entry was not taken.</summary>
    public bool Add(ReadOnlySpan<byte> name, in NodeInfo info, ulong next)
    {
        int head = attributes is null ? 0 : EntryOut.Length;
        int size = (head + Dirent.Length + name.Length + 7) & ~7;
        if (size > buffer.Length - _length) return false;
        Span<byte> record = buffer.Span.Slice(_length, size);
        if (attributes is not null) MemoryMarshal.Write(record, Entry(name, info));

        MemoryMarshal.Write(record[head..], new Dirent
        {
            Ino = info.FileNumber,
            Next = next,
            NameLength = (uint)name.Length,
            Type = Attributes.DirectoryType(info.Kind),
        });
        Span<byte> text = record[(head + Dirent.Length)..];
        name.CopyTo(text);
        text[name.Length..].Clear();
        _length += size;
        return true;
    }

    /// <summary>Gives back the references of a reply nobody took.</summary>
    public void ForgetAll(IMountFs fs)
    {
        ReadOnlySpan<byte> rest = Written;
        while (!rest.IsEmpty)
        {
            EntryOut entry = MemoryMarshal.Read<EntryOut>(rest);
            Dirent dirent = MemoryMarshal.Read<Dirent>(rest[EntryOut.Length..]);
            if (entry.Node != 0) fs.Forget(new NodeId(entry.Node), 1);
            rest = rest[((EntryOut.Length + Dirent.Length + (int)dirent.NameLength + 7) & ~7)..];
        }

        _length = 0;
    }

    /// <summary>"." and ".." are no lookup: node 0 (platform.md §3).</summary>
    private EntryOut Entry(ReadOnlySpan<byte> name, in NodeInfo info)
    {
        if (name.SequenceEqual("."u8) || name.SequenceEqual(".."u8)) return default;
        EntryOut entry = attributes!.Entry(info);
        if (!notifier.Remember(directory, name)) (entry.EntryValid, entry.EntryValidNsec) = (0, 0);
        return entry;
    }
}
