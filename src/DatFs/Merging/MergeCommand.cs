using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>
/// A program that merges, from this machine's own configuration. It is run as <c>Program Arguments… BASE OUT SIDE1 SIDE2…</c> without a shell, with
/// DAT_PATH, DAT_WRITERS and DAT_SEQS (the latter two in the order of the sides, with spaces between) in its environment, and answers with 0 = OUT
/// is the result, 1 = the conflict stays, anything else = an error (hyperdb-multiwriter.md §16).
/// </summary>
/// <param name="Program">The program's file, or its name in PATH.</param>
/// <param name="Arguments">What it gets before the files.</param>
public sealed record MergeCommand(string Program, IReadOnlyList<string> Arguments)
{
    /// <summary>How long it may take; then it and all that it started is killed.</summary>
    public static readonly TimeSpan DefaultLimit = TimeSpan.FromSeconds(30);

    /// <summary>How long it may take.</summary>
    public TimeSpan Limit { get; init; } = DefaultLimit;
}

/// <summary>Asks a <see cref="MergeCommand"/>. Its files lie in a folder that only this user can enter, under names that no archive chose.</summary>
internal sealed class CommandStrategy(string name, MergeCommand command, TimeProvider time) : IMergeStrategy
{
    /// <summary>Largest side given, and largest result taken, in bytes.</summary>
    public const int MaxSize = 64 << 20;

    /// <summary>Sides given; where more take part nothing is run.</summary>
    public const int MaxSides = 16;

    /// <summary>Characters of what it says that are kept.</summary>
    public const int MaxSaid = 1024;

    private const int Merged = 0;
    private const int Stays = 1;

    // What a program left running holds the pipes open; nobody waits for that.
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(1);

    public string Name => name;

    public async ValueTask<MergeOutcome> ResolveAsync(DrivePath path, MergeBase ancestor, IReadOnlyList<MergeSide> sides, CancellationToken ct)
    {
        MergeSide[] files = MergeOrder.Files(sides);
        if (files.Length == 0) return MergeOutcome.None();
        if (files.Length == 1 || Array.Exists(files, side => side.Kind != EntryKind.File)) return MergeOutcome.Pick(files.Min(MergeOrder.WinnerFirst)!);
        if (files.Length > MaxSides || path.Text.Contains('\0', StringComparison.Ordinal)) return MergeOutcome.Failure($"{Name} is not asked about this path, or about more than {MaxSides} versions");
        string folder = Directory.CreateTempSubdirectory("datmount-merge-").FullName;
        try
        {
            if (await WriteAsync(folder, ancestor, files, ct) is not { } arguments) return MergeOutcome.Failure($"{Name} is not asked about files of more than {MaxSize >> 20} MiB");
            (int? exit, string said) = await RunAsync(path, files, folder, arguments, ct);
            return exit switch
            {
                null => MergeOutcome.Failure($"{Name}: {said}"),
                Merged => await TakeAsync(arguments[1], ancestor.IsKnown && !sides.Any(side => side.Deleted), ct),
                Stays => MergeOutcome.None($"{Name} left it as it is"),
                _ => MergeOutcome.Failure(string.Create(CultureInfo.InvariantCulture, $"{Name} failed with {exit}: {said}")),
            };
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The files' names: what all began with, the result, the sides by writer's key. Null when one is too large.
    private static async ValueTask<string[]?> WriteAsync(string folder, MergeBase ancestor, MergeSide[] files, CancellationToken ct)
    {
        string[] paths = [Path.Combine(folder, "base"), Path.Combine(folder, "out"), .. files.Select((_, i) => Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"side{i + 1}")))];
        for (int i = 0; i < paths.Length; i++)
        {
            if (i == 1) continue;
            await using FileStream into = new(paths[i], FileMode.CreateNew, FileAccess.Write);
            if (!await (i == 0 ? ancestor.CopyToAsync(into, MaxSize, ct) : files[i - 2].CopyToAsync(into, MaxSize, ct))) return null;
        }

        return paths;
    }

    private async Task<(int? Exit, string Said)> RunAsync(DrivePath path, MergeSide[] files, string folder, string[] paths, CancellationToken ct)
    {
        ProcessStartInfo start = new(command.Program)
        {
            UseShellExecute = false,
            CreateNoWindow = true,
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in (string[])[.. command.Arguments, .. paths]) start.ArgumentList.Add(argument);
        start.Environment["DAT_PATH"] = path.Text;
        start.Environment["DAT_WRITERS"] = string.Join(' ', files.Select(side => side.Writer.ToHex()));
        start.Environment["DAT_SEQS"] = string.Join(' ', files.Select(side => side.Seq.ToString(CultureInfo.InvariantCulture)));
        using CancellationTokenSource late = new(command.Limit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, late.Token);
        using Process process = new() { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (Exception failure) when (failure is Win32Exception or InvalidOperationException or IOException)
        {
            return (null, failure.Message);
        }

        Task<string> said = DrainAsync(process.StandardError.BaseStream), rest = DrainAsync(process.StandardOutput.BaseStream);
        try
        {
            process.StandardInput.Close();
            await process.WaitForExitAsync(either.Token);
        }
        catch (OperationCanceledException)
        {
            await KillAsync(process);
            ct.ThrowIfCancellationRequested();
            return (null, string.Create(CultureInfo.InvariantCulture, $"it took longer than {command.Limit.TotalSeconds} s and was stopped"));
        }

        _ = await SaidAsync(rest);
        return (process.ExitCode, await SaidAsync(said));
    }

    private async Task KillAsync(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None).WaitAsync(s_grace, time);
        }
        catch (Exception failure) when (failure is InvalidOperationException or Win32Exception or AggregateException or TimeoutException)
        {
            // It ended by itself meanwhile, or cannot be ended; nobody waits for it either way.
            return;
        }
    }

    private static async ValueTask<MergeOutcome> TakeAsync(string path, bool isClean, CancellationToken ct)
    {
        FileInfo file = new(path);
        if (!file.Exists || file.LinkTarget is not null) return MergeOutcome.Failure("the command said that it merged, and wrote nothing");
        await using FileStream from = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        if (from.Length > MaxSize) return MergeOutcome.Failure($"the command's result has more than {MaxSize >> 20} MiB");
        byte[] bytes = new byte[from.Length];
        int read = await from.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, ct);
        return MergeOutcome.Merged(bytes.AsMemory(0, read), isClean);
    }

    private async ValueTask<string> SaidAsync(Task<string> draining)
    {
        try
        {
            return await draining.WaitAsync(s_grace, time);
        }
        catch (TimeoutException)
        {
            return "";
        }
    }

    // A pipe that nobody empties would stop the program.
    private static async Task<string> DrainAsync(Stream pipe)
    {
        byte[] piece = new byte[4096], kept = new byte[MaxSaid];
        int length = 0;
        try
        {
            while (await pipe.ReadAsync(piece) is > 0 and int read)
            {
                int more = Math.Min(read, kept.Length - length);
                piece.AsSpan(0, more).CopyTo(kept.AsSpan(length));
                length += more;
            }
        }
        catch (Exception closed) when (closed is IOException or ObjectDisposedException or OperationCanceledException)
        {
            return Text();
        }

        return Text();

        string Text() => string.Concat(System.Text.Encoding.UTF8.GetString(kept, 0, length).Select(c => char.IsControl(c) ? ' ' : c)).Trim();
    }
}
