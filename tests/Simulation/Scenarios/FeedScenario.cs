using DatFs.Replication;

namespace DatMount.Simulation;

/// <summary>One owner appends to a feed; the others copy it, or read in it; for a while everything that may go wrong does.</summary>
internal sealed class FeedScenario : Scenario
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(20);

    private readonly List<FeedPeer> _peers = [];
    private readonly FeedTruth _truth;
    private readonly Faults _faults;

    public FeedScenario(World world)
        : base(world)
    {
        Blocks = (int)Rng.Scaled(1, 300);
        AppendEveryMs = Rng.Scaled(5, 3000);
        Ack = Rng.Chance(0.3);
        _truth = new FeedTruth(world, "the feed", Rng.Fork());
        int honest = (int)Rng.Between(2, 8);
        for (int i = 0; i < honest; i++)
        {
            FeedRole role = i == 0 ? FeedRole.Owner : Rng.Chance(0.6) ? FeedRole.Copy : FeedRole.Reader;
            _peers.Add(new FeedPeer(this, $"{char.ToLowerInvariant(role.ToString()[0])}{i}", Rng.Fork(), _truth, role));
        }

        Connect();
        _faults = new Faults(this, _peers, [.. _peers.Select(peer => peer.Name)], Rng.Fork());
        DisksFail = _faults.Kinds.Any(kind => kind is Fault.DiskError or Fault.DiskFull or Fault.BitFlip);
        BitsFlip = _faults.Kinds.Contains(Fault.BitFlip);
        World.Say("world", $"seed {world.Seed}: {Blocks} blocks, faults {string.Join(' ', _faults.Kinds)}; {string.Join(' ', _peers.Select(p => $"{p.Name}[{string.Join(',', p.Dials)}]"))}");
    }

    public override async Task RunAsync()
    {
        foreach (FeedPeer peer in _peers) await peer.StartAsync();
        Task caring = CareAsync();
        await _faults.RunAsync(Rng.Span(1000, 180_000));
        Healing = true;
        _faults.Heal();
        await caring;
        foreach (FeedPeer peer in _peers) await peer.CareAsync();

        // Whoever dials tries again within this time.
        await DelayAsync(PeerDialer.MaxDelay * 2);
        await SettleAsync();
        foreach (FeedPeer peer in _peers) await peer.ReadAllAsync(20);
        List<FeedPeer> order = [.. _peers];
        Rng.Shuffle(order);
        foreach (FeedPeer peer in order) await peer.StopAsync();
    }

    // Whatever the chances, everybody is connected with somebody who has everything in the end: readers do not fetch for others.
    private void Connect()
    {
        for (int i = 1; i < _peers.Count; i++)
        {
            FeedPeer other = Rng.Pick(_peers[..i].FindAll(p => p.Role != FeedRole.Reader));
            if (Rng.Chance(0.5)) _peers[i].Dials.Add(other.Name);
            else other.Dials.Add(_peers[i].Name);
        }

        foreach (FeedPeer peer in _peers)
        {
            foreach (FeedPeer other in _peers)
            {
                if (peer != other && Rng.Chance(0.2) && !peer.Dials.Contains(other.Name)) peer.Dials.Add(other.Name);
            }
        }

        foreach (FeedPeer peer in _peers)
        {
            foreach (FeedPeer other in _peers)
            {
                Way way = Network.WayOf(peer.Name, other.Name);
                way.Usual = new WayQuality
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
            FeedPeer peer = Rng.Pick(_peers);
            if (!Healing) await peer.CareAsync();
        }
    }

    private async Task SettleAsync()
    {
        long until = World.Now + s_patience.Ticks;
        while (World.Now < until)
        {
            foreach (FeedPeer peer in _peers) await peer.CareAsync();

            if (_truth.Length == Blocks && _peers.TrueForAll(peer => peer.Missing() is null)) return;
            await DelayAsync(TimeSpan.FromSeconds(5));
        }

        World.Fail($"not everybody came to the same: {string.Join("; ", _peers.Where(p => p.Missing() is not null).Select(p => $"{p.Name}: {p.Missing()}"))}");
    }
}
