using System.Globalization;
using DatMount.Fuzz.Engine;
using SharpFuzz;

namespace DatMount.Fuzz;

/// <summary>
/// What packaging/fuzz starts: runs of one target over instrumented copies of the assemblies, whose branches tell which inputs are worth mutating further.
/// </summary>
internal static class LongRun
{
    /// <summary>Makes the branches of an assembly report themselves.</summary>
    public static int Instrument(IEnumerable<string> assemblies)
    {
        foreach (string assembly in assemblies) Fuzzer.Instrument(assembly, static _ => true, Options.Value);
        return 0;
    }

    /// <summary>Writes what afl-fuzz starts from: inputs, one file each, and its dictionary.</summary>
    public static int Seed(string target, string folder, string dictionary)
    {
        IFuzzTarget chosen = FuzzTargets.Create(target);
        Directory.CreateDirectory(folder);
        int number = 0;
        foreach (byte[] input in chosen.Corpus().Concat(FuzzFiles.Found().Where(found => found.Target == target).Select(found => File.ReadAllBytes(found.Path))))
            File.WriteAllBytes(Path.Combine(folder, number++.ToString("d5", CultureInfo.InvariantCulture)), input);
        File.WriteAllLines(dictionary, chosen.Dictionary.Where(word => word.Length <= 128).Select(word => $"\"{string.Concat(word.Select(b => $"\\x{b:x2}"))}\""));
        return 0;
    }

    /// <summary>Serves afl-fuzz, one input after the other; dies with an input only for what no program survives.</summary>
    public static int Serve(string target)
    {
        // Instrumented code writes to its map from the start; afl-fuzz gives it another one later.
        _ = new Coverage();
        IFuzzTarget chosen = FuzzTargets.Create(target);
        byte[] room = new byte[chosen.MaxLength];
        Fuzzer.OutOfProcess.Run(input =>
        {
            int length = input.ReadAtLeast(room, room.Length, throwOnEndOfStream: false);
            FuzzRun.Check(chosen, room.AsSpan(0, length));
        });
        return 0;
    }

    /// <summary>Inputs that failed somewhere else, once more and with their reasons; kept under artifacts where they fail here too.</summary>
    public static int Replay(string target, IEnumerable<string> files)
    {
        int failed = 0;
        foreach (string file in files)
        {
            try
            {
                FuzzRun.Check(FuzzTargets.Create(target), File.ReadAllBytes(file));
                Console.WriteLine($"{file}: handled");
            }
            catch (Exception reason)
            {
                failed++;
                Console.WriteLine($"{FuzzFiles.Save(target, File.ReadAllBytes(file))} failed: {reason}");
            }
        }

        return failed == 0 ? 0 : 1;
    }

    /// <summary>Only mutation, on one thread; with an instrumented copy guided by the branches that were reached.</summary>
    public static int Run(string target, double seconds, ulong seed)
    {
        Coverage? coverage = Coverage.IsThere ? new Coverage() : null;
        FuzzRun run = new(FuzzTargets.Create(target), seed, 0, coverage, FuzzFiles.Kept(target));
        long started = Environment.TickCount64, told = started;
        run.Run(() =>
        {
            long now = Environment.TickCount64;
            if (now - told >= 30_000)
            {
                told = now;
                Tell();
            }

            return now - started < 1000 * seconds;
        });
        Tell();
        if (coverage is not null) FuzzFiles.Keep(target, run.Kept);
        if (run.Failure is not { } failure) return 0;
        Console.WriteLine($"{FuzzFiles.Save(target, failure.Input)} failed: {failure.Reason}");
        return 1;

        void Tell() => Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"fuzz {target}: {run.Cases} cases, {run.Cases * 1000.0 / Math.Max(1, Environment.TickCount64 - started):0} a second, {coverage?.Reached ?? 0} branches, {run.Kept.Count} inputs kept, seed {seed}"));
    }
}
