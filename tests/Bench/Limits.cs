using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using DatFs.Crypto;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>What the machine can do at best, on one core each: no replication can be faster than the slowest of these.</summary>
internal static class Limits
{
    /// <summary>The row that a clone is compared with.</summary>
    public const string ReceiveWork = "limit: receive, decipher, hash, write";

    /// <summary>Its subject.</summary>
    public const string OneReceiver = "one thread";

    private const int Block = 65536;
    private const long Amount = 512L << 20;

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        List<double> hash = [], cipher = [], loopback = [], disk = [], receive = [];
        using TempFolder folder = TempFolder.Create("bench");
        for (int run = 0; run < settings.Runs; run++)
        {
            hash.Add(Hash());
            cipher.Add(Cipher());
            loopback.Add(await LoopbackAsync());
            disk.Add(Disk(folder.File("disk")));
            receive.Add(await ReceiveAsync(folder.File("disk")));
        }

        table.Add("limit: BLAKE2b of 64 KiB blocks", "one core", hash, "MB/s");
        table.Add("limit: XSalsa20 in place", "one core", cipher, "MB/s");
        table.Add("limit: TCP over loopback", "one socket", loopback, "MB/s");
        table.Add("limit: write to the disk's cache", "one file", disk, "MB/s");
        table.Add(ReceiveWork, OneReceiver, receive, "MB/s", "what a clone cannot do without; its sender has the other core");
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
        using XSalsa20Stream stream = Stream();
        long started = Stopwatch.GetTimestamp();
        for (long at = 0; at < Amount; at += Block) stream.Apply(block, block);
        return MegabytesPerSecond(Amount, started);
    }

    private static Task<double> LoopbackAsync() => ThroughSocketAsync(2 * Amount, cipher: null, new byte[256 * 1024], static _ => { });

    /// <summary>The whole of what a receiver must do with a byte, on one thread, from a sender that enciphers.</summary>
    private static async Task<double> ReceiveAsync(string path)
    {
        byte[] hash = new byte[32], block = new byte[Block];
        using XSalsa20Stream sending = Stream(), receiving = Stream();
        double result;
        await using (FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, 0))
        {
            result = await ThroughSocketAsync(Amount, sending, block, received =>
            {
                receiving.Apply(received.Span, received.Span);
                Blake2b.Hash(hash, received.Span);
                file.Write(received.Span);
            });
        }

        File.Delete(path);
        return result;
    }

    private static async Task<double> ThroughSocketAsync(long amount, XSalsa20Stream? cipher, byte[] into, Action<Memory<byte>> received)
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
            for (long at = 0; at < amount; at += Block)
            {
                cipher?.Apply(block, block);
                sender.Send(block);
            }
        });
        for (long left = amount; left > 0;)
        {
            int count = receiver.Receive(into);
            received(into.AsMemory(0, count));
            left -= count;
        }

        double result = MegabytesPerSecond(amount, started);
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

    private static XSalsa20Stream Stream() => new(FeedKey.From(new byte[FeedKey.Size]), new byte[XSalsa20Stream.NonceSize]);

    private static double MegabytesPerSecond(long bytes, long started) => bytes / 1e6 / Stopwatch.GetElapsedTime(started).TotalSeconds;
}
