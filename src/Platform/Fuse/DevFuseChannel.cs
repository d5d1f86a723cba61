using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DatMount.Platform.Fuse;

/// <summary>/dev/fuse after mounting. The descriptor must outlive every reader: close it only when the session has ended.</summary>
internal sealed unsafe class DevFuseChannel(SafeFileHandle device) : IFuseChannel
{
    private readonly int _fd = (int)device.DangerousGetHandle();

    public int Read(Span<byte> into)
    {
        fixed (byte* start = into)
        {
            nint n = Libc.Read(_fd, start, (nuint)into.Length);
            return n >= 0 ? (int)n : -Marshal.GetLastPInvokeError();
        }
    }

    public int Write(ReadOnlySpan<IoVec> parts)
    {
        fixed (IoVec* start = parts)
        {
            nint n = Libc.WriteV(_fd, start, parts.Length);
            return n >= 0 ? (int)n : -Marshal.GetLastPInvokeError();
        }
    }

    public void Dispose() => device.Dispose();
}
