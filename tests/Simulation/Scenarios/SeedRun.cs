namespace DatMount.Simulation;

/// <summary>What came of a seed.</summary>
internal sealed record SeedResult(ulong Seed, string Hash, long Events, long Steps, TimeSpan Time, string? Failure, Trace Trace, IReadOnlyDictionary<string, int> Counts);

/// <summary>Runs the world of one seed on the calling thread, from its beginning to the end.</summary>
internal static class SeedRun
{
    public static SeedResult Run(ulong seed, Func<World, Scenario> create)
    {
        World world = new(seed);
        Scenario scenario = create(world);
        Task? running = null;
        scenario.Director.Post(_ => running = scenario.RunAsync(), null);
        bool ended = world.Run(() => running is { IsCompleted: true });
        if (world.Failure is null && !ended) world.Fail("everybody waits and nothing will ever happen");
        if (running is { IsFaulted: true }) world.Fail(running.Exception!.InnerException!.ToString());
        if (world.Failure is null)
        {
            long end = world.Now;
            world.Run(() => false);
            world.Check(scenario.Director.Timers == 0, $"the director left {scenario.Director.Timers} timers");
            world.Say("world", $"quiet since {world.Now - end} ticks, {world.Steps} steps");
        }

        return new SeedResult(seed, world.Trace.Hash(), world.Trace.Events, world.Steps, world.Time, world.Failure, world.Trace, world.Counts);
    }
}
