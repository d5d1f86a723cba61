using System.Diagnostics;
using System.Globalization;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Faults;

/// <summary>
/// The program mounts a drive that three real Node peers have, and something happens to one of them, or to all, in the middle of reads
/// (issue: real faults): readers notice nothing but time; with none left the documented errors come in time, and it recovers by itself.
/// </summary>
public sealed class PeerFaultTests(PeerFaultStage stage, Figures figures) : IClassFixture<PeerFaultStage>, IDisposable
{
    // What "within the I/O timeout" may cost on a machine that does other things too.
    private static readonly TimeSpan s_slack = TimeSpan.FromSeconds(8);

    private static readonly TimeSpan s_short = TimeSpan.FromSeconds(2);

    // Below the default of 30 s: no reader is near an error.
    private static readonly TimeSpan s_unnoticed = TimeSpan.FromSeconds(25);

    private readonly TempFolder _home = TempFolder.Create("faults");

    public void Dispose() => _home.Dispose();

    [Theory]
    [InlineData(Fault.Frozen)]
    [InlineData(Fault.Killed)]
    [InlineData(Fault.Cut)]
    [InlineData(Fault.Silent)]
    public async Task One_of_three_peers_fails_in_the_middle_of_reads_and_readers_notice_nothing(Fault fault)
    {
        Wait.SkipWithoutFuse();
        await using NodeCrowd crowd = await stage.CrowdAsync();
        await using MountedProgram mounted = crowd.Mount(_home, "30s");
        await mounted.MountedAsync();
        Stopwatch clock = Stopwatch.StartNew();
        Task<(int Exit, string Out, string Error)> reading = Wait.RunAsync("sha256sum", Path.Combine(mounted.Folder, PeerFaultStage.Whole));
        using CancellationTokenSource enough = new();
        Task<(int Reads, TimeSpan Longest)> jumping = Task.Run(() => Jump(Path.Combine(mounted.Folder, PeerFaultStage.Jumped), enough.Token));
        Wait.Until(() => Array.TrueForAll(crowd.Members, member => member.Line.BytesFromTarget > 1 << 20) || reading.IsCompleted, "each of them sends");
        await crowd.Members[1].StrikeAsync(fault);
        reading.IsCompleted.Should().BeFalse("it happens in the middle");
        TimeSpan before = clock.Elapsed;

        (int exit, string output, string error) = await reading;
        TimeSpan took = clock.Elapsed;
        await enough.CancelAsync();
        (int reads, TimeSpan longest) = await jumping;
        (exit, error).Should().Be((0, ""), mounted.Log);
        output.Should().StartWith(stage.WholeHash);
        longest.Should().BeLessThan(s_unnoticed);
        (took - before).Should().BeLessThan(s_unnoticed);

        await crowd.Members[1].RecoverAsync(fault);
        long at = crowd.Members[1].Line.BytesFromTarget;
        foreach (NodeMember other in (NodeMember[])[crowd.Members[0], crowd.Members[2]]) await other.StrikeAsync(Fault.Killed);
        (exit, output, error) = await Wait.RunAsync("sha256sum", Path.Combine(mounted.Folder, PeerFaultStage.Later));
        (exit, error).Should().Be((0, ""), mounted.Log);
        output.Should().StartWith(stage.LaterHash, "it serves again, now alone");
        crowd.Members[1].Line.BytesFromTarget.Should().BeGreaterThan(at + PeerFaultStage.LaterSize);
        figures.Add($"one of three {fault}".ToLowerInvariant(), "48 MiB in order, and 4 KiB here and there", took,
            string.Create(CultureInfo.InvariantCulture, $"{(took - before).TotalSeconds:0.0} s of it after the fault; {reads} random reads, the longest {longest.TotalSeconds:0.00} s"));
    }

