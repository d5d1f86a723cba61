namespace DatMount.Simulation;

/// <summary>
/// What happens in the world of one seed: who there is, what goes wrong for a while, and what must hold when all is well again.
/// </summary>
internal abstract class Scenario
{
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

    /// <summary>Blocks that the owner wants to append.</summary>
    public int Blocks { get; protected set; }

    /// <summary>Longest time between two appends.</summary>
    public double AppendEveryMs { get; protected set; } = 1000;

    /// <summary>Peers ask for acknowledgements.</summary>
    public bool Ack { get; protected set; }

    /// <summary>Disks may fail.</summary>
    public bool DisksFail { get; protected set; }

    /// <summary>Bits on disks may turn over.</summary>
    public bool BitsFlip { get; protected set; }

    /// <summary>No more faults.</summary>
    public bool Healing { get; protected set; }

    /// <summary>By how much a wait may end too late: timers are coarse, and turns may be late.</summary>
    public TimeSpan Slack { get; } = TimeSpan.FromSeconds(2);

    protected Rng Rng { get; }

    /// <summary>Runs everything to its end.</summary>
    public abstract Task RunAsync();

    /// <summary>After a life that ended in order nothing of it may be left.</summary>
    public async Task LeftNothingAsync(Machine machine, SimDisk disk)
    {
        // What was cancelled may take its last turns.
        for (int turns = 0; turns < 10 && machine.Timers + machine.Sockets + machine.Working > 0; turns++) await DelayAsync(TimeSpan.FromSeconds(2));
        World.Check(machine.Timers == 0, $"{machine.Name} left {machine.Timers} timers");
        World.Check(machine.Sockets == 0, $"{machine.Name} left {machine.Sockets} sockets");
        World.Check(machine.Working == 0, $"{machine.Name} left {machine.Working} tasks");
        World.Check(disk.OpenFiles == 0, $"{machine.Name} left {disk.OpenFiles} open files");
    }

    public Task DelayAsync(TimeSpan delay) => Task.Delay(delay, Director.Clock);
}
