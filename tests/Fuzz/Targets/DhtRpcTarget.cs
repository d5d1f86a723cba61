using System.Text.Json;
using DatFs.Discovery;
using DatFs.Discovery.DhtRpc;
using DatFs.Evidence;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>What nodes of a dht-rpc network say, to whoever is one himself: messages, and the values of the commands.</summary>
internal sealed class DhtRpcTarget : IFuzzTarget
{
    public string Name => "dht-rpc";

    public IReadOnlyList<byte[]> Dictionary { get; } =
        ["peers"u8.ToArray(), "_ping"u8.ToArray(), "_find_node"u8.ToArray(), "_holepunch"u8.ToArray(), [0x58, 1], [0x08, 3], [0x1a, 32], [0x22, 32], [0x2a, 38], [0x32, 32], [0x3a, 5], [0x42, 0], [0x4a, 0], [0x52, 6], [0x0a, 6], [0x12, 4]];

    public long AllocationLimit(int inputLength) => 64 * 1024 + 64L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        foreach (JsonElement step in Vectors.Json("discovery/hyperswarm-dht.json").GetProperty("steps").EnumerateArray())
        {
            foreach (JsonElement packet in step.GetProperty("packets").EnumerateArray())
            {
                yield return packet.Hex("hex")!;
                if (packet.GetProperty("decoded").Hex("value") is { } value) yield return value;
            }
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        if (DhtRpcMessage.TryDecode(input, out DhtRpcMessage message))
        {
            byte[] written = message.ToBytes();
            // What a message means to us survives, and is written in one way only.
            Oracle.That(DhtRpcMessage.TryDecode(written, out DhtRpcMessage again), "a message written and read");
            Oracle.Same(again.ToBytes(), written, "a message written twice");
            Oracle.That((message.Closer?.Count ?? 0) <= DhtRpcMessage.MaxCloser, "nodes of a message are bounded");
            Values(message.Value);
        }

        Values(input);
    }

    private static void Values(ReadOnlySpan<byte> value)
    {
        if (PeersRequest.TryDecode(value, out PeersRequest request)) Oracle.That(PeersRequest.TryDecode(request.ToBytes(), out PeersRequest again) && again == request, "a question for peers");
        if (HolepunchValue.TryDecode(value, out HolepunchValue punch)) Oracle.That(HolepunchValue.TryDecode(punch.ToBytes(), out HolepunchValue again) && again == punch, "a holepunch");
        Ipv4Peer local = new(0x7F000001, 1);
        if (!PeersAnswer.TryDecode(value, local, out PeersAnswer answer)) return;
        Oracle.That(answer.Peers.Count <= PeersAnswer.MaxPeers && answer.LocalPeers.Count <= PeersAnswer.MaxPeers, "peers of an answer are bounded");
        Oracle.That(PeersAnswer.TryDecode(answer.ToBytes(), local, out PeersAnswer same) && same.Peers.SequenceEqual(answer.Peers) && same.LocalPeers.SequenceEqual(answer.LocalPeers), "an answer with peers");
    }
}
