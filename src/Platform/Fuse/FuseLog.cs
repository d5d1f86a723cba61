using Microsoft.Extensions.Logging;

namespace DatMount.Platform.Fuse;

/// <summary>Log lines of the adapter. Requests are named by number only: names and keys never get here.</summary>
internal static partial class FuseLog
{
    [LoggerMessage(1, LogLevel.Trace, "request {Unique} {Opcode} node {Node} {Bytes} bytes from pid {Pid}")]
    public static partial void Received(ILogger log, ulong unique, Opcode opcode, ulong node, int bytes, uint pid);

    [LoggerMessage(2, LogLevel.Trace, "reply to {Unique} {Opcode} node {Node}: errno {Errno}, {Bytes} bytes")]
    public static partial void Answered(ILogger log, ulong unique, Opcode opcode, ulong node, int errno, int bytes);

    [LoggerMessage(3, LogLevel.Error, "the kernel refused the reply to {Opcode} {Unique} with errno {Errno}")]
    public static partial void ReplyRefused(ILogger log, Opcode opcode, ulong unique, int errno);

    [LoggerMessage(4, LogLevel.Error, "{Opcode} on node {Node} failed")]
    public static partial void HandlerFailed(ILogger log, Exception failure, Opcode opcode, ulong node);

    [LoggerMessage(5, LogLevel.Error, "{Opcode} {Unique} ended without an answer")]
    public static partial void Unanswered(ILogger log, Opcode opcode, ulong unique);

    [LoggerMessage(6, LogLevel.Error, "reading requests failed with errno {Errno}; the mount ends")]
    public static partial void ReadFailed(ILogger log, int errno);

    [LoggerMessage(7, LogLevel.Debug, "FUSE 7.{Minor}, flags {Flags:x}, {MaxWrite} bytes per request")]
    public static partial void Negotiated(ILogger log, uint minor, ulong flags, uint maxWrite);

    [LoggerMessage(8, LogLevel.Debug, "mounted on {MountPoint}")]
    public static partial void Mounted(ILogger log, string mountPoint);

    [LoggerMessage(9, LogLevel.Information, "{MountPoint} is unmounted")]
    public static partial void Unmounted(ILogger log, string mountPoint);

    [LoggerMessage(10, LogLevel.Warning, "{MountPoint} is in use by {Holders}; it was detached and ends when the last of them leaves")]
    public static partial void Detached(ILogger log, string mountPoint, string holders);

    [LoggerMessage(11, LogLevel.Warning, "removed the dead mount an earlier process left on {MountPoint}")]
    public static partial void StaleRemoved(ILogger log, string mountPoint);

    [LoggerMessage(12, LogLevel.Debug, "read ahead of {Device} stays as it is: {Reason}")]
    public static partial void ReadAheadKept(ILogger log, string device, string reason);

    [LoggerMessage(13, LogLevel.Debug, "notification {Code} was answered with errno {Errno}")]
    public static partial void NoticeRefused(ILogger log, NoticeCode code, int errno);

    [LoggerMessage(14, LogLevel.Warning, "the file system asks to unmount {MountPoint}: {Reason}")]
    public static partial void UnmountAsked(ILogger log, string mountPoint, string reason);

    [LoggerMessage(15, LogLevel.Error, "unmounting failed")]
    public static partial void UnmountFailed(ILogger log, Exception failure);

    [LoggerMessage(16, LogLevel.Debug, "fusermount: {Line}")]
    public static partial void Fusermount(ILogger log, string line);

    [LoggerMessage(17, LogLevel.Warning, "giving back open handles failed")]
    public static partial void CloseFailed(ILogger log, Exception failure);
}
