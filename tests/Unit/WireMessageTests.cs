using System.Text.Json;
using DatFs.Encoding;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Google.Protobuf;
using Xunit;
using Schemas = DatFs.Encoding.Schemas.Wire;

namespace DatFs.Unit;

public sealed class WireMessageTests
{
    [Fact]
    public void Valid_messages_decode_to_the_recorded_fields()
    {
        int checkedMessages = 0;
        foreach (JsonElement row in Vectors.Json("wire/messages.json").GetProperty("valid").EnumerateArray())
        {
            if (!row.TryGetProperty("type", out JsonElement type) || type.GetInt32() == (int)FrameType.Extension) continue;
            WireFields.Of((FrameType)type.GetInt32(), row.Hex("body")!).ShouldBe(row.GetProperty("decoded"), row.GetProperty("note").GetString());
            checkedMessages++;
        }

        checkedMessages.Should().BeGreaterThan(25);
    }

    [Fact]
    public void Tolerated_bodies_decode_to_the_recorded_fields()
    {
        foreach (JsonElement row in Vectors.Json("wire/messages.json").GetProperty("tolerated").EnumerateArray())
            WireFields.Of((FrameType)row.GetProperty("type").GetInt32(), row.Hex("body")!).ShouldBe(row.GetProperty("decoded"), row.GetProperty("note").GetString());
    }

    [Fact]
    public void Malformed_bodies_are_refused()
    {
        foreach (JsonElement row in Vectors.Json("wire/messages.json").GetProperty("malformed").EnumerateArray())
            WireFields.Of(Enum.Parse<FrameType>(row.GetProperty("name").GetString()!), row.Hex("body")!).Should().BeNull(row.GetProperty("note").GetString());
    }

    [Theory]
    [InlineData((byte)FrameType.Have, "0a0100", "start as bytes")]
    [InlineData((byte)FrameType.Have, "08001805", "bitfield as a number")]
    [InlineData((byte)FrameType.Have, "08001a05ff", "bitfield beyond the message")]
    [InlineData((byte)FrameType.Have, "088080808080808010", "start of 2^53")]
    [InlineData((byte)FrameType.Have, "0880808080808080808080801001", "a number of more than ten bytes")]
    [InlineData((byte)FrameType.Have, "08004b4c", "an unknown group")]
    [InlineData((byte)FrameType.Have, "08000001", "field number 0")]
    [InlineData((byte)FrameType.Have, "08008880808080808010ff", "a tag above 32 bits that a careless reader takes for start")]
    [InlineData((byte)FrameType.Have, "08004d0000", "an unknown fixed field beyond the message")]
    [InlineData((byte)FrameType.Info, "088000", "a bool of two bytes")]
    [InlineData((byte)FrameType.Request, "0800180a20", "truncated after a tag")]
    [InlineData((byte)FrameType.Feed, "0a03010203", "a discovery key of three bytes")]
    [InlineData((byte)FrameType.Data, "0801120561", "value beyond the message")]
    [InlineData((byte)FrameType.Data, "08011801", "nodes as a number")]
    [InlineData((byte)FrameType.Data, "08011a020a00", "node index as bytes")]
    public void Broken_bodies_are_refused(byte type, string body, string because) =>
        WireFields.Of((FrameType)type, Convert.FromHexString(body)).Should().BeNull(because);

    [Theory]
    [InlineData("0801220155", "a signature of one byte")]
    [InlineData("08011a07080212013318" + "01", "a hash of one byte")]
    public void Data_with_wrong_lengths_closes(string body, string because) =>
        FluentActions.Invoking(() => DataCodec.TryDecode(Convert.FromHexString(body), out _)).Should().Throw<ProtocolViolationException>(because);

    [Fact]
    public void A_proof_of_more_nodes_than_a_feed_can_need_closes()
    {
        TreeNode node = new(2, NodeHash.From(new byte[32]), 1);
        DataCodec.TryDecode(Body(new Proof(0, null, [.. Enumerable.Repeat(node, DataCodec.MaxNodes)], null)), out _).Should().BeTrue();
        FluentActions.Invoking(() => DataCodec.TryDecode(Body(new Proof(0, null, [.. Enumerable.Repeat(node, DataCodec.MaxNodes + 1)], null)), out _))
            .Should().Throw<ProtocolViolationException>();
    }

