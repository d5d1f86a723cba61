using System.Text.Json;
using DatFs.Discovery;
using DatFs.Discovery.DhtRpc;
using DatFs.Discovery.Kademlia;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Messages of the dht-rpc 4 network, as recorded from @hyperswarm/dht and as strangers might send them (discovery.md §6.2).</summary>
public sealed class DhtRpcMessageTests
{
    private static readonly DhtRpcMessage s_query = new() { Kind = DhtRpcKind.Query, Request = 7, Command = "peers" };

    public static TheoryData<string> Recorded =>
        [.. Vectors.Json("discovery/hyperswarm-dht.json").GetProperty("steps").EnumerateArray().SelectMany(step => step.GetProperty("packets").EnumerateArray()).Select(packet => packet.GetRawText())];

    [Theory, MemberData(nameof(Recorded))]
    public void Recorded_messages_are_read_and_written_to_the_same_bytes(string recorded)
    {
        JsonElement packet = JsonDocument.Parse(recorded).RootElement, decoded = packet.GetProperty("decoded");
        byte[] bytes = packet.Hex("hex")!;
        DhtRpcMessage message = Read(bytes);
        ((int)message.Kind, message.Request, message.Version).Should().Be((decoded.GetProperty("type").GetInt32(), decoded.GetProperty("rid").GetUInt64(), decoded.GetProperty("version").GetUInt64()));
        Hex(message.To, Ipv4Peer.Size, (peer, into) => peer.Write(into)).Should().Be(Text(decoded, "to"));
        Hex(message.Id, NodeId.Size, (id, into) => id.Write(into)).Should().Be(Text(decoded, "id"));
        Hex(message.Target, NodeId.Size, (id, into) => id.Write(into)).Should().Be(Text(decoded, "target"));
        (message.Closer?.Count).Should().Be(Text(decoded, "closerNodes")?.Length / 2 / Contact.SizeOf(NodeId.Size));
        (message.Token is { } token ? Convert.ToHexStringLower(token) : null).Should().Be(Text(decoded, "roundtripToken"));
        (message.Value is { } value ? Convert.ToHexStringLower(value) : null).Should().Be(Text(decoded, "value"));
        (message.Command, message.Error).Should().Be((Text(decoded, "command"), Text(decoded, "error")));
        message.ToBytes().Should().Equal(bytes);
    }

    [Theory, MemberData(nameof(Recorded))]
    public void Recorded_values_are_read_and_written_to_the_same_bytes(string recorded)
    {
        JsonElement decoded = JsonDocument.Parse(recorded).RootElement.GetProperty("decoded");
        byte[] value = decoded.Hex("value") ?? [];
        if (decoded.TryGetProperty("peersInput", out JsonElement input))
        {
            PeersRequest.TryDecode(value, out PeersRequest request).Should().BeTrue();
            request.Port.Should().Be(input.TryGetProperty("port", out JsonElement port) ? port.GetInt32() : null);
            Hex(request.LocalAddress, Ipv4Peer.Size, (peer, into) => peer.Write(into)).Should().Be(Text(input, "localAddress"));
            request.Unannounce.Should().Be(input.TryGetProperty("unannounce", out _));
            request.ToBytes().Should().Equal(value);
        }
        else if (decoded.TryGetProperty("holepunch", out JsonElement holepunch))
        {
            HolepunchValue.TryDecode(value, out HolepunchValue read).Should().BeTrue();
            Hex(read.From, Ipv4Peer.Size, (peer, into) => peer.Write(into)).Should().Be(Text(holepunch, "from"));
            Hex(read.To, Ipv4Peer.Size, (peer, into) => peer.Write(into)).Should().Be(Text(holepunch, "to"));
            read.ToBytes().Should().Equal(value);
        }
        else if (Text(decoded, "closerNodes") is not null)
        {
            PeersAnswer.TryDecode(value, new Ipv4Peer(0xC0A80709, 1234), out PeersAnswer answer).Should().BeTrue();
            answer.ToBytes().Should().Equal(value);
            if (value.Length == 0) return;
            answer.Peers.Select(peer => peer.ToString()).Should().Equal("127.0.0.1:3282");
            answer.LocalPeers.Select(peer => peer.ToString()).Should().Equal("192.168.1.5:3282");
        }
    }

