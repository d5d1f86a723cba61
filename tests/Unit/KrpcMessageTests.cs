using System.Text.Json;
using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Mainline;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Messages of the mainline network, as recorded from the reference and as strangers might send them (discovery.md §6.1).</summary>
public sealed class KrpcMessageTests
{
    private const string Id = "aaaaaaaaaaaaaaaaaaaa";

    public static TheoryData<string> Recorded =>
        [.. Vectors.Json("discovery/mainline-dht.json").GetProperty("steps").EnumerateArray().SelectMany(step => step.GetProperty("packets").EnumerateArray()).Select(packet => packet.GetRawText())];

    [Theory, MemberData(nameof(Recorded))]
    public void Recorded_messages_are_read_and_written_to_the_same_bytes(string recorded)
    {
        JsonElement packet = JsonDocument.Parse(recorded).RootElement, decoded = packet.GetProperty("decoded");
        byte[] bytes = Convert.FromHexString(packet.GetProperty("hex").GetString()!);
        KrpcMessage message = Read(bytes);
        Convert.ToHexStringLower(message.Transaction).Should().Be(decoded.GetProperty("t").GetString());
        Convert.ToHexStringLower([(byte)message.Kind]).Should().Be(decoded.GetProperty("y").GetString());
        JsonElement body = decoded.TryGetProperty("a", out JsonElement a) ? a : decoded.TryGetProperty("r", out JsonElement r) ? r : default;
        if (body.ValueKind == JsonValueKind.Object)
        {
            Hex(message.Id).Should().Be(body.GetProperty("id").GetString());
            Hex(message.InfoHash).Should().Be(Text(body, "info_hash"));
            Hex(message.Target).Should().Be(Text(body, "target"));
            (message.Token is { } token ? Convert.ToHexStringLower(token) : null).Should().Be(Text(body, "token"));
            (message.Nodes?.Count).Should().Be(Text(body, "nodes")?.Length / 2 / Contact.SizeOf(NodeId.ShortSize));
            (message.Values?.Count).Should().Be(body.TryGetProperty("values", out JsonElement values) ? values.GetArrayLength() : null);
            message.Port.Should().Be(body.TryGetProperty("port", out JsonElement port) ? port.GetInt32() : null);
        }
        else
        {
            message.Error.Should().Be((203, System.Text.Encoding.ASCII.GetString(Convert.FromHexString(decoded.GetProperty("e")[1].GetString()!))));
        }

        message.ToBytes().Should().Equal(bytes);
    }

    [Theory]
    [InlineData("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe", true)]
    [InlineData("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q9:get_stuff1:t2:aa1:v4:XYZW1:y1:qe", true)]
    [InlineData("d1:rd2:id20:aaaaaaaaaaaaaaaaaaaa6:values3:abc1:xli1eleee1:t2:aa1:y1:re", true)]
    [InlineData("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qeX", false)]
    [InlineData("d1:ad2:id19:aaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe", false)]
    [InlineData("d1:q4:ping1:t2:aa1:y1:qe", false)]
    [InlineData("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:y1:qe", false)]
    [InlineData("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t0:1:y1:qe", false)]
    [InlineData("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:ze", false)]
    [InlineData("d1:rde1:t2:aa1:y1:re", false)]
    [InlineData("d1:t2:aa1:y1:ee", false)]
    [InlineData("d1:rd2:id20:aaaaaaaaaaaaaaaaaaaa4:porti65536eee1:t2:aa1:y1:re", false)]
    [InlineData("d1:rd2:id020:aaaaaaaaaaaaaaaaaaaaee1:t2:aa1:y1:re", false)]
    [InlineData("d1:rd2:id20:aaaaaaaaaaaaaaaaaaaa1:xi-0eee1:t2:aa1:y1:re", false)]
    [InlineData("d1:rd2:id999999999999999999:aee1:t2:aa1:y1:re", false)]
    [InlineData("li1ee", false)]
    [InlineData("d", false)]
    [InlineData("", false)]
    public void Strict_where_it_matters_and_lenient_where_it_does_not(string text, bool whole) =>
        KrpcMessage.TryDecode(System.Text.Encoding.Latin1.GetBytes(text), out _).Should().Be(whole);

    [Fact]
    public void Names_of_requests_and_tokens_are_bounded()
    {
        string Query(int transaction, int token) => $"d1:ad2:id20:{Id}5:token{token}:{new string('t', token)}e1:q4:ping1:t{transaction}:{new string('x', transaction)}1:y1:qe";
        KrpcMessage.TryDecode(System.Text.Encoding.Latin1.GetBytes(Query(KrpcMessage.MaxTransaction, KrpcMessage.MaxToken)), out _).Should().BeTrue();
        KrpcMessage.TryDecode(System.Text.Encoding.Latin1.GetBytes(Query(KrpcMessage.MaxTransaction + 1, 1)), out _).Should().BeFalse();
        KrpcMessage.TryDecode(System.Text.Encoding.Latin1.GetBytes(Query(1, KrpcMessage.MaxToken + 1)), out _).Should().BeFalse();
    }

    [Fact]
    public void Lists_in_lists_are_passed_over_up_to_the_limit()
    {
        string Nested(int depth) => $"d1:rd2:id20:{Id}1:x{new string('l', depth)}{new string('e', depth)}e1:t2:aa1:y1:re";
        KrpcMessage.TryDecode(System.Text.Encoding.Latin1.GetBytes(Nested(BencodeReader.MaxDepth)), out _).Should().BeTrue();
        KrpcMessage.TryDecode(System.Text.Encoding.Latin1.GetBytes(Nested(BencodeReader.MaxDepth + 1)), out _).Should().BeFalse();
        KrpcMessage.TryDecode(System.Text.Encoding.Latin1.GetBytes(Nested(4000)), out _).Should().BeFalse();
    }

    [Fact]
    public void A_stranger_s_words_cannot_steer_a_terminal()
    {
        KrpcMessage message = Read(System.Text.Encoding.Latin1.GetBytes("d1:eli201e9:bad\u001b[2Jz\u00ffe1:t2:aa1:y1:ee"));
        message.Error.Should().Be((201, "bad?[2Jz?"));
    }

    private static KrpcMessage Read(ReadOnlySpan<byte> bytes) => KrpcMessage.TryDecode(bytes, out KrpcMessage message) ? message : throw new FormatException();

    private static string? Text(JsonElement body, string name) => body.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;

    private static string? Hex(NodeId? place)
    {
        if (place is not { } known) return null;
        byte[] bytes = new byte[NodeId.ShortSize];
        known.Write(bytes);
        return Convert.ToHexStringLower(bytes);
    }
}
