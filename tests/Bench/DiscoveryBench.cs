using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using DatFs.Discovery.Dns;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>
/// A discovery server with many names under load over loopback, ours and the reference's: how fast it takes announces and answers lookups as fast as
/// they are sent, how long an answer takes at 1,000 of each a second, what a record costs, and what a restart loses.
/// </summary>
internal static class DiscoveryBench
{
    private const string Node = "Node";
    private const string Ours = "ours";
    private const int PerSecond = 1000;
    private static readonly TimeSpan s_sustained = TimeSpan.FromSeconds(10);

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        using TempFolder home = TempFolder.Create("bench");
        foreach (string subject in new[] { Node, Ours })
        {
            if (subject == Ours)
            {
                await using Datmount server = Datmount.Start(home, "discovery-server", "--listen", "127.0.0.1:0", "--state", home.File("state"));
                string address = await AddressAsync(server);
                await LoadAsync(table, settings, subject, IPEndPoint.Parse(address), server.Id);
                server.Signal(15);
                await server.ExitAsync();
                await RestartAsync(table, settings, home, address);
                continue;
            }

            await using NodePeer node = await NodePeer.StartAsync("dns-peer.js");
            int port = (await node.DoAsync("listen")).GetProperty("ports")[0].GetInt32();
            await LoadAsync(table, settings, subject, new IPEndPoint(IPAddress.Loopback, port), node.ProcessId);
        }
    }

    private static async Task<string> AddressAsync(Datmount server) => (await server.LineAsync("discovery server on udp")).Split(' ')[^1];

    private static async Task LoadAsync(BenchTable table, BenchSettings settings, string subject, IPEndPoint address, int process)
    {
        using Asker asker = await Asker.CreateAsync(address);
        Beside[] beside = subject == Ours ? [new Beside(Node)] : [];
        long before = Memory(process);
        double announces = await asker.AsFastAsync(settings.Names, number => asker.Message(number, announce: true));
        table.Add($"discovery: announce {settings.Names} names, one after another", subject, [announces], "/s", subject == Node ? "keeps the last 10,000" : "", beside);
        long grown = Memory(process) - before;
        if (subject == Ours) table.Add("discovery: memory of a record with a name and a subscriber of its own", subject, [(double)grown / settings.Names], "bytes");

        double lookups = await asker.AsFastAsync(settings.Names, number => asker.Message(number, announce: false));
        table.Add("discovery: look names up, one after another", subject, [lookups], "/s", "", beside);

        double busy = ProcessorTime.Of(process);
        (double[] times, int lost) = await asker.SteadyAsync(PerSecond, s_sustained, settings.Names);
        busy = ProcessorTime.Of(process) - busy;
        string note = string.Create(CultureInfo.InvariantCulture, $"{lost} of {times.Length + lost} unanswered, {busy / s_sustained.TotalSeconds:0%} of a core");
        Array.Sort(times);
        table.Add($"discovery: answer at {PerSecond} announces and {PerSecond} lookups a second, median", subject, [times[times.Length / 2]], "ms", note, beside);
        table.Add($"discovery: answer at {PerSecond} announces and {PerSecond} lookups a second, p99", subject, [times[times.Length * 99 / 100]], "ms", "", beside);
    }

    private static async Task RestartAsync(BenchTable table, BenchSettings settings, TempFolder home, string address)
    {
        long started = Stopwatch.GetTimestamp();
        await using Datmount server = Datmount.Start(home, "discovery-server", "--listen", address, "--state", home.File("state"));
        await AddressAsync(server);
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        using Asker asker = await Asker.CreateAsync(IPEndPoint.Parse(address));
        int found = 0;
        await asker.AsFastAsync(settings.Names, number => asker.Message(number, announce: false), reply => found += reply.Answers is [DnsText { Peers.Count: > 0 }] ? 1 : 0);
        table.Add($"discovery: start with {settings.Names} names kept", Ours, [seconds], "s", $"{settings.Names - found} of them lost");
    }

    private static long Memory(int process)
    {
        string line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>Many clients, each at an address of its own: servers limit what one may send and have.</summary>
    private sealed class Asker : IDisposable
    {
        private const int Addresses = 16;
        private const int AtOnce = 64;
        private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

        private readonly Socket[] _sockets;
        private readonly string[] _tokens = new string[Addresses];

        private Asker(IPEndPoint server)
        {
            _sockets = [.. Enumerable.Range(0, Addresses).Select(i =>
            {
                Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 1 << 20 };
                socket.Bind(new IPEndPoint(new IPAddress([127, 0, 1, (byte)(i + 1)]), 0));
                socket.Connect(server);
                return socket;
            })];
        }

        public static async Task<Asker> CreateAsync(IPEndPoint server)
        {
            Asker asker = new(server);
            byte[] buffer = new byte[2048];
            for (int i = 0; i < Addresses; i++)
            {
                await asker._sockets[i].SendAsync(new DnsMessage { Id = 1, Flags = DnsMessage.QueryFlags, Questions = [new DnsQuestion("dat.local", DnsType.Txt)] }.ToBytes());
                int length = await asker._sockets[i].ReceiveAsync(buffer).WaitAsync(s_patience);
                if (!DnsMessage.TryDecode(buffer.AsSpan(0, length), out DnsMessage reply)) throw new InvalidDataException("the server's answer cannot be read");
                asker._tokens[i] = ((DnsText)reply.Answers[0])["token"]!;
            }

            return asker;
        }

        public byte[] Message(int number, bool announce)
        {
            string name = $"{number:x40}.dat.local", token = "token=" + _tokens[number % Addresses];
            return new DnsMessage
            {
                Id = (ushort)number,
                Flags = DnsMessage.QueryFlags,
                Questions = [new DnsQuestion(name, DnsType.Txt)],
                Additionals = [new DnsText(name, announce ? ["subscribe=true", token, "announce=3282"] : ["subscribe=true", token])],
            }.ToBytes();
        }

        /// <summary>Sends messages for the names 0 up to count, so many at a time for each address, and answers how many were answered a second.</summary>
        public async Task<double> AsFastAsync(int count, Func<int, byte[]> message, Action<DnsMessage>? took = null)
        {
            Lock gate = new();
            long started = Stopwatch.GetTimestamp();
            await Task.WhenAll(Enumerable.Range(0, Addresses).Select(i => Task.Run(async () =>
            {
                byte[] buffer = new byte[2048];
                for (int first = i; first < count;)
                {
                    int sent = 0;
                    for (; sent < AtOnce / Addresses && first < count; first += Addresses, sent++) await _sockets[i].SendAsync(message(first));
                    for (; sent > 0; sent--)
                    {
                        int length = await _sockets[i].ReceiveAsync(buffer).WaitAsync(s_patience);
                        if (took is null || !DnsMessage.TryDecode(buffer.AsSpan(0, length), out DnsMessage reply)) continue;
                        lock (gate) took(reply);
                    }
                }
            })));
            return count / Stopwatch.GetElapsedTime(started).TotalSeconds;
        }

        /// <summary>Sends so many announces and as many lookups a second whatever comes back, and answers the times of the answers in milliseconds.</summary>
        public async Task<(double[] Times, int Lost)> SteadyAsync(int perSecond, TimeSpan time, int names)
        {
            Channel<double> times = Channel.CreateUnbounded<double>();
            long[][] sentAt = [.. _sockets.Select(_ => new long[65536])];
            using CancellationTokenSource over = new();
            Task[] receivers = [.. Enumerable.Range(0, Addresses).Select(i => Task.Run(() => ReceiveAsync(i, sentAt[i], times.Writer, over.Token)))];
            long started = Stopwatch.GetTimestamp();
            int total = (int)(2 * perSecond * time.TotalSeconds);
            for (int number = 0; number < total; number++)
            {
                TimeSpan due = TimeSpan.FromSeconds(number / (2.0 * perSecond)) - Stopwatch.GetElapsedTime(started);
                if (due > TimeSpan.FromMilliseconds(1)) await Task.Delay(due);
                int name = number / 2 * 7919 % names, socket = name % Addresses;
                byte[] message = Message(name, announce: number % 2 == 0);
                (message[0], message[1]) = ((byte)(number >> 8), (byte)number);
                sentAt[socket][(ushort)number] = Stopwatch.GetTimestamp();
                await _sockets[socket].SendAsync(message);
            }

            await Task.Delay(s_patience);
            await over.CancelAsync();
            await Task.WhenAll(receivers);
            times.Writer.Complete();
            double[] all = await times.Reader.ReadAllAsync().ToArrayAsync();
            return (all, total - all.Length);
        }

        private async Task ReceiveAsync(int socket, long[] sentAt, ChannelWriter<double> times, CancellationToken over)
        {
            byte[] buffer = new byte[2048];
            try
            {
                while (true)
                {
                    int length = await _sockets[socket].ReceiveAsync(buffer, over);
                    // Pushes come too; they are no answers.
                    if (length > 2 && (buffer[2] & 0x80) != 0) times.TryWrite(Stopwatch.GetElapsedTime(sentAt[buffer[0] << 8 | buffer[1]]).TotalMilliseconds);
                }
            }
            catch (OperationCanceledException) when (over.IsCancellationRequested)
            {
                return;
            }
        }

        public void Dispose()
        {
            foreach (Socket socket in _sockets) socket.Dispose();
        }
    }
}
