using DatFs.Crypto;
using DatFs.Discovery;

namespace DatMount.Simulation;

/// <summary>
/// What happens in the world of one seed: who there is, what goes wrong for a while, and what must hold when all is well again.
/// </summary>
internal abstract class Scenario
{
    /// <summary>How long everybody may take to come to the same when all is well again.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(20);

    private readonly List<Liar> _liars = [];
    private Faults _faults = null!;

    protected Scenario(World world)
    {
        World = world;
        Rng = world.Rng.Fork();
        Network = new SimNetwork(world, world.Rng.Fork());
        Director = new Machine(world, "director", world.Rng.Fork());
    }

    public World World { get; }

    public SimNetwork Network { get; }

    /// <summary>Where the scenario itself goes on.</summary>
    public Machine Director { get; }

    /// <summary>The honest ones, the owner first.</summary>
    public List<Peer> Peers { get; } = [];

    /// <summary>What the owner still wants to do in all, by its own count: blocks, or changes of a drive.</summary>
    public int Goal { get; protected set; }

    /// <summary>Longest time between two of the owner's changes.</summary>
    public double ChangeEveryMs { get; protected set; } = 1000;

    /// <summary>Peers ask for acknowledgements.</summary>
    public bool Ack { get; protected set; }

    /// <summary>Disks may fail.</summary>
    public bool DisksFail { get; private set; }

    /// <summary>What lies on disks may change by itself.</summary>
    public bool DisksRot { get; private set; }

    /// <summary>No more faults.</summary>
    public bool Healing { get; private set; }

    /// <summary>By how much a wait may end too late: timers are coarse, and turns may be late.</summary>
    public TimeSpan Slack { get; } = TimeSpan.FromSeconds(2);

    protected Rng Rng { get; }

    /// <summary>The owner has done all it wanted.</summary>
    protected abstract bool IsComplete { get; }

    /// <summary>It may go wrong here.</summary>
    public virtual bool MayHappen(Fault fault) => true;

    /// <summary>Runs everything to its end.</summary>
    public async Task RunAsync()
    {
        foreach (Peer peer in Peers) await peer.StartAsync();
        foreach (Liar liar in _liars) await liar.StartAsync();
        Task caring = CareAsync();
        await _faults.RunAsync(Rng.Span(1000, 180_000));
        Healing = true;
        _faults.Heal();
        await caring;
        foreach (Peer peer in Peers) await peer.CareAsync();

        // Whoever dials tries again within this time. Liars go on lying to the very end.
        await DelayAsync(Swarm.MaxStaticRest * 2);
        await SettleAsync();
        if (World.Failure is not null) return;
        foreach (Peer peer in Peers) await peer.ReadAllAsync();
        List<Func<Task>> ends = [.. Peers.Select(peer => (Func<Task>)peer.StopAsync), .. _liars.Select(liar => (Func<Task>)liar.StopAsync)];
        Rng.Shuffle(ends);
        foreach (Func<Task> end in ends) await end();
    }

    /// <summary>After a life that ended in order nothing of it may be left.</summary>
    public async Task LeftNothingAsync(Machine machine, SimDisk? disk)
    {
        // What was cancelled may take its last turns.
        for (int turns = 0; turns < 10 && machine.Timers + machine.Sockets + machine.Working + machine.Buffers.Leased > 0; turns++) await DelayAsync(TimeSpan.FromSeconds(2));
        World.Check(machine.Timers == 0, $"{machine.Name} left {machine.Timers} timers");
        World.Check(machine.Sockets == 0, $"{machine.Name} left {machine.Sockets} sockets");
        World.Check(machine.Buffers.Leased == 0, $"{machine.Name} left {machine.Buffers.Leased} buffers of connections");
        World.Check(machine.Working == 0, $"{machine.Name} left {machine.Working} tasks");
        World.Check(disk is not { OpenFiles: > 0 }, $"{machine.Name} left {disk?.OpenFiles} open files");
    }

    public Task DelayAsync(TimeSpan delay) => Task.Delay(delay, Director.Clock);

    /// <summary>The last of what every scenario is made of, once its honest peers are known.</summary>
    protected void Complete(IReadOnlyList<FeedKey> keys)
    {
        if (Rng.Chance(0.45))
        {
            for (int i = (int)Rng.Between(1, 3); i > 0; i--) _liars.Add(new Liar(this, $"x{i}", Rng.Fork(), keys));
        }

        Connect();
        string[] hosts = [.. Peers.Select(peer => peer.Name), .. _liars.Select(liar => liar.Name)];
        ShapeWays(hosts);
        _faults = new Faults(this, Peers, hosts, Rng.Fork());
        DisksFail = _faults.Kinds.Any(kind => kind is Fault.DiskError or Fault.DiskFull or Fault.BitFlip or Fault.CutFile);
        DisksRot = _faults.Kinds.Any(kind => kind is Fault.BitFlip or Fault.CutFile);
        World.Say("world", $"seed {World.Seed}: {Goal} to do, faults {string.Join(' ', _faults.Kinds)}; {string.Join(' ', Peers.Select(p => $"{p.Name}[{string.Join(',', p.Dials)}]"))} {string.Join(' ', _liars)}");
    }

    // Whatever the chances, everybody is connected with somebody honest who has everything in the end: readers do not fetch for others.
    private void Connect()
    {
        for (int i = 1; i < Peers.Count; i++)
        {
            Peer other = Rng.Pick(Peers[..i].FindAll(p => p.GetsAll));
            if (Rng.Chance(0.5)) Peers[i].Dials.Add(other.Name);
            else other.Dials.Add(Peers[i].Name);
        }

        foreach (Peer peer in Peers)
        {
            foreach (Peer other in Peers)
            {
                if (peer != other && Rng.Chance(0.2) && !peer.Dials.Contains(other.Name)) peer.Dials.Add(other.Name);
            }
        }

        foreach (Liar liar in _liars)
        {
            if (Rng.Chance(0.8)) liar.LearnsFrom = Rng.Pick(Peers.FindAll(p => p.GetsAll)).Name;
            foreach (Peer peer in Peers)
            {
                if (Rng.Chance(0.3)) liar.Dials.Add(peer.Name);
                if (Rng.Chance(0.3)) peer.Dials.Add(liar.Name);
            }
        }
    }

    private void ShapeWays(string[] hosts)
    {
        foreach (string from in hosts)
        {
            foreach (string to in hosts)
            {
                Network.WayOf(from, to).Usual = new WayQuality
                {
                    Delay = Rng.Span(0.1, 400),
                    Jitter = Rng.Chance(0.5) ? Rng.Span(0.1, 200) : TimeSpan.Zero,
                    Bandwidth = Rng.Scaled(20e3, 50e6),
                    Cut = (Cut)Rng.Below(4),
                };
            }
        }
    }

    private async Task CareAsync()
    {
        while (!Healing)
        {
            await DelayAsync(Rng.Span(100, 20_000));
            Peer peer = Rng.Pick(Peers);
            if (!Healing) await peer.CareAsync();
        }
    }

    private async Task SettleAsync()
    {
        long until = World.Now + s_patience.Ticks;
        while (World.Now < until)
        {
            foreach (Peer peer in Peers) await peer.CareAsync();

            if (IsComplete && Peers.TrueForAll(peer => peer.Missing() is null)) return;
            await DelayAsync(TimeSpan.FromSeconds(5));
        }

        World.Fail($"not everybody came to the same: {string.Join("; ", Peers.Where(p => p.Missing() is not null).Select(p => $"{p.Name}: {p.Missing()}"))}");
    }
}
