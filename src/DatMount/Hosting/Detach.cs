using System.Diagnostics;
using System.IO.Pipes;

namespace DatMount.Hosting;

/// <summary>
/// Going to the background: .NET cannot fork, so a second copy of the program is started with a pipe on which it reports
/// "ready" or one line saying why not. The copy takes the drive from its standard input, so that no link shows in the process list.
/// </summary>
internal static class Detach
{
    private const string PipeVariable = "DATMOUNT_READY_PIPE";
    private const string Ready = "ready";

    /// <summary>In the child: where to report. Null in an ordinary run.</summary>
    public static ReadyPipe? Reporter()
    {
        string? handle = Environment.GetEnvironmentVariable(PipeVariable);
        if (handle is null) return null;
        Environment.SetEnvironmentVariable(PipeVariable, null);
        return new ReadyPipe(new AnonymousPipeClientStream(PipeDirection.Out, handle));
    }

    /// <summary>In the parent: starts the child and answers its exit code once it is mounted (0) or has failed.</summary>
    public static async Task<int> StartAsync(IEnumerable<string> arguments, string drive, TextWriter error, CancellationToken ct)
    {
        using AnonymousPipeServerStream pipe = new(PipeDirection.In, HandleInheritability.Inheritable);
        ProcessStartInfo start = new(Environment.ProcessPath ?? throw new InvalidOperationException("the program's own path is not known"))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (string argument in SelfArguments().Concat(arguments)) start.ArgumentList.Add(argument);
        start.Environment[PipeVariable] = pipe.GetClientHandleAsString();

        using Process child = Process.Start(start) ?? throw new InvalidOperationException("the background process could not be started");
        pipe.DisposeLocalCopyOfClientHandle();
        await child.StandardInput.WriteLineAsync(drive.AsMemory(), ct);
        child.StandardInput.Close();

        // The runtime keeps copies of the streams it is started with, and whoever reads our output would wait for the child's end: it gets pipes
        // of its own, which are read only until it is up.
        using CancellationTokenSource up = CancellationTokenSource.CreateLinkedTokenSource(ct);
        Task said = Task.WhenAll(RelayAsync(child.StandardOutput, TextWriter.Null, up.Token), RelayAsync(child.StandardError, error, up.Token));
        try
        {
            return await OutcomeAsync(pipe, child, error, ct);
        }
        finally
        {
            await up.CancelAsync();
            await said;
        }
    }

    private static async Task<int> OutcomeAsync(Stream pipe, Process child, TextWriter error, CancellationToken ct)
    {
        using StreamReader reader = new(pipe);
        string? line = await reader.ReadLineAsync(ct);
        if (line == Ready) return 0;
        if (line is not null)
        {
            int space = line.IndexOf(' ', StringComparison.Ordinal);
            await error.WriteLineAsync("datmount: " + line[(space + 1)..]);
            return int.TryParse(line.AsSpan(0, Math.Max(space, 0)), out int code) ? code : 1;
        }

        await child.WaitForExitAsync(ct);
        await error.WriteLineAsync("datmount: the background process ended before the mount was up");
        return child.ExitCode == 0 ? 1 : child.ExitCode;
    }

    private static async Task RelayAsync(StreamReader from, TextWriter to, CancellationToken until)
    {
        try
        {
            while (await from.ReadLineAsync(until) is { } line) await to.WriteLineAsync(line.AsMemory(), until);
        }
        catch (OperationCanceledException) when (until.IsCancellationRequested)
        {
            // The child is up and speaks to nobody from now on.
        }
    }

    /// <summary>Run as "dotnet datmount.dll", the program is the first argument of its host.</summary>
    private static IEnumerable<string> SelfArguments() =>
        Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Path.Combine(AppContext.BaseDirectory, "datmount.dll")] : [];

    /// <summary>The child's end of the pipe; one report is made, then the terminal is left.</summary>
    internal sealed class ReadyPipe(Stream pipe) : IDisposable
    {
        private readonly StreamWriter _writer = new(pipe);

        public void MountIsUp() => Report(Ready);

        public void Failed(int exitCode, string message) => Report($"{exitCode} {message.ReplaceLineEndings(" ")}");

        public void Dispose() => _writer.Dispose();

        private void Report(string line)
        {
            Posix.LeaveTerminal();
            _writer.WriteLine(line);
            _writer.Dispose();
        }
    }
}
