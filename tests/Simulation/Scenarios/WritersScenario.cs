namespace DatMount.Simulation;

/// <summary>
/// Several writers of one database: each changes keys that the others change too, lets newcomers in, and reads; most know the others only through
/// somebody between them. For a while everything that may go wrong does.
/// </summary>
internal sealed class WritersScenario : Scenario
{
    /// <summary>Versions that are looked at again and again.</summary>
    public const int MaxVersions = 12;

    // The two that look like nothing have the same hash (hyperdb-multiwriter.md §3).
    private static readonly string[] s_keys = ["a", "b", "d", "d/a", "d/b", "d/e/c", "f", "f/a", "ä", "long name with blanks.txt", "mpomeiehc", "idgcmnmna", "d/mpomeiehc", "d/idgcmnmna"];

    private readonly int[] _changes;

    public WritersScenario(World world)
        : base(world)
    {
        Goal = (int)Rng.Scaled(2, 120);
        ChangeEveryMs = Rng.Scaled(20, 6000);
        Ack = Rng.Chance(0.3);
        HasContent = Rng.Chance(0.3);
        int writers = (int)Rng.Between(2, 6), readers = Rng.Chance(0.3) ? 1 : 0;
        DatabaseTruth truth = new(world, Rng.Fork(), writers);
        foreach (TrueWriter writer in truth.Writers[2..]) writer.Invited = Rng.Chance(0.9);
        List<string> keys = [.. s_keys];
        Rng.Shuffle(keys);
        Keys = keys[..(int)Rng.Between(1, keys.Count)];
        _changes = new int[writers];
        for (int i = 0; i < Goal; i++) _changes[Rng.Below(writers)]++;
        for (int i = 0; i < writers; i++) Peers.Add(new DatabasePeer(this, $"w{i}", Rng.Fork(), truth, truth.Writers[i]));
        for (int i = 0; i < readers; i++) Peers.Add(new DatabasePeer(this, $"r{i}", Rng.Fork(), truth, null));
        Rng.Shuffle(Peers);
        foreach (Peer peer in Peers)
            if (Rng.Chance(0.1)) peer.Disk.CallsUntilCrash = Rng.Below(60);
        Complete([.. truth.Writers.Select(writer => writer.Key)]);
        if (Peers.Exists(peer => Peers.Exists(other => other != peer && !other.Dials.Contains(peer.Name) && !peer.Dials.Contains(other.Name)))) world.Count("some never connected");
    }

    /// <summary>Keys that are written.</summary>
    public IReadOnlyList<string> Keys { get; }

    /// <summary>Where something may lie below, and where nothing does.</summary>
    public IReadOnlyList<string> Directories { get; } = ["", "d", "d/e", "f", "nothing"];

    /// <summary>Values point at bytes in feeds of their own.</summary>
    public bool HasContent { get; }

    // Each peer has its own to do.
    protected override bool IsComplete => true;

    /// <summary>How many changes a writer wants to make.</summary>
    public int ChangesOf(TrueWriter writer) => _changes[writer.Number];

    // What rots is the feeds' own business, and looked at there.
    public override bool MayHappen(Fault fault) => fault is not (Fault.BitFlip or Fault.CutFile);
}
