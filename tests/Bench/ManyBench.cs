using System.Diagnostics;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>
/// A drive of so many files that Node cannot make it, in folders of at most 500, between two of ours; and how soon it shows its root when it is
/// mounted again.
/// </summary>
internal static class ManyBench
{
    private const string Ours = "ours to ours";
    private const int FilesInFolder = 500;

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        using TempFolder folder = TempFolder.Create("bench");
        int files = settings.ManyFiles, folders = (files + FilesInFolder - 1) / FilesInFolder;
        string plain = folder.Folder("plain"), drive = folder.File("drive"), copy = folder.File("copy");
        for (int i = 0; i < files; i++)
        {
            string parent = $"{plain}/folder {i / FilesInFolder}";
            if (i % FilesInFolder == 0) Directory.CreateDirectory(parent);
            File.WriteAllBytes($"{parent}/file {i}", SeededBytes.Take(10, i * 1024L, 1024));
        }

        long started = Stopwatch.GetTimestamp();
        string key = await OurPeer.CreateAsync(drive, plain);
        table.Add($"make a drive of {files} files of 1 KiB", "ours", [files / Stopwatch.GetElapsedTime(started).TotalSeconds], "files/s");
        Directory.Delete(plain, recursive: true);

        CloneGoal goal = new(key, files + folders, files);
        List<double> rates = [], remounts = [];
        string processors = "";
        await using (OurPeer sender = await OurPeer.StartServingAsync(drive, folder.File("records")))
        {
            for (int run = 0; run < settings.Runs; run++)
            {
                if (Directory.Exists(copy)) Directory.Delete(copy, recursive: true);
                CloneFigures figures = await OurPeer.MeasureCloneAsync(sender.ProcessId, sender.Port, goal, copy);
                rates.Add(files / figures.Seconds);
                processors = $"processor s: sender {figures.SenderSeconds:0.0}, receiver {figures.ReceiverSeconds:0.0}";
            }
        }

        table.Add($"clone {files} files of 1 KiB", Ours, rates, "files/s", processors);
        if (!File.Exists("/dev/fuse"))
        {
            table.Skip($"mount {files} files again, to the first ls", "there is no /dev/fuse");
            return;
        }

        string mountpoint = folder.Folder("mnt");
        for (int run = 0; run < settings.Runs; run++)
        {
            started = Stopwatch.GetTimestamp();
            await using MountProcess mount = await MountProcess.StartAsync(MountProcess.Program, mountpoint, key, mountpoint, "--offline", "--storage", copy);
            if (Directory.GetFileSystemEntries(mountpoint).Length != folders) throw new InvalidDataException("the root is not whole");
            remounts.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
        }

        table.Add($"mount {files} files again, to the first ls", "ours", remounts, "ms");
    }
}
