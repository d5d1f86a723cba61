namespace DatMount.Simulation;

/// <summary>Something that goes wrong.</summary>
internal enum Fault
{
    /// <summary>All connections between two hosts are lost.</summary>
    Reset,
    /// <summary>Connections are lost by chance on one way, again and again.</summary>
    Loss,
    /// <summary>Nothing passes between two groups of hosts.</summary>
    Partition,
    /// <summary>Nothing passes from one host to another; the other way is open.</summary>
    Stall,
    /// <summary>A way becomes very slow.</summary>
    Slow,
    /// <summary>A machine stands still.</summary>
    Pause,
    /// <summary>A process is killed; what it wrote is there.</summary>
    Kill,
    /// <summary>A computer loses power.</summary>
    PowerLoss,
    /// <summary>A computer loses power within one of its next calls to the disk.</summary>
    PowerLossAtCall,
    /// <summary>A process ends in order and is started again.</summary>
    Restart,
    /// <summary>Calls to a disk fail.</summary>
    DiskError,
    /// <summary>A disk is full.</summary>
    DiskFull,
    /// <summary>Synchronising takes long, and everything waits for it.</summary>
    SlowDisk,
    /// <summary>A copy's disk changes a bit.</summary>
    BitFlip,
    /// <summary>A copy's file loses its end: what reads there comes short.</summary>
    CutFile,
    /// <summary>A copy loses everything it stored.</summary>
    Wipe,
    /// <summary>The calendar jumps by up to a day.</summary>
    ClockJump,
}

/// <summary>Makes things go wrong for a while. Each seed has its own choice of faults, so that some of them come in great numbers.</summary>
internal sealed class Faults
{
    private readonly Scenario _scenario;
    private readonly IReadOnlyList<Peer> _peers;
    private readonly IReadOnlyList<string> _hosts;
    private readonly Rng _rng;
    private readonly double _everyMs;
    private readonly List<Fault> _kinds = [];

    public Faults(Scenario scenario, IReadOnlyList<Peer> peers, IReadOnlyList<string> hosts, Rng rng)
    {
        _scenario = scenario;
        _peers = peers;
        _hosts = hosts;
        _rng = rng;
        _everyMs = rng.Scaled(300, 20_000);
        double share = rng.Pick<double>([0, 0.2, 0.5, 1]);
        foreach (Fault kind in Enum.GetValues<Fault>())
        {
            if (rng.Chance(share) && scenario.MayHappen(kind)) _kinds.Add(kind);
        }
    }

    /// <summary>What may happen in this seed.</summary>
    public IReadOnlyList<Fault> Kinds => _kinds;

    private World World => _scenario.World;

    public async Task RunAsync(TimeSpan span)
    {
        long end = World.Now + span.Ticks;
        while (World.Now < end)
        {
            await _scenario.DelayAsync(_rng.Span(1, _everyMs));
            if (_kinds.Count > 0) await HappenAsync(_rng.Pick(_kinds));
        }
    }

    /// <summary>All is well again.</summary>
    public void Heal()
    {
        World.Say("world", "heals");
        _scenario.Network.Heal();
        foreach (Peer peer in _peers)
        {
            peer.Disk.Heal();
            if (!peer.Disk.Unsound) continue;

            // Nothing checks stored nodes, signatures and bits for rot. It shows sooner or later, and then the storage is made anew.
            peer.Kill(losesPower: false);
            peer.LoseStorage();
        }
    }