    [Theory]
    [InlineData("0801100a", true)] // the two required fields
    [InlineData("100a0801", true)] // in the other order
    [InlineData("0801100a5a0101", false)] // a known field of another type
    [InlineData("0801100a7a0101", true)] // an unknown one
    [InlineData("0801100a52047f000001", true)] // an address too short says nothing
    [InlineData("0801", false)]
    [InlineData("100a", false)]
    [InlineData("0800100a", false)]
    [InlineData("0804100a", false)]
    [InlineData("0801100a1a0141", false)] // an id of one byte
    [InlineData("0801100a1a00", false)]
    [InlineData("0801100a220141", false)]
    [InlineData("0801100a3a0107", false)] // a command of letters that are none
    [InlineData("0801100a4aff", false)]
    [InlineData("0801100a4affffffffffffffff7f", false)]
    [InlineData("080110ffffffffffffffffff01", false)]
    [InlineData("0801100a07", false)]
    [InlineData("", false)]
    public void Strict_where_it_matters_and_lenient_where_it_does_not(string hex, bool whole) =>
        DhtRpcMessage.TryDecode(Convert.FromHexString(hex), out _).Should().Be(whole);

    [Fact]
    public void Tokens_commands_values_and_lists_of_nodes_are_bounded()
    {
        static bool Fits(DhtRpcMessage message) => DhtRpcMessage.TryDecode(message.ToBytes(), out _);
        Fits(s_query with { Token = new byte[DhtRpcMessage.MaxToken] }).Should().BeTrue();
        Fits(s_query with { Token = new byte[DhtRpcMessage.MaxToken + 1] }).Should().BeFalse();
        Fits(s_query with { Command = new string('c', DhtRpcMessage.MaxCommand) }).Should().BeTrue();
        Fits(s_query with { Command = new string('c', DhtRpcMessage.MaxCommand + 1) }).Should().BeFalse();
        Fits(s_query with { Value = new byte[DhtRpcMessage.MaxValue] }).Should().BeTrue();
        Fits(s_query with { Value = new byte[DhtRpcMessage.MaxValue + 1] }).Should().BeFalse();
        Contact[] many = [.. Enumerable.Range(1, DhtRpcMessage.MaxCloser + 5).Select(i => new Contact(new NodeId((ulong)i, 0, 0, 0), new Ipv4Peer(1, 1)))];
        Read((s_query with { Closer = many }).ToBytes()).Closer.Should().HaveCount(DhtRpcMessage.MaxCloser);
        PeersAnswer.TryDecode(new PeersAnswer([.. many.SelectMany(_ => Enumerable.Repeat(new Ipv4Peer(1, 1), 10))], []).ToBytes(), null, out PeersAnswer peers).Should().BeTrue();
        peers.Peers.Should().HaveCount(PeersAnswer.MaxPeers);
    }

    [Fact]
    public void A_stranger_s_error_cannot_steer_a_terminal()
    {
        byte[] bytes = (s_query with { Error = "bad?[2J" + new string('x', 200) }).ToBytes();
        bytes[Array.IndexOf(bytes, (byte)'?')] = 0x1b;
        Read(bytes).Error.Should().StartWith("bad?[2J").And.HaveLength(DhtRpcMessage.MaxError);
    }

    private static DhtRpcMessage Read(ReadOnlySpan<byte> bytes) => DhtRpcMessage.TryDecode(bytes, out DhtRpcMessage message) ? message : throw new FormatException();

    private static string? Text(JsonElement body, string name) => body.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;

    private static string? Hex<T>(T? value, int size, Action<T, byte[]> write) where T : struct
    {
        if (value is not { } known) return null;
        byte[] bytes = new byte[size];
        write(known, bytes);
        return Convert.ToHexStringLower(bytes);
    }
}
