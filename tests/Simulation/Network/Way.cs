namespace DatMount.Simulation;

/// <summary>How pieces of a stream are cut on their way.</summary>
internal enum Cut
{
    /// <summary>As large as they come.</summary>
    Whole,
    /// <summary>Like packets on an Ethernet.</summary>
    Packets,
    /// <summary>1 to 97 bytes.</summary>
    Tiny,
    /// <summary>Anything.</summary>
    Mixed,
}

/// <summary>The way from one host to another, in one direction.</summary>
internal sealed class Way
{
    private int _blocks;

    private WayQuality _usual = new();

    /// <summary>How it is now.</summary>
    public WayQuality Now { get; set; } = new();

    /// <summary>How it is when nothing is wrong.</summary>
    public WayQuality Usual
    {
        get => _usual;
        set => Now = _usual = value;
    }

    /// <summary>Nothing comes through, nothing is lost either.</summary>
    public bool Blocked => _blocks > 0;

    /// <summary>What waits for the way to be free again.</summary>
    public event Action? Unblocked;

    public void Block() => _blocks++;

    public void Unblock()
    {
        if (_blocks > 0 && --_blocks == 0) Unblocked?.Invoke();
    }

    public void Heal()
    {
        Now = Usual;
        _blocks = Math.Min(_blocks, 1);
        Unblock();
    }

    public int PieceOf(int available, Rng rng)
    {
        int most = Now.Cut switch
        {
            Cut.Packets => 1448,
            Cut.Tiny => 1 + rng.Below(97),
            Cut.Mixed => (int)rng.Scaled(1, 20_000),
            _ => 64 * 1024,
        };
        return Math.Min(available, most);
    }
}

/// <summary>What a way is like.</summary>
internal sealed record WayQuality
{
    public TimeSpan Delay { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>Added to the delay, by chance up to this.</summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>Bytes a second.</summary>
    public double Bandwidth { get; init; } = 10e6;

    public Cut Cut { get; init; }

    /// <summary>Share of the pieces after which the connection is lost.</summary>
    public double Loss { get; init; }
}
