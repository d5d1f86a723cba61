using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using DatFs.Evidence;
using DatMount.Platform.Fuse;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit.Runner.InProc.SystemConsole;

namespace DatMount.Posix;

/// <summary>Runs the tests, or plays a process that tests start and kill.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args) => args switch
    {
        ["--host", var folder, .. var options] => await HostAsync(folder, MountOptions.Parse(options)),
        ["--mmap", var file] => HashMapped(file, 0),
        ["--mmap-twice", var file, var first] => HashMapped(file, int.Parse(first, System.Globalization.CultureInfo.InvariantCulture)),
        _ => await ConsoleRunner.Run(args),
    };

    /// <summary>Mounts a small tree, says "ready", and unmounts when its input ends.</summary>
    private static async Task<int> HostAsync(string folder, MountOptions options)
    {
        var fs = new TreeFs();
        fs.File("hello.txt", "hello from another process\n");
        try
        {
            await using FuseMount mount = await FuseMount.MountAsync(
                fs, folder, options.Apply(new FuseMountOptions()), NullLogger.Instance, CancellationToken.None);
            Console.WriteLine("ready");
            Task input = Console.In.ReadToEndAsync();
            await Task.WhenAny(input, mount.Completion);
            Console.WriteLine(mount.Completion.IsCompleted ? "unmounted" : "unmounting");
        }
        catch (MountException failure)
        {
            Console.WriteLine($"{failure.Kind}: {failure.Message}");
            return 1;
        }

        return 0;
    }

    /// <summary>
    /// Not in the tests' own process: a page fault there would hold up the threads that answer it. With a first part, that is touched
    /// alone, and the whole only after a line of input.
    /// </summary>
    private static unsafe int HashMapped(string file, int first)
    {
        long length = new FileInfo(file).Length;
        using var mapped = MemoryMappedFile.CreateFromFile(file, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        using MemoryMappedViewAccessor view = mapped.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        if (first > 0)
        {
            Console.WriteLine(Convert.ToHexStringLower(SHA256.HashData(new ReadOnlySpan<byte>(start, first))));
            Console.ReadLine();
        }

        Console.WriteLine(Convert.ToHexStringLower(SHA256.HashData(new ReadOnlySpan<byte>(start, checked((int)length)))));
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        return 0;
    }
}
