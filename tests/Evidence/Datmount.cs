using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DatFs.Evidence;

/// <summary>
/// One run of the program as users get it: the ahead-of-time build in artifacts/bin, or the managed one where that was not built. Each test gives
/// its own home and runtime folder, so that nothing of the machine's user is seen or touched, and is configured to ask no source for peers:
/// a test that wants one names it.
/// </summary>
public sealed class Datmount : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly Process _process;
    private readonly BlockingCollection<string> _lines = [];
    private readonly List<string> _output = [];
    private readonly List<string> _errors = [];
    private readonly Lock _gate = new();
    private int _endedStreams;
    private readonly List<(string[] Parts, TaskCompletionSource<string> Found)> _watchers = [];

    private Datmount(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Take(line.Data, _output);
        process.ErrorDataReceived += (_, line) => Take(line.Data, _errors);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public string Output => Join(_output);

    public string Errors => Join(_errors);

    /// <summary>Lines of the log so far.</summary>
    public int Position
    {
        get
        {
            lock (_gate) return _errors.Count;
        }
    }

    public static string[] Program
    {
        get
        {
            string root = Path.GetDirectoryName(Vectors.TestsRoot)!;
            string native = Path.Combine(root, "artifacts", "bin", "datmount");
            return File.Exists(native) ? [native] : ["dotnet", Path.Combine(AppContext.BaseDirectory, "datmount.dll")];
        }
    }

    public static Datmount Start(TempFolder home, params string[] arguments) => Start(home, null, arguments);

    public static Datmount Start(TempFolder home, string? input, string[] arguments) => Start([], home, input, arguments);

    /// <summary>Starts it in a network of the test's.</summary>
    public static Datmount Start(NetworkNamespace? network, TempFolder home, string? input, string[] arguments) => Start(network?.Enter ?? [], home, input, arguments);

    /// <summary>Starts it by way of another program.</summary>
    public static Datmount Start(string[] launcher, TempFolder home, string? input, string[] arguments)
    {
        string[] words = [.. launcher, .. Program, .. arguments];
        ProcessStartInfo start = new(words[0]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string word in words[1..]) start.ArgumentList.Add(word);
        start.Environment["HOME"] = home.Folder("home");
        start.Environment["XDG_DATA_HOME"] = home.Folder("data");
        start.Environment["XDG_STATE_HOME"] = home.Folder("state");
        start.Environment["XDG_CONFIG_HOME"] = home.Folder("config");
        string configuration = Path.Combine(home.Folder("config/datmount"), "config.json");
        if (!File.Exists(configuration)) File.WriteAllText(configuration, """{"discovery": {"sources": []}}""");
        start.Environment["XDG_RUNTIME_DIR"] = home.Folder("runtime");
        Datmount run = new(Process.Start(start)!);
        if (input is not null) run._process.StandardInput.WriteLine(input);
        run._process.StandardInput.Close();
        return run;
    }

    /// <summary>Runs to the end.</summary>
    public static async Task<(int Code, string Output, string Errors)> RunAsync(TempFolder home, params string[] arguments)
    {
        await using Datmount run = Start(home, arguments);
        int code = await run.ExitAsync();
        return (code, run.Output, run.Errors);
    }

    /// <summary>Waits for a line that contains <paramref name="part"/>, on either stream.</summary>
    public async Task<string> LineAsync(string part)
    {
        using CancellationTokenSource patience = new(s_patience);
        try
        {
            return await Task.Run(() =>
            {
                foreach (string line in _lines.GetConsumingEnumerable(patience.Token))
                    if (line.Contains(part, StringComparison.Ordinal)) return line;
                throw new InvalidOperationException($"the program ended without saying '{part}':\n{Output}\n{Errors}");
            });
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"the program did not say '{part}':\n{Output}\n{Errors}");
        }
    }

    /// <summary>A line of the log, past or to come, that contains every one of <paramref name="parts"/>; looking for it takes no line from others.</summary>
    public Task<string> LoggedAsync(TimeSpan patience, params string[] parts) => LoggedAsync(0, patience, parts);

    /// <summary>The same, from a line on.</summary>
    public async Task<string> LoggedAsync(int position, TimeSpan patience, params string[] parts)
    {
        TaskCompletionSource<string> found = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            int past = _errors.FindIndex(Math.Min(position, _errors.Count), line => HasAll(line, parts));
            if (past >= 0) return _errors[past];
            _watchers.Add((parts, found));
        }

        try
        {
            return await found.Task.WaitAsync(patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"the log does not say '{string.Join("' and '", parts)}':\n{Errors}");
        }
    }

    /// <summary>True when the process has not ended.</summary>
    public bool IsAlive => !_process.HasExited;

    public void Signal(int signal)
    {
        if (Kill(_process.Id, signal) != 0) throw new InvalidOperationException("the process could not be signalled");
    }

    public async Task<int> ExitAsync()
    {
        using CancellationTokenSource patience = new(s_patience);
        try
        {
            await _process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"the program did not end:\n{Output}\n{Errors}");
        }

        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            Signal(15);
            try
            {
                using CancellationTokenSource patience = new(TimeSpan.FromSeconds(20));
                await _process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill();
                await _process.WaitForExitAsync();
            }
        }

        _process.Dispose();
        _lines.Dispose();
    }

    private static bool HasAll(string line, string[] parts) => Array.TrueForAll(parts, part => line.Contains(part, StringComparison.Ordinal));

    private string Join(List<string> lines)
    {
        lock (_gate) return string.Join('\n', lines);
    }

    private void Take(string? line, List<string> into)
    {
        if (line is null)
        {
            if (Interlocked.Increment(ref _endedStreams) == 2) _lines.CompleteAdding();
            return;
        }

        lock (_gate)
        {
            into.Add(line);
            if (into == _errors)
            {
                foreach ((string[] parts, TaskCompletionSource<string> found) in _watchers)
                    if (HasAll(line, parts)) found.TrySetResult(line);
                _watchers.RemoveAll(watcher => watcher.Found.Task.IsCompleted);
            }
        }

        _lines.Add(line);
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
