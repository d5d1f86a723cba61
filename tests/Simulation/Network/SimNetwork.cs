using DatFs;
using DatFs.Wire;

namespace DatMount.Simulation;

/// <summary>All hosts and the ways between them. A host keeps its name and its ways when its machine dies and another one takes its place.</summary>
internal sealed class SimNetwork(World world, Rng rng)
{
    private static readonly TimeSpan s_connectTimeout = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, (Machine Machine, Action<ITransport> Accept)> _listeners = [];
    private readonly Dictionary<(string From, string To), Way> _ways = [];
    private readonly List<(SimSocket One, SimSocket Other)> _connections = [];
    private int _ports = 10_000;

    public World World { get; } = world;

    /// <summary>Connections that were made.</summary>
    public int Made { get; private set; }

    /// <summary>Connections that were lost.</summary>
    public int Lost { get; private set; }

    public Way WayOf(string from, string to)
    {
        if (!_ways.TryGetValue((from, to), out Way? path)) _ways.Add((from, to), path = new Way());
        return path;
    }

    /// <summary>All ways are as they usually are.</summary>
    public void Heal()
    {
        foreach (Way way in _ways.Values.ToArray()) way.Heal();
    }

    /// <summary>Takes connections for a host until its machine dies.</summary>
    public void Listen(Machine machine, Action<ITransport> accept)
    {
        _listeners[machine.Name] = (machine, accept);
        machine.Died += () => StopListening(machine);
    }

    public void StopListening(Machine machine)
    {
        if (_listeners.TryGetValue(machine.Name, out var listener) && listener.Machine == machine) _listeners.Remove(machine.Name);
    }

    /// <exception cref="DatException">Offline, TimedOut, as the TCP transport throws them.</exception>
    public async ValueTask<ITransport> ConnectAsync(Machine from, string to, CancellationToken ct)
    {
        TaskCompletionSource<ITransport> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using CancellationTokenRegistration cancel = ct.UnsafeRegister((_, token) => done.TrySetCanceled(token), null);
        Way there = WayOf(from.Name, to), back = WayOf(to, from.Name);
        long patience = World.Now + s_connectTimeout.Ticks;
        Knock();
        return await done.Task;

        void Knock()
        {
            if (done.Task.IsCompleted || !from.Alive) return;
            if (World.Now >= patience) done.TrySetException(new DatException(DatError.TimedOut, $"{to} did not answer"));
            else if (there.Blocked || back.Blocked) World.After(TimeSpan.FromSeconds(1), Knock);
            else World.After(there.Now.Delay, () => Arrive());
        }

        void Arrive()
        {
            if (done.Task.IsCompleted || !from.Alive) return;
            if (!_listeners.TryGetValue(to, out var listener))
            {
                World.After(back.Now.Delay, () => done.TrySetException(new DatException(DatError.Offline, $"{to} cannot be reached")));
                return;
            }

            (SimSocket near, SimSocket far) = Connect(from, listener.Machine, there, back);
            listener.Machine.Post(_ => listener.Accept(new SimTransport(far, $"{from.Name}:{_ports++}", false)), null);
            World.After(back.Now.Delay, () =>
            {
                if (!done.TrySetResult(new SimTransport(near, $"{to}:1", true))) from.Post(static socket => ((SimSocket)socket!).Dispose(), near);
            });
        }
    }

    /// <summary>Loses a connection: both ends learn of it by chance at once or when they next write.</summary>
    public void Break(SimSocket one, SimSocket other, string why)
    {
        Lost++;
        World.Say("net", $"{one.Machine.Name} and {other.Machine.Name} lose their connection {why}");
        one.BreakHere("connection reset by peer");
        World.After(rng.Span(0.1, 2000), () => other.BreakHere("connection reset by peer"));
    }

    /// <summary>Loses all connections between two hosts.</summary>
    public void Break(string a, string b)
    {
        _connections.RemoveAll(c => c.One.IsGone && c.Other.IsGone);
        foreach ((SimSocket one, SimSocket other) in _connections.ToArray())
        {
            bool those = (one.Machine.Name == a && other.Machine.Name == b) || (one.Machine.Name == b && other.Machine.Name == a);
            if (those) Break(one, other, "by force");
        }
    }

    private (SimSocket Near, SimSocket Far) Connect(Machine from, Machine to, Way there, Way back)
    {
        Made++;
        int sendBuffer = (int)rng.Scaled(2048, 256 * 1024), window = (int)rng.Scaled(4096, 512 * 1024);
        Flow forth = new(this, $"{from.Name}>{to.Name}", there, rng.Fork(), sendBuffer, window);
        Flow home = new(this, $"{to.Name}>{from.Name}", back, rng.Fork(), sendBuffer, window);
        SimSocket near = new(from, forth, home), far = new(to, home, forth);
        (forth.Source, forth.Sink, home.Source, home.Sink) = (near, far, far, near);
        forth.Open();
        home.Open();
        _connections.Add((near, far));
        return (near, far);
    }
}
