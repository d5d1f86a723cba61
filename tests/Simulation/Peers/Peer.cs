using DatFs;
using DatFs.Discovery;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;

namespace DatMount.Simulation;

/// <summary>
/// An honest peer: a host with a disk, and on it, one life after the other, a process that shares something by the real library. What it
/// shares is for those who derive from it.
/// </summary>
internal abstract class Peer(Scenario scenario, string name, Rng rng, PeerRole role)
{
    private static readonly TimeSpan s_longestEnd = TimeSpan.FromMinutes(2);

    private readonly List<Task> _serving = [];
    private readonly List<Task> _activities = [];
    private Swarm? _swarm;
    private ReplicatorHost? _host;
    private int _lives;
    private bool _changes;

    public string Name { get; } = name;

    public PeerRole Role { get; } = role;

    /// <summary>It has everything in the end.</summary>
    public bool GetsAll => Role != PeerRole.Reader;

    /// <summary>How its present process names itself to others.</summary>
    public byte[]? Id { get; private set; }

    /// <summary>Peers that it dials.</summary>
    public List<string> Dials { get; } = [];

    /// <summary>Its present life; null when it is off.</summary>
    public Machine? Machine { get; private set; }

    public bool Running => Machine is { Alive: true };

    /// <summary>The activities of this life go on.</summary>
    public bool Active { get; private set; }

    public World World => scenario.World;

    public SimDisk Disk { get; } = new(scenario.World, name, rng.Fork());

    /// <summary>What it stores can be had from others.</summary>
    public bool MayLoseStorage => Role != PeerRole.Owner;

    // Its storage may say anything.
    private bool MayBeDamaged => scenario.DisksRot && MayLoseStorage;

    protected Scenario Scenario => scenario;

    protected Rng Rng { get; } = rng;

    protected Replicator Replicator { get; private set; } = null!;

    /// <summary>Starts a new life. False when the disk did not let it.</summary>
    public Task<bool> StartAsync() => AloneAsync(BeginLifeAsync);

    /// <summary>Ends this life in order.</summary>
    public Task<bool> StopAsync() => AloneAsync(EndLifeAsync);

    private async Task<bool> AloneAsync(Func<Task<bool>> change)
    {
        if (_changes) return false;
        _changes = true;
        bool done = await change();
        _changes = false;
        return done;
    }

    private async Task<bool> BeginLifeAsync()
    {
        if (Running) return true;
        Machine machine = new(World, Name, Rng.Fork());
        Machine = machine;
        Disk.Attach(machine);
        Disk.Crash = () => Kill(losesPower: true);
        machine.Say($"starts life {++_lives}");
        try
        {
            await machine.RunAsync(() => BeginAsync(machine));
            return true;
        }
        catch (MachineDiedException)
        {
            return false;
        }
        catch (DatException e) when (e.Error == DatError.Io || MayBeDamaged)
        {
            machine.Say($"cannot start: {e.Error} {e.Message}");
            Kill(losesPower: false);
            if (e.Error != DatError.Io) LoseStorage();
            return false;
        }
    }

    private async Task<bool> EndLifeAsync()
    {
        if (Machine is not { } machine) return true;
        machine.Say("stops");
        try
        {
            await machine.RunAsync(() => EndAsync(machine));
            Machine = null;
            await scenario.LeftNothingAsync(machine, Disk);
            Disk.Detach(losesPower: false);
        }
        catch (MachineDiedException)
        {
            // Whoever killed it has done the rest.
            World.Check(Machine is null, $"{Name} died and is not gone");
        }

        return true;
    }

    /// <summary>Ends this life at once; of what was not synchronised the disk keeps what chance wants, when the power fails.</summary>
    public void Kill(bool losesPower)
    {
        if (Machine is not { } machine) return;
        machine.Say(losesPower ? "loses power" : "is killed");
        Machine = null;
        Active = false;
        machine.Kill(losesPower);
        Disk.Detach(losesPower);
        _serving.Clear();
        _activities.Clear();
    }

    /// <summary>Begins anew, as a user does whose disk was exchanged.</summary>
    public virtual void LoseStorage() => Disk.Wipe();

