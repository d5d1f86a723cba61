using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace DatMount.Platform.Fuse;

/// <summary>
/// Sends the one reply of each request from the thread that has it. Answers false when the kernel did not take it (the request was
/// aborted or the mount is gone): references and handles the reply would have given away are then still ours.
/// </summary>
internal sealed unsafe class ReplyWriter(IFuseChannel channel, FuseCounts counts, ILogger log)
{
    /// <summary>More pieces than this are joined first.</summary>
    public const int MaxSegments = 16;

    public bool Done(FuseRequest request) => SendHead(request, 0, 0);

    public bool Fail(FuseRequest request, int errno) => SendHead(request, errno, 0);

    public bool Send<T>(FuseRequest request, in T payload)
        where T : unmanaged
    {
        Unsafe.WriteUnaligned(request.Out + OutHeader.Length, payload);
        return SendHead(request, 0, sizeof(T));
    }

    public bool SendBytes(FuseRequest request, ReadOnlySpan<byte> payload)
    {
        fixed (byte* start = payload)
        {
            WriteHeader(request, 0, payload.Length);
            ReadOnlySpan<IoVec> parts = [new((nint)request.Out, OutHeader.Length), new((nint)start, payload.Length)];
            return Write(request, parts[..(payload.IsEmpty ? 1 : 2)], 0, payload.Length);
        }
    }

    /// <summary>Sends file content straight from where it lies.</summary>
    public bool SendContent(FuseRequest request, in ReadOnlySequence<byte> content)
    {
        if (content.IsSingleSegment) return SendBytes(request, content.FirstSpan);
        Pieces pins = default;
        Span<IoVec> parts = stackalloc IoVec[MaxSegments + 1];
        int count = 0;
        try
        {
            foreach (ReadOnlyMemory<byte> piece in content)
            {
                if (piece.IsEmpty) continue;
                if (count == MaxSegments) return SendJoined(request, content);
                pins[count] = piece.Pin();
                parts[++count] = new IoVec((nint)pins[count - 1].Pointer, piece.Length);
            }

            int length = checked((int)content.Length);
            WriteHeader(request, 0, length);
            parts[0] = new IoVec((nint)request.Out, OutHeader.Length);
            return Write(request, parts[..(count + 1)], 0, length);
        }
        finally
        {
            for (int i = 0; i < count; i++) pins[i].Dispose();
        }
    }

    private bool SendJoined(FuseRequest request, in ReadOnlySequence<byte> content)
    {
        int length = checked((int)content.Length);
        byte[] joined = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            content.CopyTo(joined);
            return SendBytes(request, joined.AsSpan(0, length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(joined);
        }
    }

    private bool SendHead(FuseRequest request, int errno, int payload)
    {
        WriteHeader(request, errno, payload);
        return Write(request, [new IoVec((nint)request.Out, OutHeader.Length + payload)], errno, payload);
    }

    private static void WriteHeader(FuseRequest request, int errno, int payload) =>
        *(OutHeader*)request.Out = new OutHeader { Len = (uint)(OutHeader.Length + payload), Error = -errno, Unique = request.Header.Unique };

    private bool Write(FuseRequest request, ReadOnlySpan<IoVec> parts, int errno, int payload)
    {
        request.Answered = true;
        int sent = channel.Write(parts);
        if (log.IsEnabled(LogLevel.Trace)) FuseLog.Answered(log, request.Header.Unique, request.Header.Opcode, request.Header.Node, errno, payload);
        if (sent >= 0)
        {
            counts.Replied(errno != 0);
            return true;
        }

        // ENOENT: interrupted or aborted, nobody waits. ENODEV: unmounted.
        if (-sent is Errno.ENOENT or Errno.ENODEV) return false;
        FuseLog.ReplyRefused(log, request.Header.Opcode, request.Header.Unique, -sent);
        if (errno == Errno.EIO) return false;
        SendHead(request, Errno.EIO, 0);
        return false;
    }

    [InlineArray(MaxSegments)]
    private struct Pieces
    {
        private MemoryHandle _first;
    }
}
