using System.Diagnostics;
using System.Runtime.InteropServices;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>
/// Reads and walks through the mount, beside bindfs over a plain folder with the same files: both are FUSE programs, and the
/// plain folder itself shows what the kernel alone does. The subjects take turns within the same minute, because FUSE is
/// several times slower while the other core sleeps.
/// </summary>
internal static partial class MountBench
{
    private const int BigFile = 256 << 20;
    private const int Folders = 100;
    private const string Ours = "datmount";
    private const string Bindfs = "bindfs";
    private const string Plain = "plain folder";

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        if (!File.Exists("/dev/fuse"))
        {
            table.Skip("mount", "there is no /dev/fuse");
            return;
        }

        using TempFolder folder = TempFolder.Create("bench");
        string plain = folder.Folder("plain");
        Fill(plain, settings.Files);
        await using DrivePeer sender = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Folder = folder.File("sender") });
        await sender.ImportAsync(plain);
        int port = await sender.ListenAsync();

        await using MountProcess bind = await MountProcess.StartAsync("bindfs", folder.Folder("bindfs"), "-f", plain, folder.File("bindfs"));
        string program = await MountProcess.ProgramAsync();
        await using MountProcess ours = await MountProcess.StartAsync(program, folder.Folder("ours"),
            sender.Key, folder.File("ours"), "--peer", $"127.0.0.1:{port}", "--no-discovery", "--storage", folder.File("storage"));
        (string Name, string Root)[] subjects = [(Plain, plain), (Bindfs, bind.Mountpoint), (Ours, ours.Mountpoint)];

        Dictionary<(string Work, string Subject), List<double>> values = [];
        void Add(string work, string subject, double value)
        {
            if (!values.TryGetValue((work, subject), out List<double>? list)) values[(work, subject)] = list = [];
            list.Add(value);
        }

        Add("mount: first read, from the peer", Ours, Read(ours.Mountpoint));
        foreach ((string name, string root) in subjects) Add("mount: walk and lstat, first", name, settings.Files / Walk(root));
        for (int run = 0; run < settings.Runs; run++)
        {
            foreach ((string name, string root) in subjects)
            {
                Forget(root);
                Add("mount: sequential read, blocks held", name, Read(root));
                Add("mount: sequential read, again", name, Read(root));
                Add("mount: walk and lstat, again", name, settings.Files / Walk(root));
            }
        }

        foreach (((string work, string subject), List<double> list) in values.GroupBy(v => v.Key.Work).SelectMany(g => g))
            table.Add(work, subject, list, work.Contains("walk", StringComparison.Ordinal) ? "files/s" : "MB/s", against: subject == Ours ? Bindfs : null);
    }

    private static void Fill(string root, int files)
    {
        using (FileStream big = File.Create(root + "/big.bin"))
        {
            for (long at = 0; at < BigFile; at += 1 << 20) big.Write(SeededBytes.Take(9, at, 1 << 20));
        }

        for (int i = 0; i < files; i++)
        {
            string parent = $"{root}/folder {i % Folders}";
            Directory.CreateDirectory(parent);
            File.WriteAllBytes($"{parent}/file {i}", SeededBytes.Take(10, i * 1024L, 1024));
        }
    }

    private static double Read(string root)
    {
        byte[] buffer = new byte[1 << 20];
        long started = Stopwatch.GetTimestamp();
        using FileStream file = new(root + "/big.bin", FileMode.Open, FileAccess.Read, FileShare.Read, 0);
        long total = 0;
        for (int count; (count = file.Read(buffer)) > 0;) total += count;
        if (total != BigFile) throw new InvalidDataException($"{root}/big.bin gave {total} bytes");
        return total / 1e6 / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    /// <summary>Lets the kernel drop what it cached of the file, so that the file system is asked again.</summary>
    private static void Forget(string root)
    {
        using FileStream file = new(root + "/big.bin", FileMode.Open, FileAccess.Read);
        int error = Advise((int)file.SafeFileHandle.DangerousGetHandle(), 0, 0, DontNeed);
        if (error != 0) throw new IOException($"posix_fadvise answered {error}");
    }

    /// <summary>Seconds that find(1) needs to list and lstat everything.</summary>
    private static double Walk(string root)
    {
        ProcessStartInfo start = new("find") { RedirectStandardOutput = true };
        foreach (string word in new[] { root, "-printf", "%s\\n" }) start.ArgumentList.Add(word);
        long started = Stopwatch.GetTimestamp();
        using Process find = Process.Start(start)!;
        find.StandardOutput.ReadToEnd();
        find.WaitForExit();
        if (find.ExitCode != 0) throw new IOException($"find {root} ended with {find.ExitCode}");
        return Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private const int DontNeed = 4;

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(int file, long offset, long length, int advice);
}
