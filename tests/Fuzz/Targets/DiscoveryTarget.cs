using System.Text;
using System.Text.Json;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Mainline;
using DatFs.Discovery.Names;
using DatFs.Evidence;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>What strangers say who are asked for peers: DNS and mDNS messages, the mainline network's, and answers about names.</summary>
internal sealed class DiscoveryTarget : IFuzzTarget
{
    public string Name => "discovery";

    public IReadOnlyList<byte[]> Dictionary { get; } =
        ["peers="u8.ToArray(), "token="u8.ToArray(), "dat\u0005local\0"u8.ToArray(), [0xC0, 0x0C], [0, 16, 0, 1], [0, 33, 0, 1], [0, 1, 0, 1], "d1:rd2:id20:"u8.ToArray(), "6:valuesl6:"u8.ToArray(), "5:nodes26:"u8.ToArray(), "1:y1:re"u8.ToArray(), "i0e"u8.ToArray(), "datkey="u8.ToArray(), "\"TTL\":1e300"u8.ToArray(), "ttl="u8.ToArray()];

    public long AllocationLimit(int inputLength) => 64 * 1024 + 256L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        foreach (string file in (string[])["dns-server", "mdns", "mainline-dht"])
            foreach (JsonElement step in Vectors.Json($"discovery/{file}.json").GetProperty("steps").EnumerateArray())
                foreach (JsonElement packet in step.GetProperty("packets").EnumerateArray()) yield return Convert.FromHexString(packet.GetProperty("hex").GetString()!);
        string key = new('a', 64);
        yield return Encoding.UTF8.GetBytes($$"""{"Status": 0, "Answer": [{"data": "\"datkey={{key}}\"", "TTL": 300}]}""");
        yield return Encoding.UTF8.GetBytes($"dat://{key}\nttl=60\n");
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        Dns(input);
        Krpc(input);
        string text = Encoding.UTF8.GetString(input);
        if (NameAnswer.TryReadRecords(text, out NameAnswer? record) && record is not null) Answer(record);
        if (NameAnswer.TryReadFile(text, out NameAnswer file)) Answer(file);
        if (NameResolver.Normal(text) is { } name) Oracle.Equal(NameResolver.Normal(name), name, "a name made normal twice");
        _ = PeersText.Read(text);
        _ = DnsServerAddress.TryParse(text, out _);
        _ = SharedPort.LooksLikeUtp(input);
    }

    private static void Dns(ReadOnlySpan<byte> input)
    {
        if (DnsMessage.TryDecode(input, out DnsMessage message))
        {
            foreach (DnsText text in message.Answers.Concat(message.Additionals).OfType<DnsText>()) Oracle.That(text.Peers.Count <= PeersText.MaxRead, "peers of a record are bounded");
        }

        _ = DnsMessage.TrySalvage(input, out _);
    }

    private static void Krpc(ReadOnlySpan<byte> input)
    {
        if (!KrpcMessage.TryDecode(input, out KrpcMessage message)) return;
        byte[] written = message.ToBytes();
        // What a message means to us survives, and is written in one way only.
        Oracle.That(KrpcMessage.TryDecode(written, out KrpcMessage again), "a message written and read");
        Oracle.Same(again.ToBytes(), written, "a message written twice");
    }

    private static void Answer(NameAnswer answer) => Oracle.That(answer.Life >= TimeSpan.Zero && answer.Life <= NameResolver.MaxLife, "the life of an answer");
}
