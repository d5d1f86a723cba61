using DatFs;
using DatMount.Platform.Fuse;

namespace DatMount.Commands;

/// <summary>A failure whose message is one sentence naming the remedy, and whose exit code is decided where it happened.</summary>
internal sealed class CommandException(ExitCode exitCode, string message, Exception? inner = null) : Exception(message, inner)
{
    public ExitCode ExitCode { get; } = exitCode;
}

/// <summary>The one place where a failure becomes a sentence on the terminal and an exit code.</summary>
internal static class Failure
{
    public static ExitCode Report(Exception failure, TextWriter error)
    {
        (ExitCode code, string message) = Describe(failure);
        error.WriteLine("datmount: " + TerminalText.Escape(message));
        return code;
    }

    internal static (ExitCode Code, string Message) Describe(Exception failure) => failure switch
    {
        CommandException command => (command.ExitCode, command.Message),
        MountException mount => (Of(mount.Kind), mount.Message),
        DatException dat => (Of(dat.Error), dat.Message),
        OperationCanceledException => (ExitCode.Failed, "interrupted"),
        UnauthorizedAccessException => (ExitCode.Refused, failure.Message + " (check the permissions, or choose another place with --storage)"),
        IOException => (ExitCode.Failed, failure.Message),
        _ => (ExitCode.Failed, "unexpected failure, please report it: " + failure),
    };

    private static ExitCode Of(DatError error) => error switch
    {
        DatError.Offline or DatError.TimedOut or DatError.NotFound => ExitCode.NotFound,
        DatError.Locked or DatError.NotWritable or DatError.KeyMismatch or DatError.Forked => ExitCode.Refused,
        DatError.Invalid => ExitCode.Usage,
        _ => ExitCode.Failed,
    };

    private static ExitCode Of(MountFailure failure) => failure switch
    {
        MountFailure.Missing or MountFailure.NotDirectory => ExitCode.NotFound,
        MountFailure.BadOption => ExitCode.Usage,
        MountFailure.NotEmpty or MountFailure.AlreadyMounted or MountFailure.Busy or MountFailure.AccessDenied
            or MountFailure.AllowOtherRefused or MountFailure.Refused or MountFailure.DeviceRefused => ExitCode.Refused,
        _ => ExitCode.Failed,
    };
}