    [Theory]
    [InlineData(Fault.Frozen)]
    [InlineData(Fault.Killed)]
    [InlineData(Fault.Silent)]
    public async Task With_no_peer_left_reads_end_with_an_error_in_time_and_go_on_when_one_comes_back(Fault fault)
    {
        Wait.SkipWithoutFuse();
        await using NodeCrowd crowd = await stage.CrowdAsync();
        await using MountedProgram mounted = crowd.Mount(_home, "2s");
        await mounted.MountedAsync();
        string later = Path.Combine(mounted.Folder, PeerFaultStage.Later);
        (await Wait.RunAsync("ls", "-l", mounted.Folder)).Exit.Should().Be(0, "all names are here now");
        Sha256Of.File(Path.Combine(mounted.Folder, PeerFaultStage.Small)).Should().Be(stage.SmallHash);
        foreach (NodeMember member in crowd.Members) await member.StrikeAsync(fault);

        Stopwatch clock = Stopwatch.StartNew();
        (int exit, _, string error) = await Wait.RunAsync("cat", later);
        TimeSpan failed = clock.Elapsed;
        exit.Should().NotBe(0);
        error.Should().Contain("Input/output error");
        failed.Should().BeGreaterThan(s_short / 2).And.BeLessThan(s_short + s_slack);
        clock.Restart();
        Sha256Of.File(Path.Combine(mounted.Folder, PeerFaultStage.Small)).Should().Be(stage.SmallHash, "what is here needs nobody");
        (await Wait.RunAsync("ls", mounted.Folder)).Exit.Should().Be(0);
        clock.Elapsed.Should().BeLessThan(s_short);

        clock.Restart();
        await crowd.Members[2].RecoverAsync(fault);
        Wait.Until(() => Reads(later, stage.LaterHash), "the file, once one of them is back");
        figures.Add($"all three {fault}".ToLowerInvariant(), "a read with --io-timeout 2s, then one came back", failed,
            string.Create(CultureInfo.InvariantCulture, $"EIO; read whole {clock.Elapsed.TotalSeconds:0.0} s after it came back"));
    }

    [Theory]
    [InlineData(Fault.Frozen)]
    [InlineData(Fault.Killed)]
    public async Task A_reader_that_waits_for_the_last_peer_is_served_when_one_comes_back(Fault fault)
    {
        Wait.SkipWithoutFuse();
        await using NodeCrowd crowd = await stage.CrowdAsync();
        await using MountedProgram mounted = crowd.Mount(_home, "55s");
        await mounted.MountedAsync();
        (await Wait.RunAsync("ls", "-l", mounted.Folder)).Exit.Should().Be(0, "all names are here now");
        foreach (NodeMember member in crowd.Members) await member.StrikeAsync(fault);
        long asked = crowd.Members.Sum(member => member.Line.BytesToTarget);
        Stopwatch clock = Stopwatch.StartNew();
        Task<(int Exit, string Out, string Error)> reading = Wait.RunAsync("sha256sum", Path.Combine(mounted.Folder, PeerFaultStage.Later));
        if (fault == Fault.Killed) foreach (NodeMember member in crowd.Members) await mounted.LoggedAsync(Wait.Patience, $"Connection to {member.Address} is over");
        else Wait.Until(() => crowd.Members.Sum(member => member.Line.BytesToTarget) > asked, "they are asked");
        reading.IsCompleted.Should().BeFalse();
        await crowd.Members[0].RecoverAsync(fault);
        (int exit, string output, string error) = await reading;
        (exit, error).Should().Be((0, ""), mounted.Log);
        output.Should().StartWith(stage.LaterHash);
        figures.Add($"all three {fault}".ToLowerInvariant(), "a reader waits, one comes back", clock.Elapsed, "no error");
    }

    private static (int Reads, TimeSpan Longest) Jump(string path, CancellationToken enough)
    {
        const int piece = 4096;
        byte[] buffer = new byte[piece];
        int reads = 0;
        TimeSpan longest = default;
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
        for (long at = 0; reads < PeerFaultStage.JumpedSize / piece && !enough.IsCancellationRequested; reads++)
        {
            at = (at + 7_340_033L * piece) % (PeerFaultStage.JumpedSize - piece);
            Stopwatch clock = Stopwatch.StartNew();
            file.Position = at;
            file.ReadExactly(buffer);
            if (clock.Elapsed > longest) longest = clock.Elapsed;
            if (!buffer.AsSpan().SequenceEqual(SeededBytes.Take(PeerFaultStage.JumpedSeed, at, piece))) throw new InvalidDataException($"other bytes than the owner's at {at}");
        }

        return (reads, longest);
    }

    private static bool Reads(string path, string hash)
    {
        try
        {
            return Sha256Of.File(path) == hash;
        }
        catch (IOException)
        {
            // Nobody is back yet.
            return false;
        }
    }
}
