namespace DatMount.Commands;

/// <summary>What the process tells its caller; the same for every command.</summary>
internal enum ExitCode
{
    /// <summary>Everything asked for was done.</summary>
    Done = 0,
    /// <summary>Something went wrong on the way.</summary>
    Failed = 1,
    /// <summary>The command line could not be understood.</summary>
    Usage = 2,
    /// <summary>No such drive, or no peer within the time allowed.</summary>
    NotFound = 3,
    /// <summary>Locked by another process, no permission, or unsafe.</summary>
    Refused = 4,
}
