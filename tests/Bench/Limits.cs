using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using DatFs.Crypto;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>What the machine can do at best, on one core each: no replication can be faster than the slowest of these.</summary>
internal static class Limits
{
    private const int Block = 65536;
    private const long Amount = 512L << 20;

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        List<double> hash = [], cipher = [], loopback = [], disk = [];
        using TempFolder folder = TempFolder.Create("bench");
        for (int run = 0; run < settings.Runs; run++)
        {
            hash.Add(Hash());
            cipher.Add(Cipher());
            loopback.Add(await LoopbackAsync());
            disk.Add(Disk(folder.File("disk")));
        }

        table.Add("limit: BLAKE2b of 64 KiB blocks", "one core", hash, "MB/s");
        table.Add("limit: XSalsa20 in place", "one core", cipher, "MB/s");
        table.Add("limit: TCP over loopback", "one socket", loopback, "MB/s");
        table.Add("limit: write to the disk's cache", "one file", disk, "MB/s");
    }

    private static double Hash()
    {
        byte[] block = SeededBytes.Take(1, 0, Block);
        byte[] hash = new byte[32];
        long started = Stopwatch.GetTimestamp();
        for (long at = 0; at < Amount; at += Block) Blake2b.Hash(hash, block);
        return MegabytesPerSecond(Amount, started);
    }

    private static double Cipher()
    {
        byte[] block = SeededBytes.Take(1, 0, Block);
        using XSalsa20Stream stream = new(FeedKey.From(new byte[FeedKey.Size]), new byte[XSalsa20Stream.NonceSize]);
        long started = Stopwatch.GetTimestamp();
        for (long at = 0; at < Amount; at += Block) stream.Apply(block, block);
        return MegabytesPerSecond(Amount, started);
    }

    private static async Task<double> LoopbackAsync()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        using Socket sender = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Task<Socket> accepting = listener.AcceptSocketAsync();
        await sender.ConnectAsync(listener.LocalEndpoint);
        using Socket receiver = await accepting;
        long started = Stopwatch.GetTimestamp();
        Task sending = Task.Run(() =>
        {
            byte[] block = new byte[Block];
            for (long at = 0; at < 2 * Amount; at += Block) sender.Send(block);
        });
        byte[] into = new byte[256 * 1024];
        for (long left = 2 * Amount; left > 0;) left -= receiver.Receive(into);
        double result = MegabytesPerSecond(2 * Amount, started);
        await sending;
        return result;
    }

    private static double Disk(string path)
    {
        byte[] block = SeededBytes.Take(1, 0, Block);
        long started = Stopwatch.GetTimestamp();
        using (FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, 0))
        {
            for (long at = 0; at < Amount; at += Block) file.Write(block);
        }

        double result = MegabytesPerSecond(Amount, started);
        File.Delete(path);
        return result;
    }

    private static double MegabytesPerSecond(long bytes, long started) => bytes / 1e6 / Stopwatch.GetElapsedTime(started).TotalSeconds;
}
