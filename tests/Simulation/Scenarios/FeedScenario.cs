namespace DatMount.Simulation;

/// <summary>One owner appends to a feed; the others copy it, or read in it; for a while everything that may go wrong does.</summary>
internal sealed class FeedScenario : Scenario
{
    private readonly FeedTruth _truth;

    public FeedScenario(World world)
        : base(world)
    {
        Goal = (int)Rng.Scaled(1, 300);
        ChangeEveryMs = Rng.Scaled(5, 3000);
        Ack = Rng.Chance(0.3);
        _truth = new FeedTruth(world, "the feed", Rng.Fork());
        int honest = (int)Rng.Between(2, 8);
        for (int i = 0; i < honest; i++)
        {
            PeerRole role = i == 0 ? PeerRole.Owner : Rng.Chance(0.6) ? PeerRole.Copy : PeerRole.Reader;
            Peers.Add(new FeedPeer(this, $"{char.ToLowerInvariant(role.ToString()[0])}{i}", Rng.Fork(), _truth, role));
        }

        Complete([_truth.Key]);
    }

    protected override bool IsComplete => _truth.Length == Goal;
}