    /// <summary>Starts it when it is off, and again when its storage failed, as whoever looks after it would.</summary>
    public async Task CareAsync()
    {
        if (_changes || (Running && !await NeedsRestartAsync())) return;
        if (Running) await StopAsync();
        if (!Running) await StartAsync();
    }

    /// <summary>Null when everything that it should hold by now is here; otherwise says what is missing.</summary>
    public abstract string? Missing();

    /// <summary>Reads that must succeed, for everybody is well.</summary>
    public abstract Task ReadAllAsync();

    /// <summary>It will not go on by itself: its storage failed.</summary>
    protected abstract Task<bool> NeedsRestartAsync();

    /// <summary>True when one of its feeds refuses everything until it is opened again.</summary>
    protected async Task<bool> CannotFlushAsync(Func<IReadOnlyList<Feed>> feeds)
    {
        if (Machine is not { } machine) return true;
        try
        {
            return await machine.RunAsync(async () =>
            {
                try
                {
                    foreach (Feed feed in feeds()) await feed.FlushAsync(CancellationToken.None);
                    return false;
                }
                catch (DatException e)
                {
                    machine.Say("needs a restart: " + e.Message);
                    return true;
                }
            });
        }
        catch (MachineDiedException)
        {
            return true;
        }
    }

    /// <summary>Opens what it shares; in the machine.</summary>
    protected abstract Task OpenAsync(Machine machine);

    /// <summary>Closes what it shares; in the machine.</summary>
    protected abstract Task CloseAsync();

    /// <summary>Begins what its user does.</summary>
    protected abstract void BeginActivities();

    /// <summary>Something that goes on until <see cref="Active"/> is false.</summary>
    protected void Do(Func<Machine, Task> activity) => _activities.Add(GuardAsync(activity, Machine!));

    private async Task BeginAsync(Machine machine)
    {
        Id = Rng.Bytes(32);
        Replicator = new Replicator(new ReplicatorOptions
        {
            Id = Id,
            Time = machine.Clock,
            Log = new TraceLogger(machine),
            FillNonce = nonce => Rng.Fill(nonce.Span),
            Ack = scenario.Ack,
        });
        await OpenAsync(machine);
        if (!machine.Alive) return;
        _host = new ReplicatorHost(machine.Clock);
        _host.Add(Replicator);
        scenario.Network.Listen(machine, transport => _serving.Add(ServeAsync(transport)));
        _swarm = new Swarm(Replicator, new SwarmOptions { Dial = (address, ct) => scenario.Network.ConnectAsync(machine, address.Host, ct), Random = Rng.Unit });
        foreach (string other in Dials) _swarm.Add(new PeerAddress(other, 1));
        Active = true;
        BeginActivities();
    }

    private async Task EndAsync(Machine machine)
    {
        Active = false;
        await Task.WhenAll(_activities);
        bool ended = false;
        World.After(s_longestEnd, () => World.Check(ended || !machine.Alive || machine.PausedUntil > World.Now, $"{Name} did not end within {s_longestEnd}"));
        scenario.Network.StopListening(machine);
        await _swarm!.DisposeAsync();
        await Replicator.DisposeAsync();
        await Task.WhenAll(_serving);
        await CloseAsync();
        ended = true;
        _activities.Clear();
        _serving.Clear();
    }

    private async Task ServeAsync(ITransport transport)
    {
        try
        {
            PeerEnd end = await _host!.RunAsync(transport, CancellationToken.None);
        }
        catch (Exception e) when (e is ObjectDisposedException or DatException)
        {
            // The replicator is being closed.
            await transport.DisposeAsync();
        }
    }

    private async Task GuardAsync(Func<Machine, Task> activity, Machine machine)
    {
        try
        {
            await activity(machine);
        }
        catch (Exception e)
        {
            World.Fail($"{Name}: {e}");
        }
    }
}

/// <summary>What a peer is to what is shared.</summary>
internal enum PeerRole
{
    /// <summary>Has the secret key and makes changes.</summary>
    Owner,
    /// <summary>Downloads everything.</summary>
    Copy,
    /// <summary>Downloads what it reads.</summary>
    Reader,
}
