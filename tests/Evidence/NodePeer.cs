using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DatFs.Evidence;

/// <summary>
/// A real Node peer in a process of its own, driven by commands (tests/peers). What it writes to standard error is part of
/// every failure message. Ended by its own process id when disposed; it also ends by itself when this process dies.
/// </summary>
public sealed partial class NodePeer : IAsyncDisposable
{
    /// <summary>A command that takes longer has failed.</summary>
    public static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(60);

    private const int MaxErrorText = 16 * 1024;

    private readonly Process _process;
    private readonly string _name;
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonElement>> _pending = new();
    private readonly StringBuilder _errors = new();
    private readonly Lock _gate = new();
    private readonly List<JsonElement> _events = [];
    private readonly List<(Func<JsonElement, bool> Test, TaskCompletionSource<JsonElement> Done)> _watchers = [];
    private int _lastId;
    private bool _ended;

    private NodePeer(Process process, string name)
    {
        _process = process;
        _name = name;
    }

    /// <summary>Process id.</summary>
    public int ProcessId => _process.Id;

    /// <summary>Where the packages lie, "tests/peers".</summary>
    public static string PeersRoot => Path.Combine(Vectors.TestsRoot, "peers");

    /// <summary>Starts a script of tests/peers and waits until it listens to commands.</summary>
    public static Task<NodePeer> StartAsync(string script, params string[] arguments) => StartAsync(["node"], script, arguments);

    /// <summary>As above, in a network namespace of its own that holds nothing but loopback. Needs root, or namespaces for users.</summary>
    public static Task<NodePeer> StartApartAsync(string script, params string[] arguments) =>
        StartAsync(["unshare", .. Environment.IsPrivilegedProcess ? Array.Empty<string>() : ["--map-root-user"], "--net", "sh", "-c",
            "ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec node \"$@\"", "node"], script, arguments);

    /// <summary>As above, in a network of the test's.</summary>
    public static Task<NodePeer> StartInAsync(NetworkNamespace network, string script, params string[] arguments) => StartAsync([.. network.Enter, "node"], script, arguments);

    private static async Task<NodePeer> StartAsync(string[] launcher, string script, string[] arguments)
    {
        if (!Directory.Exists(Path.Combine(PeersRoot, "node_modules")))
            throw new InvalidOperationException("The Node peers are not installed: run packaging/setup once.");
        ProcessStartInfo start = new(launcher[0])
        {
            WorkingDirectory = PeersRoot,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false),
            StandardOutputEncoding = System.Text.Encoding.UTF8,
        };
        foreach (string word in launcher[1..]) start.ArgumentList.Add(word);
        // The old packages use Buffer's constructor all over; the warning would drown real messages.
        start.ArgumentList.Add("--no-deprecation");
        start.ArgumentList.Add(Path.Combine(PeersRoot, script));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        Process process = Process.Start(start) ?? throw new InvalidOperationException("node did not start.");
        NodePeer peer = new(process, script + " " + string.Join(' ', arguments));
        _ = Task.Run(peer.ReadErrorsAsync);
        _ = Task.Run(peer.ReadLinesAsync);
        await peer.EventAsync("started", _ => true);
        return peer;
    }

    /// <summary>Runs a command and answers its result. Arguments are an anonymous object with camel-case members.</summary>
    public async Task<JsonElement> DoAsync(string command, object? arguments = null, TimeSpan? patience = null)
    {
        int id = Interlocked.Increment(ref _lastId);
        JsonObject line = arguments is null ? [] : JsonSerializer.SerializeToNode(arguments, s_json)!.AsObject();
        line["id"] = id;
        line["do"] = command;
        TaskCompletionSource<JsonElement> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _pending[id] = done;
        lock (_gate)
        {
            if (_ended) throw Failure($"has ended before '{command}'");
            try
            {
                _process.StandardInput.WriteLine(line.ToJsonString(s_json));
                _process.StandardInput.Flush();
            }
            catch (IOException)
            {
                // It has just died. What it wrote last is still being read; then every open command fails, this one too.
            }
        }

        return await WithPatience(done.Task, patience, $"'{command}'");
    }

    /// <summary>The first event of a name, past or to come, that passes the test.</summary>
    public Task<JsonElement> EventAsync(string name, Func<JsonElement, bool>? test = null, TimeSpan? patience = null)
    {
        bool Wanted(JsonElement e) => e.GetProperty("event").GetString() == name && (test is null || test(e));
        TaskCompletionSource<JsonElement> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            foreach (JsonElement past in _events)
                if (Wanted(past)) return Task.FromResult(past);
            if (_ended) throw Failure($"has ended before event '{name}'");
            _watchers.Add((Wanted, done));
        }

        return WithPatience(done.Task, patience, $"event '{name}'");
    }

    /// <summary>Forgets past events, so that <see cref="EventAsync"/> speaks of new ones only.</summary>
    public void ForgetEvents()
    {
        lock (_gate) _events.Clear();
    }

    /// <summary>Stops the process in its tracks (SIGSTOP): its connections stay open and silent.</summary>
    public void Freeze() => Signal(SigStop);

    /// <summary>Lets a frozen process go on (SIGCONT).</summary>
    public void Resume() => Signal(SigCont);

    /// <summary>Ends the process without warning (SIGKILL).</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private async Task<JsonElement> WithPatience(Task<JsonElement> task, TimeSpan? patience, string what)
    {
        TimeSpan limit = patience ?? DefaultPatience;
        try
        {
            return await task.WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            throw Failure($"gave no answer to {what} within {limit.TotalSeconds:0} s");
        }
    }

    private async Task ReadLinesAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            // Some of the old packages print; only our lines are objects.
            if (!line.StartsWith('{')) continue;
            JsonElement message = JsonDocument.Parse(line).RootElement;
            if (message.TryGetProperty("event", out _)) Happened(message);
            else Answered(message);
        }

        lock (_gate)
        {
            _ended = true;
            foreach ((_, TaskCompletionSource<JsonElement> done) in _watchers) done.TrySetException(Failure("has ended"));
        }

        foreach (TaskCompletionSource<JsonElement> done in _pending.Values) done.TrySetException(Failure("has ended"));
    }

    private void Answered(JsonElement message)
    {
        if (!_pending.TryRemove(message.GetProperty("id").GetInt32(), out TaskCompletionSource<JsonElement>? done)) return;
        if (message.TryGetProperty("ok", out JsonElement ok)) done.TrySetResult(ok);
        else done.TrySetException(Failure("answered: " + message.GetProperty("error").GetString()));
    }

    private void Happened(JsonElement message)
    {
        lock (_gate)
        {
            _events.Add(message);
            for (int i = _watchers.Count - 1; i >= 0; i--)
            {
                if (!_watchers[i].Test(message)) continue;
                _watchers[i].Done.TrySetResult(message);
                _watchers.RemoveAt(i);
            }
        }
    }

    private async Task ReadErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            lock (_gate)
            {
                if (_errors.Length < MaxErrorText) _errors.AppendLine(line);
            }
        }
    }

    private NodePeerException Failure(string what)
    {
        lock (_gate) return new NodePeerException($"Peer '{_name}' {what}.{(_errors.Length == 0 ? "" : "\n" + _errors)}");
    }

    private const int SigStop = 19;
    private const int SigCont = 18;

    private void Signal(int signal)
    {
        if (Kill(_process.Id, signal) != 0) throw Failure($"could not be sent signal {signal}");
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}

/// <summary>A peer process failed; the message holds what it wrote.</summary>
public sealed class NodePeerException(string message) : Exception(message);