    [Fact]
    public void A_handshake_beyond_its_bounds_closes()
    {
        Schemas.Handshake manyNames = new(), longName = new(), longData = new() { UserData = ByteString.CopyFrom(new byte[MessageCodec.MaxUserData + 1]) };
        manyNames.Extensions.AddRange(Enumerable.Range(0, MessageCodec.MaxExtensions + 1).Select(i => $"x{i}"));
        longName.Extensions.Add(new string('x', MessageCodec.MaxExtensionName + 1));
        foreach (Schemas.Handshake handshake in new[] { manyNames, longName, longData })
        {
            FluentActions.Invoking(() => MessageCodec.TryDecode(handshake.ToByteArray(), out HandshakeMessage? _))
                .Should().Throw<ProtocolViolationException>();
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    public void An_id_of_a_wrong_length_counts_as_missing(int length)
    {
        MessageCodec.TryDecode(new Schemas.Handshake { Id = ByteString.CopyFrom(new byte[length]) }.ToByteArray(), out HandshakeMessage? handshake)
            .Should().BeTrue();
        handshake!.Id.Length.Should().Be(0);
    }

    [Fact]
    public void Valid_messages_encode_to_the_recorded_bytes()
    {
        foreach (JsonElement row in Vectors.Json("wire/messages.json").GetProperty("valid").EnumerateArray())
        {
            if (!row.TryGetProperty("type", out JsonElement type) || type.GetInt32() == (int)FrameType.Extension) continue;
            byte[] body = WireFields.Encode((FrameType)type.GetInt32(), row.GetProperty("fields"));
            body.Should().Equal(row.Hex("body"), row.GetProperty("note").GetString());
        }
    }

    [Fact]
    public void Our_own_messages_have_the_fields_the_reference_writes()
    {
        Hex(MessageCodec.Encode(new InfoMessage(true, false))).Should().Be("08011000");
        Hex(MessageCodec.Encode(new HaveMessage(0, null, null, false))).Should().Be("0800");
        Hex(MessageCodec.Encode(new HaveMessage(0, 0, new byte[] { 0x02, 0xe0 }, false))).Should().Be("080010001a0202e0");
        Hex(MessageCodec.Encode(new HaveMessage(1048576, 1048576, ReadOnlyMemory<byte>.Empty, false))).Should().Be("08808040108080401a00");
        Hex(MessageCodec.Encode(new HaveMessage(5, 1, null, true))).Should().Be("080510012001");
        Hex(MessageCodec.Encode(new UnhaveMessage(5, 1))).Should().Be("0805");
        Hex(MessageCodec.Encode(new UnhaveMessage(5, 1000))).Should().Be("080510e807");
        Hex(MessageCodec.Encode(new WantMessage(0, 1048576))).Should().Be("080010808040");
        Hex(MessageCodec.Encode(new UnwantMessage(0, null))).Should().Be("0800");
        Hex(MessageCodec.Encode(new RequestMessage(0, 0, false, 0))).Should().Be("0800100018002000");
        Hex(MessageCodec.Encode(new CancelMessage(424242, 0, false))).Should().Be("08b2f219");
        Hex(MessageCodec.Encode(new CancelMessage(3, 50, true))).Should().Be("080310321801");
    }

    [Fact]
    public void Numbers_that_peers_cannot_hold_are_not_written()
    {
        FluentActions.Invoking(() => MessageCodec.Encode(new WantMessage(1L << 53, null))).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => MessageCodec.Encode(new WantMessage(-1, null))).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => MessageCodec.Encode(new RequestMessage(0, 0, false, Varint.MaxValue + 1))).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void An_absent_value_and_an_empty_one_stay_apart()
    {
        DataCodec.TryDecode(Convert.FromHexString("0801"), out Proof? hashOnly).Should().BeTrue();
        DataCodec.TryDecode(Convert.FromHexString("08011200"), out Proof? empty).Should().BeTrue();
        hashOnly!.Value.Should().BeNull();
        empty!.Value!.Value.Length.Should().Be(0);
        Body(hashOnly).Should().Equal(Convert.FromHexString("0801"));
        Body(empty).Should().Equal(Convert.FromHexString("08011200"));
    }

    private static byte[] Body(Proof proof) => RawPeer.Body(proof);

    private static string Hex(IMessage message) => Convert.ToHexStringLower(message.ToByteArray());
}
