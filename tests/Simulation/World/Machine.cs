namespace DatMount.Simulation;

/// <summary>
/// A machine in the world: one life of one process. Everything that its code awaits goes on here; when it dies, nothing of it ever happens again.
/// </summary>
internal sealed class Machine : SynchronizationContext
{
    private readonly HashSet<Action> _failOnDeath = [];
    private readonly HashSet<MachineTimer> _timers = [];

    public Machine(World world, string name, Rng rng)
    {
        World = world;
        Name = name;
        Rng = rng;
        Clock = new MachineClock(this);
        Buffers = new CountingPool(world);
    }

    public World World { get; }
    public string Name { get; }
    public Rng Rng { get; }
    public MachineClock Clock { get; }

    /// <summary>Memory of the connections.</summary>
    public CountingPool Buffers { get; }

    public bool Alive { get; private set; } = true;

    /// <summary>It died with the whole computer, so that nobody was told.</summary>
    public bool LostPower { get; private set; }

    /// <summary>Stopped, as by a debugger or a sleeping lid, until then.</summary>
    public long PausedUntil { get; private set; }

    /// <summary>Ticks that it was stopped for, in all.</summary>
    public long Paused { get; private set; }

    /// <summary>Stops it for a while.</summary>
    public void Pause(TimeSpan span)
    {
        long until = World.Now + span.Ticks;
        if (until <= PausedUntil) return;
        Paused += until - Math.Max(PausedUntil, World.Now);
        PausedUntil = until;
    }

    /// <summary>Raised once, when it dies.</summary>
    public event Action? Died;

    /// <summary>Timers that were made and not disposed.</summary>
    public int Timers => _timers.Count;

    /// <summary>Background work that was begun and has not ended.</summary>
    public int Working { get; set; }

    /// <summary>Ends of connections not given back.</summary>
    public int Sockets { get; set; }

    public override void Post(SendOrPostCallback d, object? state) => World.Post(this, d, state);

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("nothing may block here");

    public override SynchronizationContext CreateCopy() => this;

    public void Say(string what) => World.Say(Name, what);

    /// <summary>Runs something here for somebody else, who learns how it ended, or by <see cref="MachineDiedException"/> that the machine died before.</summary>
    public async Task<T> RunAsync<T>(Func<Task<T>> work)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Action died = () => done.TrySetException(new MachineDiedException(Name));
        if (!Alive) throw new MachineDiedException(Name);
        _failOnDeath.Add(died);
        Post(_ => WorkAsync(), null);
        try
        {
            return await done.Task;
        }
        finally
        {
            _failOnDeath.Remove(died);
        }

        async void WorkAsync()
        {
            try
            {
                done.TrySetResult(await work());
            }
            catch (Exception e)
            {
                done.TrySetException(e);
            }
        }
    }

    /// <inheritdoc cref="RunAsync{T}"/>
    public Task RunAsync(Func<Task> work) => RunAsync(async () =>
    {
        await work();
        return true;
    });

    public void Kill(bool losesPower)
    {
        if (!Alive) return;
        Alive = false;
        LostPower = losesPower;
        foreach (Action fail in _failOnDeath.ToArray()) fail();
        _timers.Clear();
        Died?.Invoke();
    }

    internal void Add(MachineTimer timer) => _timers.Add(timer);

    internal void Remove(MachineTimer timer) => _timers.Remove(timer);
}

/// <summary>The machine on which something was to be done is no more.</summary>
internal sealed class MachineDiedException(string name) : Exception($"{name} died");
