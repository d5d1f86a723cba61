using FluentAssertions;
using Xunit;

namespace DatMount.Simulation;

/// <summary>The real library in simulated worlds, one for each seed.</summary>
public sealed class SimulationTests
{
    private static readonly string[] s_mayGoWrong =
    [
        .. Enum.GetNames<Fault>().Select(fault => $"fault {fault}"), .. Enum.GetNames<Lie>().Select(lie => $"lie {lie}"),
        "connection lost by chance", "Input/output error", "No space left on device",
        "power lost in a call", "survives nothing", "survives a beginning", "survives any part", "survives torn at 512", "survives torn at 4096",
    ];

    private static readonly string[] s_onlyElsewhere = [$"fault {Fault.BitFlip}", $"fault {Fault.CutFile}"];

    private static readonly string[] s_writersDo =
        ["put", "deletion", "batch", "checkout", "authorization", "authorization by somebody who is not", "conflict in the end", "some never connected"];

    [Fact]
    public void Every_peer_of_a_feed_ends_with_the_same_bytes() =>
        Seeds.Run("feed", 1000, 0.4, static world => new FeedScenario(world), s_mayGoWrong).Should().BeEmpty();

    [Fact]
    public void Every_peer_of_a_drive_ends_with_the_same_files() =>
        Seeds.Run("drive", 400, 0.2, static world => new DriveScenario(world), s_mayGoWrong).Should().BeEmpty();

    [Fact]
    public void Every_writer_of_a_database_ends_with_the_same_entries() =>
        Seeds.Run("writers", 1000, 0.4, static world => new WritersScenario(world), [.. s_mayGoWrong.Except(s_onlyElsewhere), .. s_writersDo]).Should().BeEmpty();

    [Fact]
    public void A_seed_always_gives_the_same_trace()
    {
        foreach (ulong seed in Seeds.Sample(20))
        {
            SeedRun.Run(seed, static world => new FeedScenario(world)).Hash.Should().Be(SeedRun.Run(seed, static world => new FeedScenario(world)).Hash, "seed {0} of a feed was run twice", seed);
            SeedRun.Run(seed, static world => new DriveScenario(world)).Hash.Should().Be(SeedRun.Run(seed, static world => new DriveScenario(world)).Hash, "seed {0} of a drive was run twice", seed);
            SeedRun.Run(seed, static world => new WritersScenario(world)).Hash.Should().Be(SeedRun.Run(seed, static world => new WritersScenario(world)).Hash, "seed {0} of a database was run twice", seed);
        }
    }
}
