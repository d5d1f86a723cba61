using System.Diagnostics;
using System.Globalization;
using DatMount.Fuzz.Engine;
using FluentAssertions;
using Xunit;

namespace DatMount.Fuzz;

/// <summary>
/// The short run of every target, with one seed, so that a change is judged by what it changes; packaging/fuzz searches on with seeds of its own.
/// DATMOUNT_FUZZ_SECONDS sets how long all of them take together, DATMOUNT_FUZZ_SEED another seed; the seed is printed, and so is the file of an
/// input that fails.
/// </summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const double DefaultSeconds = 75;
    private const int Workers = 2;

    private static readonly ulong s_seed = Variable("DATMOUNT_FUZZ_SEED") is { } seed
        ? ulong.Parse(seed, CultureInfo.InvariantCulture)
        : 2018;

    private static readonly double s_seconds = Variable("DATMOUNT_FUZZ_SECONDS") is { } seconds
        ? double.Parse(seconds, CultureInfo.InvariantCulture)
        : DefaultSeconds;

    public static TheoryData<string> Targets => [.. FuzzTargets.Names];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Whatever_arrives_is_decoded_or_refused(string target)
    {
        TimeSpan share = TimeSpan.FromSeconds(s_seconds / FuzzTargets.Names.Count);
        long started = Stopwatch.GetTimestamp();
        FuzzRun[] runs = [.. Enumerable.Range(0, Workers).Select(worker => new FuzzRun(FuzzTargets.Create(target), s_seed, worker))];
        bool GoesOn() => Stopwatch.GetElapsedTime(started) < share && runs.All(run => run.Failure is null);
        Thread[] threads = [.. runs.Select(run => new Thread(() => run.Run(GoesOn)))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();

        long cases = runs.Sum(run => run.Cases);
        Say(string.Create(CultureInfo.InvariantCulture,
            $"fuzz {target}: {cases} cases, {cases / Stopwatch.GetElapsedTime(started).TotalSeconds:0} a second, DATMOUNT_FUZZ_SEED={s_seed}"));
        foreach (FuzzFailure failure in runs.Select(run => run.Failure).OfType<FuzzFailure>())
        {
            string file = FuzzFiles.Save(target, failure.Input);
            Say($"fuzz {target}: {file} failed: {failure.Reason}");
            Assert.Fail($"{file} (seed {s_seed}): {failure.Reason}");
        }

        runs.Should().OnlyContain(run => run.Cases > FuzzTargets.Create(target).Corpus().Count());
    }

    [Fact]
    public void Inputs_that_once_failed_are_handled()
    {
        List<string> failed = [];
        foreach ((string target, string path) in FuzzFiles.Found())
        {
            try
            {
                FuzzRun.Check(FuzzTargets.Create(target), File.ReadAllBytes(path));
            }
            catch (Exception reason)
            {
                failed.Add($"{target}/{Path.GetFileName(path)}: {reason}");
            }
        }

        failed.Should().BeEmpty();
    }

    private void Say(string line)
    {
        output.WriteLine(line);
        Console.WriteLine(line);
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
