using DatFs.Crypto;
using Microsoft.Extensions.Logging;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Everything a hyperdrive says. Drives appear by their shortened discovery key, names escaped.</summary>
internal static partial class HyperdriveLog
{
    [LoggerMessage(1, LogLevel.Information, "An entry is hidden that no file system can show: {Path}")]
    public static partial void Hidden(ILogger log, string path);

    [LoggerMessage(2, LogLevel.Warning, "Drive {Drive}: {Reason}")]
    public static partial void Stuck(ILogger log, DiscoveryKey drive, string reason);

    [LoggerMessage(3, LogLevel.Error, "Drive {Drive} cannot be used: {Reason}")]
    public static partial void Unusable(ILogger log, DiscoveryKey drive, string reason);

    [LoggerMessage(4, LogLevel.Error, "An observer of drive {Drive} failed")]
    public static partial void ObserverFailed(ILogger log, DiscoveryKey drive, Exception error);

    [LoggerMessage(5, LogLevel.Warning, "Drive {Drive}: its folder cannot be read now, and is tried again: {Reason}")]
    public static partial void FolderUnreadable(ILogger log, DiscoveryKey drive, string reason);
}
