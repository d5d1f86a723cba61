using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>
/// One request from its arrival until it is answered: the bytes that came, room for a small answer, and the token an INTERRUPT cancels.
/// Pooled; it lives as long as anyone holds it (<see cref="Hold"/>, <see cref="LetGo"/>), so a late INTERRUPT never cancels its successor.
/// Nearly all requests are under a page: those are copied, so that one that waits does not keep a megabyte.
/// </summary>
internal sealed unsafe class FuseRequest : IDisposable
{
    public const int SmallRequest = SlabSize - OutArea;
    private const int SlabSize = 8192;
    private const int OutArea = 512;

    private readonly byte[] _slab = GC.AllocateUninitializedArray<byte>(SlabSize, pinned: true);
    private readonly byte* _out;
    private CancellationTokenSource _cancel = new();
    private int _holders;

    public FuseRequest() => _out = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_slab));

    public InHeader Header { get; private set; }

    /// <summary>The whole request, header included; valid until the request is done.</summary>
    public ReadOnlyMemory<byte> Bytes { get; private set; }

    /// <summary>The large buffer this request took over, to go back to its pool.</summary>
    public byte[]? Large { get; private set; }

    /// <summary>The one reply was sent, or none is due.</summary>
    public bool Answered { get; set; }

    public NodeId Node => new(Header.Node);

    public Caller Caller => new(Header.Uid, Header.Gid, Header.Pid);

    public CancellationToken Token => _cancel.Token;

    /// <summary>Room for an out header and a small payload, pinned.</summary>
    public byte* Out => _out;

    /// <summary>Takes a request just read; true when <paramref name="buffer"/> now belongs to it.</summary>
    public bool Begin(byte[] buffer, int length)
    {
        Header = MemoryMarshal.Read<InHeader>(buffer);
        Answered = false;
        _holders = 1;
        if (length > SmallRequest)
        {
            Large = buffer;
            Bytes = buffer.AsMemory(0, length);
            return true;
        }

        buffer.AsSpan(0, length).CopyTo(_slab.AsSpan(OutArea));
        Bytes = _slab.AsMemory(OutArea, length);
        return false;
    }

    /// <summary>Readies it for the pool; answers the large buffer it held.</summary>
    public byte[]? End()
    {
        byte[]? large = Large;
        Large = null;
        Bytes = default;
        if (_cancel.TryReset()) return large;
        _cancel.Dispose();
        _cancel = new CancellationTokenSource();
        return large;
    }

    public void Cancel() => _cancel.Cancel();

    public void Dispose() => _cancel.Dispose();

    public void Hold() => Interlocked.Increment(ref _holders);

    /// <summary>True when this was the last holder.</summary>
    public bool LetGo() => Interlocked.Decrement(ref _holders) == 0;

    /// <summary>The fixed arguments behind the header.</summary>
    public T Body<T>()
        where T : unmanaged
    {
        if (Bytes.Length < InHeader.Length + sizeof(T)) throw Malformed();
        return MemoryMarshal.Read<T>(Bytes.Span[InHeader.Length..]);
    }

    /// <summary>What follows the header and <paramref name="fixedLength"/> bytes of arguments.</summary>
    public ReadOnlyMemory<byte> After(int fixedLength)
    {
        if (Bytes.Length < InHeader.Length + fixedLength) throw Malformed();
        return Bytes[(InHeader.Length + fixedLength)..];
    }

    /// <summary>The NUL-terminated name behind <paramref name="fixedLength"/> bytes of arguments, without its NUL.</summary>
    public ReadOnlyMemory<byte> Name(int fixedLength) => Cut(After(fixedLength), out _);

    /// <summary>Two NUL-terminated names.</summary>
    public (ReadOnlyMemory<byte> First, ReadOnlyMemory<byte> Second) Names(int fixedLength)
    {
        ReadOnlyMemory<byte> first = Cut(After(fixedLength), out ReadOnlyMemory<byte> rest);
        return (first, Cut(rest, out _));
    }

    /// <summary>A name and exactly <paramref name="length"/> bytes behind its NUL.</summary>
    public (ReadOnlyMemory<byte> Name, ReadOnlyMemory<byte> Value) NameAndValue(int fixedLength, uint length)
    {
        ReadOnlyMemory<byte> name = Cut(After(fixedLength), out ReadOnlyMemory<byte> rest);
        if (length > (uint)rest.Length) throw Malformed();
        return (name, rest[..(int)length]);
    }

    private InvalidDataException Malformed() => new($"request {Header.Opcode} of {Bytes.Length} bytes is shorter than its arguments");

    private ReadOnlyMemory<byte> Cut(ReadOnlyMemory<byte> from, out ReadOnlyMemory<byte> rest)
    {
        int end = from.Span.IndexOf((byte)0);
        if (end < 0) throw Malformed();
        rest = from[(end + 1)..];
        return from[..end];
    }
}
