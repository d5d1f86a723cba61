using Microsoft.Extensions.Logging;

namespace DatFs.Merging;

// No path is told: names are whatever writers chose, and nobody's business who reads a log.
internal static partial class MergingLog
{
    [LoggerMessage(Level = LogLevel.Warning, Message = "Part of the archive's " + MergeRules.FileName + " is ignored: {Why}")]
    public static partial void Ignored(ILogger log, string why);

    [LoggerMessage(Level = LogLevel.Information, Message = "Conflicts are looked at again when something changes: {Why}")]
    public static partial void Later(ILogger log, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A conflict was not merged: {Why}")]
    public static partial void Failed(ILogger log, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The version {Version} wins a conflict by a time more than a day ahead: a clock is wrong; 'datmount conflicts' lists the path, 'datmount resolve' settles it")]
    public static partial void WrongClock(ILogger log, string version);
}
