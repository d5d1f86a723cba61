namespace DatMount.Simulation;

/// <summary>
/// The disk of one host. It outlives the machines that use it, one after the other, fails when it is told to, and can cut the power in any call
/// that changes it.
/// </summary>
internal sealed class SimDisk
{
    /// <summary>File systems have such a limit, if a higher one.</summary>
    public const long MaxFileLength = 1L << 30;

    private readonly World _world;
    private readonly string _name;
    private readonly Rng _rng;
    private Machine? _machine;

    public SimDisk(World world, string name, Rng rng)
    {
        _world = world;
        _name = name;
        _rng = rng;
        Root = new SimFolder(this, name);
    }

    /// <summary>Everything on it.</summary>
    public SimFolder Root { get; private set; }

    /// <summary>Files that are open.</summary>
    public int OpenFiles => Root.Files().Sum(file => file.Handles);

    /// <summary>Changing calls until the power fails; negative = it does not.</summary>
    public int CallsUntilCrash { get; set; } = -1;

    /// <summary>What cuts the power.</summary>
    public Action? Crash { get; set; }

    /// <summary>Share of the calls that fail.</summary>
    public double ErrorShare { get; set; }

    /// <summary>No file grows.</summary>
    public bool Full { get; set; }

    /// <summary>Longest time that a synchronisation takes.</summary>
    public TimeSpan SlowSync { get; set; }

    /// <summary>Failed synchronisations lose what they were about, while programs go on seeing it.</summary>
    public bool Forgetful { get; set; }

    public void Attach(Machine machine) => _machine = machine;

    public void Detach(bool losesPower)
    {
        _machine = null;
        if (losesPower) Root.LosePower(_rng, _world);
        else foreach (SimFile file in Root.Files()) file.CloseAll();
    }

    /// <summary>A bit of a file turns over.</summary>
    public void Flip()
    {
        SimFolder.Named[] files = [.. Root.NamedFiles()];
        if (files.Length == 0) return;
        SimFolder.Named file = _rng.Pick(files);
        if (!file.File.Flip(_rng)) return;
        _world.Say(_name, $"a bit of {file.Name} turns over");
        if (!file.Name.EndsWith("/data", StringComparison.Ordinal)) Unsound = true;
    }

    /// <summary>A file loses its end.</summary>
    public void CutFile()
    {
        SimFolder.Named[] files = [.. Root.NamedFiles()];
        if (files.Length == 0) return;
        SimFolder.Named file = _rng.Pick(files);
        long kept = _rng.Between(0, file.File.Length);
        if (kept == file.File.Length) return;
        file.File.Cut(kept);
        _world.Say(_name, $"{file.Name} is cut to {kept} bytes");
        if (!file.Name.EndsWith("/data", StringComparison.Ordinal)) Unsound = true;
    }

    /// <summary>Something changed in files that are not checked when they are read: all but the blocks themselves.</summary>
    public bool Unsound { get; private set; }

    /// <summary>Everything is deleted, as by a user who begins anew.</summary>
    public void Wipe() => (Root, Unsound) = (new SimFolder(this, _name), false);

    public void Heal()
    {
        CallsUntilCrash = -1;
        ErrorShare = 0;
        Full = false;
        SlowSync = TimeSpan.Zero;
    }

    /// <summary>Somebody looks who is not there, and to whom nothing happens.</summary>
    public void Quietly(Action look)
    {
        double errors = ErrorShare;
        ErrorShare = 0;
        try
        {
            look();
        }
        finally
        {
            ErrorShare = errors;
        }
    }

    internal void Reading()
    {
        Living();
        if (ErrorShare > 0 && _rng.Chance(ErrorShare)) throw Fault("Input/output error");
    }

    /// <summary>How much of a change happens; less than all of it with an exception to be thrown after it.</summary>
    internal int Changing(SimFile? file, long end, int length, out IOException? error)
    {
        Living();
        error = null;
        if (CallsUntilCrash >= 0 && CallsUntilCrash-- == 0)
        {
            _world.Count("power lost in a call");
            Crash!();
            throw new IOException("the power failed");
        }

        if (end > MaxFileLength) error = Fault("File too large");
        else if (Full && file is not null && end > file.Length) error = Fault("No space left on device");
        else if (ErrorShare > 0 && _rng.Chance(ErrorShare)) error = Fault("Input/output error");
        if (error is null) return length;
        return _rng.Chance(0.5) ? 0 : _rng.Below(length + 1);
    }

    internal void Syncing(SimFile? file)
    {
        _ = Changing(null, 0, 0, out IOException? error);
        if (SlowSync > TimeSpan.Zero) _machine!.Pause(TimeSpan.FromTicks(_rng.Between(0, SlowSync.Ticks)));
        if (error is null) return;
        if (Forgetful && file is not null) file.Forget();
        throw error;
    }

    internal bool IsOf(Machine? machine) => machine is not null && machine == _machine;

    internal Machine? User => _machine;

    private void Living()
    {
        if (_machine is not { Alive: true }) throw new IOException("the computer is off");
        if (SynchronizationContext.Current != _machine) _world.Fail($"the disk of {_name} was used from outside:\n{Environment.StackTrace}");
    }

    private IOException Fault(string what)
    {
        _world.Count(what);
        _world.Say(_name, what);
        return new IOException(what);
    }
}
