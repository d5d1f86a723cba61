using DatFs.Crypto;
using Microsoft.Extensions.Logging;

namespace DatFs.Drives.Hyperdb;

internal static partial class DatabaseLog
{
    [LoggerMessage(Level = LogLevel.Warning, Message = "Database {Database}: {Why}")]
    public static partial void Stuck(ILogger log, DiscoveryKey database, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "Database {Database}: an observer failed")]
    public static partial void ObserverFailed(ILogger log, DiscoveryKey database, Exception failure);
}
