namespace DatMount.Simulation;

/// <summary>One owner changes the files of a drive; the others copy it, or browse in it; for a while everything that may go wrong does.</summary>
internal sealed class DriveScenario : Scenario
{
    private readonly DriveTruth _truth;

    public DriveScenario(World world)
        : base(world)
    {
        Goal = (int)Rng.Scaled(1, 60);
        ChangeEveryMs = Rng.Scaled(20, 6000);
        Ack = Rng.Chance(0.3);
        _truth = new DriveTruth(world, Rng.Fork());
        int honest = (int)Rng.Between(2, 6);
        for (int i = 0; i < honest; i++)
        {
            PeerRole role = i == 0 ? PeerRole.Owner : Rng.Chance(0.4) ? PeerRole.Copy : PeerRole.Reader;
            string name = $"{char.ToLowerInvariant(role.ToString()[0])}{i}";
            Peers.Add(role == PeerRole.Owner ? new DriveOwner(this, name, Rng.Fork(), _truth) : new DrivePeer(this, name, Rng.Fork(), _truth, role));
        }

        Complete([_truth.Key, _truth.ContentKey]);
    }

    protected override bool IsComplete => _truth.Version == Goal;
}