    private async Task HappenAsync(Fault fault)
    {
        Peer peer = _rng.Pick(_peers);
        string here = _rng.Pick(_hosts), there = _rng.Pick(_hosts);
        switch (fault)
        {
            case Fault.Reset:
                if (here == there) return;
                Tell(fault, $"between {here} and {there}");
                _scenario.Network.Break(here, there);
                break;
            case Fault.Loss:
                Change(fault, here, there, usual => usual with { Loss = _rng.Scaled(0.002, 0.5) });
                break;
            case Fault.Slow:
                Change(fault, here, there, usual => usual with { Delay = _rng.Span(500, 5000), Bandwidth = _rng.Scaled(500, 20_000) });
                break;
            case Fault.Stall:
                Block(fault, [(here, there)]);
                break;
            case Fault.Partition:
                HashSet<string> left = [.. _hosts.Where(_ => _rng.Chance(0.5))];
                Block(fault, [.. _hosts.SelectMany(a => _hosts.Where(b => left.Contains(a) != left.Contains(b)).Select(b => (a, b)))]);
                break;
            case Fault.Pause when peer.Running:
                TimeSpan pause = _rng.Span(50, 40_000);
                Tell(fault, $"of {peer.Name} for {pause}");
                peer.Machine!.Pause(pause);
                break;
            case Fault.ClockJump when peer.Running:
                peer.Machine!.Clock.Skew = TimeSpan.FromTicks(_rng.Between(-TimeSpan.TicksPerDay, TimeSpan.TicksPerDay));
                Tell(fault, $"of {peer.Name} by {peer.Machine.Clock.Skew}");
                break;
            case Fault.Kill or Fault.PowerLoss when peer.Running:
                Tell(fault, $"of {peer.Name}");
                peer.Kill(fault == Fault.PowerLoss);
                break;
            case Fault.PowerLossAtCall when peer.Running:
                Tell(fault, $"of {peer.Name}");
                peer.Disk.CallsUntilCrash = _rng.Below(60);
                break;
            case Fault.Restart when peer.Running:
                Tell(fault, $"of {peer.Name}");
                await peer.StopAsync();
                break;
            case Fault.DiskError:
                ChangeDisk(fault, peer, disk => disk.ErrorShare = _rng.Scaled(0.001, 0.5), disk => disk.ErrorShare = 0);
                break;
            case Fault.DiskFull:
                ChangeDisk(fault, peer, disk => disk.Full = true, disk => disk.Full = false);
                break;
            case Fault.SlowDisk:
                ChangeDisk(fault, peer, disk => disk.SlowSync = _rng.Span(1, 3000), disk => disk.SlowSync = TimeSpan.Zero);
                break;
            case Fault.BitFlip when peer.MayLoseStorage:
                Tell(fault, $"of {peer.Name}");
                peer.Disk.Flip();
                break;
            case Fault.CutFile when peer.MayLoseStorage:
                Tell(fault, $"of {peer.Name}");
                peer.Disk.CutFile();
                break;
            case Fault.Wipe when peer.MayLoseStorage:
                Tell(fault, $"of {peer.Name}");
                peer.Kill(losesPower: true);
                peer.LoseStorage();
                break;
        }
    }

    private void Tell(Fault fault, string what)
    {
        World.Count($"fault {fault}");
        World.Say("world", $"{fault} {what}");
    }

    private void Change(Fault fault, string from, string to, Func<WayQuality, WayQuality> change)
    {
        if (from == to) return;
        Way way = _scenario.Network.WayOf(from, to);
        way.Now = change(way.Usual);
        Tell(fault, $"from {from} to {to}");
        World.After(_rng.Span(1000, 60_000), () => way.Now = way.Usual);
    }

    private void Block(Fault fault, (string From, string To)[] ways)
    {
        TimeSpan span = _rng.Span(200, 60_000);
        Tell(fault, $"of {string.Join(' ', ways.Select(way => $"{way.From}>{way.To}"))} for {span}");
        List<Way> blocked = [.. ways.Where(way => way.From != way.To).Select(way => _scenario.Network.WayOf(way.From, way.To))];
        foreach (Way way in blocked) way.Block();
        World.After(span, () => blocked.ForEach(way => way.Unblock()));
    }

    private void ChangeDisk(Fault fault, Peer peer, Action<SimDisk> worse, Action<SimDisk> better)
    {
        Tell(fault, $"of {peer.Name}");
        worse(peer.Disk);
        World.After(_rng.Span(50, 20_000), () => better(peer.Disk));
    }
}
