using DatMount.Fuzz.Engine;
using FluentAssertions;
using SharpFuzz.Common;
using Xunit;

namespace DatMount.Fuzz;

public sealed class EngineTests
{
    private const ulong Seed = 20180124;

    [Fact]
    public void A_planted_defect_is_found_and_the_seed_finds_it_again()
    {
        FuzzRun first = Search(new Planted()), second = Search(new Planted());
        first.Failure.Should().NotBeNull();
        first.Failure!.Reason.Should().BeOfType<IndexOutOfRangeException>();
        second.Cases.Should().Be(first.Cases);
        second.Failure!.Input.Should().Equal(first.Failure.Input);
    }

    [Fact]
    public void Memory_taken_from_a_claimed_length_is_a_failure()
    {
        FuzzRun run = Search(new Greedy());
        run.Failure.Should().NotBeNull();
        run.Failure!.Reason.Should().BeOfType<BrokenPromiseException>().Which.Message.Should().Contain("bytes of memory");
    }

    [Fact]
    public void A_sound_target_takes_every_input_within_its_bounds()
    {
        Sound target = new();
        FuzzRun run = Search(target);
        run.Failure.Should().BeNull();
        target.Longest.Should().BeGreaterThan(100).And.BeLessThanOrEqualTo(((IFuzzTarget)target).MaxLength);
        target.Different.Count.Should().BeGreaterThan(5000);
    }

    [Fact]
    public unsafe void A_case_is_new_when_it_reaches_a_branch_or_reaches_it_much_more_often()
    {
        Coverage coverage = new();
        coverage.Begin();
        coverage.IsNew().Should().BeFalse("nothing was reached");
        Trace.SharedMem[77] = 1;
        coverage.IsNew().Should().BeTrue();
        coverage.Reached.Should().Be(1);
        coverage.Begin();
        Trace.SharedMem[77].Should().Be(0);
        Trace.SharedMem[77] = 1;
        coverage.IsNew().Should().BeFalse("it was reached before");
        Trace.SharedMem[77] = 40;
        coverage.IsNew().Should().BeTrue();
        Trace.SharedMem[77] = 50;
        coverage.IsNew().Should().BeFalse("that is about as often");
        coverage.Reached.Should().Be(1);
    }

    private static FuzzRun Search(IFuzzTarget target)
    {
        FuzzRun run = new(target, Seed, 0);
        run.Run(() => run.Cases < 200_000);
        return run;
    }

    /// <summary>Believes the length of a field that lies behind another one.</summary>
    private sealed class Planted : IFuzzTarget
    {
        public string Name => "planted";

        public IEnumerable<byte[]> Corpus() => [[0x08, 0x05, 0x12, 0x03, 1, 2, 3]];

        public void Run(ReadOnlySpan<byte> input)
        {
            if (input.Length < 5 || input[0] != 0x08 || input[2] != 0x12) return;
            byte[] rest = input[4..].ToArray();
            if (input[3] < 0x80 && input[3] > 0) _ = rest[input[3] - 1];
        }
    }

    private sealed class Greedy : IFuzzTarget
    {
        public string Name => "greedy";

        public IEnumerable<byte[]> Corpus() => [[1, 0]];

        public void Run(ReadOnlySpan<byte> input)
        {
            if (input.Length >= 2) GC.KeepAlive(new byte[input[0] << 12]);
        }
    }

    private sealed class Sound : IFuzzTarget
    {
        public string Name => "sound";

        public HashSet<int> Different { get; } = [];

        public int Longest { get; private set; }

        public int MaxLength => 512;

        public long AllocationLimit(int inputLength) => long.MaxValue;

        public IEnumerable<byte[]> Corpus() => [[0x0A, 0x02, 1, 2, 0x12, 0x01, 9], [.. Enumerable.Range(0, 200).Select(i => (byte)i)]];

        public void Run(ReadOnlySpan<byte> input)
        {
            Longest = Math.Max(Longest, input.Length);
            HashCode hash = new();
            hash.AddBytes(input);
            Different.Add(hash.ToHashCode());
        }
    }
}
