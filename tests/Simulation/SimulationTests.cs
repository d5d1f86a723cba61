using FluentAssertions;
using Xunit;

namespace DatMount.Simulation;

/// <summary>The real library in simulated worlds, one for each seed.</summary>
public sealed class SimulationTests
{
    [Fact]
    public void Every_peer_of_a_feed_ends_with_the_same_bytes() =>
        Seeds.Run("feed", 1000, static world => new FeedScenario(world)).Should().BeEmpty();

    [Fact]
    public void A_seed_always_gives_the_same_trace()
    {
        foreach (ulong seed in Seeds.Sample(20))
            SeedRun.Run(seed, static world => new FeedScenario(world)).Hash.Should().Be(SeedRun.Run(seed, static world => new FeedScenario(world)).Hash, "seed {0} was run twice", seed);
    }
}
