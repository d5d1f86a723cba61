using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>
/// Reads and walks through the mount when everything is held, beside bindfs over a plain folder with the same files and beside
/// Node's hyperdrive behind fuse-native; the plain folder itself shows what the kernel alone does. The subjects take turns
/// within the same minute, because FUSE is several times slower while the other core sleeps.
/// </summary>
internal static partial class MountBench
{
    private const int MaxBigFile = 256 << 20;
    private const int FilesInFolder = 100;
    private const int RandomReads = 5000;
    private const int RandomSize = 4096;

    /// <summary>Node's tree cache has 65,536 slots; beyond them it is many times slower.</summary>
    private const int MaxNodeFiles = 60_000;

    private const string Ours = "datmount";
    private const string Bindfs = "bindfs";
    private const string Node = "Node";
    private const string Plain = "plain folder";

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        if (!File.Exists("/dev/fuse"))
        {
            table.Skip("mount", "there is no /dev/fuse");
            return;
        }

        using TempFolder folder = TempFolder.Create("bench");
        int bigFile = (int)Math.Min(settings.CloneBytes, MaxBigFile), files = settings.WalkFiles, nodeFiles = Math.Min(files, MaxNodeFiles);
        string plain = folder.Folder("plain"), nodePlain = folder.Folder("plain for Node");
        Fill(plain, bigFile, files);
        Fill(nodePlain, bigFile, nodeFiles);
        await OurPeer.CreateAsync(folder.File("drive"), plain);
        string nodeKey = await OurPeer.CreateAsync(folder.File("drive for Node"), nodePlain);

        Subject[] subjects =
        [
            new(Plain, plain, files, null),
            new(Bindfs, folder.Folder("bindfs"), files, at => MountAsync("bindfs", at, "-f", plain, at)),
            new(Node, folder.Folder("node"), nodeFiles, async at => await NodeMount.StartAsync(folder.File("drive for Node"), nodeKey, at)),
            new(Ours, folder.Folder("ours"), files, at => MountAsync(MountProcess.Program, at, folder.File("drive"), at, "--no-discovery", "--storage", folder.File("storage"))),
        ];
        Figures figures = new();
        for (int run = 0; run < settings.Runs; run++)
        {
            foreach (Subject subject in subjects)
            {
                await using IServedMount? mount = subject.Mount is { } start ? await start(subject.Root) : null;
                Run(subject, bigFile, figures);
                if (mount is not null) figures.Add("mount: peak memory", "MB", subject.Name, PeakMemory(mount.ProcessId));
            }
        }

        string note = nodeFiles < files ? $"{nodeFiles} files" : "";
        foreach ((string work, string unit, string subject, List<double> values) in figures.All)
        {
            table.Add(work, subject, values, unit, subject == Node && unit == "files/s" ? note : "",
                subject == Ours ? [new(Node), new(Bindfs), new(Plain)] : []);
        }
    }

    private static void Run(Subject subject, int bigFile, Figures figures)
    {
        string name = subject.Name, big = subject.Root + "/big.bin";
        figures.Add("mount: walk and lstat, first", "files/s", name, subject.Files / Seconds("find", subject.Root, "-printf", "%s\n"));
        figures.Add("mount: walk and lstat, again", "files/s", name, subject.Files / Seconds("find", subject.Root, "-printf", "%s\n"));
        figures.Add("mount: ls -lR", "files/s", name, subject.Files / Seconds("ls", "-lR", subject.Root));
        // The kernel drops what it cached of the file, so that the file system is asked again; of the plain file nothing is dropped.
        if (subject.Mount is not null) Forget(big);
        figures.Add("mount: sequential read", "MB/s", name, Read(big, bigFile));
        figures.Add("mount: sequential read, again", "MB/s", name, Read(big, bigFile));
        if (subject.Mount is not null) Forget(big);
        figures.Add("mount: random reads of 4 KiB", "reads/s", name, ReadRandomly(big, bigFile));
    }

    private static async Task<IServedMount> MountAsync(string program, string at, params string[] arguments) => await MountProcess.StartAsync(program, at, arguments);

    private static void Fill(string root, int bigFile, int files)
    {
        using (FileStream big = File.Create(root + "/big.bin"))
        {
            for (long at = 0; at < bigFile; at += 1 << 20) big.Write(SeededBytes.Take(9, at, (int)Math.Min(bigFile - at, 1 << 20)));
        }

        for (int i = 0; i < files; i++)
        {
            string parent = $"{root}/shelf {i / FilesInFolder % 10}/folder {i / FilesInFolder}";
            if (i % FilesInFolder == 0) Directory.CreateDirectory(parent);
            File.WriteAllBytes($"{parent}/file {i}", SeededBytes.Take(10, i * 1024L, 1024));
        }
    }

    private static double Read(string path, int size)
    {
        byte[] buffer = new byte[1 << 20];
        long started = Stopwatch.GetTimestamp();
        using FileStream file = Open(path);
        long total = 0;
        for (int count; (count = file.Read(buffer)) > 0;) total += count;
        if (total != size) throw new InvalidDataException($"{path} gave {total} bytes");
        return total / 1e6 / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private static double ReadRandomly(string path, int size)
    {
        byte[] buffer = new byte[RandomSize];
        using FileStream file = Open(path);
        int error = Advise((int)file.SafeFileHandle.DangerousGetHandle(), 0, 0, AdviceRandom);
        if (error != 0) throw new IOException($"posix_fadvise answered {error}");
        Random random = new(1);
        long started = Stopwatch.GetTimestamp();
        for (int i = 0; i < RandomReads; i++)
        {
            int count = RandomAccess.Read(file.SafeFileHandle, buffer, (long)random.Next(size / RandomSize) * RandomSize);
            if (count != RandomSize) throw new InvalidDataException($"{path} gave {count} bytes");
        }

        return RandomReads / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private static FileStream Open(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0);

    private static void Forget(string path)
    {
        using FileStream file = Open(path);
        int error = Advise((int)file.SafeFileHandle.DangerousGetHandle(), 0, 0, AdviceDontNeed);
        if (error != 0) throw new IOException($"posix_fadvise answered {error}");
    }

    /// <summary>Seconds that a program needs; what it prints is dropped.</summary>
    private static double Seconds(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true };
        long started = Stopwatch.GetTimestamp();
        using Process process = Process.Start(start)!;
        byte[] buffer = new byte[1 << 16];
        while (process.StandardOutput.BaseStream.Read(buffer) > 0) continue;
        process.WaitForExit();
        if (process.ExitCode != 0) throw new IOException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}");
        return Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private static double PeakMemory(int process)
    {
        string line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) * 1024 / 1e6;
    }

    private const int AdviceRandom = 1;
    private const int AdviceDontNeed = 4;

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(int file, long offset, long length, int advice);

    /// <summary>One tree of files; without a way to mount it, it simply lies there.</summary>
    private sealed record Subject(string Name, string Root, int Files, Func<string, Task<IServedMount>>? Mount);

    /// <summary>Values by work and subject, both in the order in which they were first measured.</summary>
    private sealed class Figures
    {
        private readonly List<(string Work, string Unit, string Subject, List<double> Values)> _figures = [];

        public IEnumerable<(string Work, string Unit, string Subject, List<double> Values)> All => _figures.GroupBy(f => f.Work).SelectMany(g => g);

        public void Add(string work, string unit, string subject, double value)
        {
            int at = _figures.FindIndex(f => f.Work == work && f.Subject == subject);
            if (at < 0) _figures.Add((work, unit, subject, [value]));
            else _figures[at].Values.Add(value);
        }
    }
}
