using System.Text.Json;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using FluentAssertions;
using Google.Protobuf;
using Xunit;
using Message = DatFs.Encoding.Schemas.Hyperdrive;

namespace DatFs.Unit;

/// <summary>Bytes of headers, nodes, indices and attributes, as the reference writes and reads them (tests/vectors/hyperdrive/encodings.json).</summary>
public sealed class HyperdriveEncodingTests
{
    private static readonly JsonElement s_vectors = Vectors.Json("hyperdrive/encodings.json");

    public static TheoryData<string, string> Malformed => new()
    {
        { "a number where a name belongs", "0801" + "1a0100" },
        { "a group", "0a022f61" + "1a020100" + "2324" },
        { "a value of fixed width", "0a022f61" + "1500000000" + "1a020100" },
        { "an index that is a number", "0a022f61" + "1801" },
        { "field number zero", "0a022f61" + "1a020100" + "0000" },
        { "a length beyond the end", "0a022f61" + "1a7f01" },
        { "a length of ten gigabytes", "0a022f61" + "1affffffff2501" },
    };

    [Fact]
    public void Headers_are_those_of_the_reference()
    {
        foreach (JsonElement header in s_vectors.GetProperty("index").EnumerateArray())
        {
            byte[] bytes = header.Hex("hex")!;
            byte[]? content = header.Hex("content");
            HyperHeader decoded = HyperCodec.DecodeHeader(bytes)!;
            decoded.Type.Should().Be(header.GetProperty("type").GetString());
            decoded.Content.Should().Equal(content);
            if (content is not null) HyperCodec.EncodeHeader(content).Should().Equal(bytes);
        }
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("12020102", "no type")]
    [InlineData("0801", "a number for a type")]
    [InlineData("0a0a68797065726472697665" + "1003", "a number for a key")]
    [InlineData("0a0a687970", "cut off")]
    public void What_is_no_header_is_not_read_as_one(string hex, string why) => HyperCodec.DecodeHeader(Convert.FromHexString(hex)).Should().BeNull(why);

    [Fact]
    public void Attributes_are_written_and_read_as_by_the_reference()
    {
        foreach (JsonElement vector in s_vectors.GetProperty("stat").EnumerateArray())
        {
            byte[] bytes = vector.Hex("hex")!;
            HyperCodec.TryDecodeStat(bytes, out HyperStat stat).Should().BeTrue();
            AssertStat(stat, vector.GetProperty("decoded"));
            Encode(stat, vector.GetProperty("stat"), bytes).Should().Equal(bytes);
        }
    }

    [Fact]
    public void Attributes_are_read_or_refused_as_by_the_reference()
    {
        foreach (JsonElement vector in s_vectors.GetProperty("statDecodeOnly").EnumerateArray())
        {
            bool read = HyperCodec.TryDecodeStat(vector.Hex("hex"), out HyperStat stat);
            read.Should().Be(vector.GetProperty("decoded").ValueKind == JsonValueKind.Object, vector.GetProperty("why").GetString());
            if (read) AssertStat(stat, vector.GetProperty("decoded"));
        }
    }

    [Theory]
    [InlineData("08a48302" + "20ffffffffffffff0f", 9007199254740991)]
    [InlineData("08a48302" + "2080808080808080" + "8000", 0)]
    public void Sizes_up_to_2_to_the_53_are_read(string hex, long size)
    {
        HyperCodec.TryDecodeStat(Convert.FromHexString(hex), out HyperStat stat).Should().BeTrue();
        stat.Size.Should().Be(size);
    }

    [Theory]
    [InlineData("08a48302" + "2080808080808080" + "10", "2^53")]
    [InlineData("08a48302" + "20ffffffffffffffffff01", "2^64-1")]
    [InlineData("08a48302" + "2201ff", "bytes for a size")]
    [InlineData("0da4830200", "a mode of fixed width")]
    [InlineData("08a48302" + "5305", "a group")]
    [InlineData("08a48302" + "52", "a target cut off")]
    public void Attributes_that_no_peer_could_hold_are_refused(string hex, string why) =>
        HyperCodec.TryDecodeStat(Convert.FromHexString(hex), out _).Should().BeFalse(why);

    [Fact]
    public void A_link_carries_its_target_in_a_field_that_older_readers_skip()
    {
        JsonElement vector = s_vectors.GetProperty("statDecodeOnly").EnumerateArray().First(v => v.GetProperty("why").GetString()!.Contains("symbolic link", StringComparison.Ordinal));
        HyperCodec.TryDecodeStat(vector.Hex("hex"), out HyperStat stat).Should().BeTrue();
        stat.LinkName.Should().Equal("../target"u8.ToArray());
    }

    [Fact]
    public void Indices_go_both_ways()
    {
        foreach (JsonElement vector in s_vectors.GetProperty("paths").EnumerateArray())
        {
            long seq = vector.GetProperty("seq").GetInt64();
            long[][] levels = Levels(vector.GetProperty("levels"));
            byte[] bytes = vector.Hex("hex")!;
            HyperIndex.Encode(seq, levels).Should().Equal(bytes);
            HyperIndex.TryDecode(seq, bytes, out long[][] decoded).Should().BeTrue();
            decoded.Should().BeEquivalentTo(Levels(vector.GetProperty("decoded")), options => options.WithStrictOrdering());
            for (int depth = 0; depth <= decoded.Length; depth++)
                HyperIndex.Level(seq, bytes, depth).Should().Equal(depth < decoded.Length ? decoded[depth] : [], "level {0} of {1}", depth, vector);
        }
    }

    [Theory]
    [InlineData(5, "", "no flags")]
    [InlineData(5, "0200", "an unknown flag")]
    [InlineData(5, "000100", "number 0")]
    [InlineData(5, "000106", "a number above its own")]
    [InlineData(5, "00020300", "the same number twice")]
    [InlineData(5, "010105", "its own number, left out and not")]
    [InlineData(5, "00ffffffff0f01", "a count of four thousand million")]
    [InlineData(5, "000501010101", "more entries than bytes")]
    [InlineData(5, "0001ffffffffffffffffff01", "a number of 2^64-1")]
    [InlineData(5, "00018180", "cut off in a number")]
    public void Indices_that_could_lead_astray_are_refused(long seq, string hex, string why) =>
        HyperIndex.TryDecode(seq, Convert.FromHexString(hex), out _).Should().BeFalse(why);

    [Fact]
    public void A_count_of_a_million_entries_allocates_nothing()
    {
        byte[] bytes = [0x00, 0xc0, 0x84, 0x3d, 0x01, 0x01];
        long before = GC.GetAllocatedBytesForCurrentThread();
        HyperIndex.IsValid(1L << 40, bytes).Should().BeFalse();
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(100_000);
    }

    [Fact]
    public void Nodes_go_both_ways()
    {
        foreach (JsonElement vector in s_vectors.GetProperty("node").EnumerateArray())
        {
            long seq = vector.GetProperty("seq").GetInt64();
            string name = vector.GetProperty("name").GetString()!;
            byte[] bytes = vector.Hex("hex")!;
            byte[]? value = vector.Hex("valueHex");
            long[][] levels = Levels(vector.GetProperty("levels"));
            HyperCodec.EncodeNode(seq, name, value, levels).Should().Equal(bytes);
            HyperNode node = HyperCodec.DecodeNode(seq, bytes);
            node.PathTo(node.Parts.Length).Text.Should().Be(name);
            node.IsPut.Should().Be(value is not null);
            for (int depth = 0; depth < levels.Length; depth++) HyperCodec.DecodeLevel(seq, bytes, depth).Should().Equal(levels[depth]);
            if (value is not null) AssertStat(node.Stat!, vector.GetProperty("stat"));
        }
    }

    [Fact]
    public void Nodes_that_the_reference_refuses_are_corrupt()
    {
        foreach (JsonElement vector in s_vectors.GetProperty("nodeInvalid").EnumerateArray())
            Refused(vector.Hex("hex")!, vector.GetProperty("why").GetString()!);
    }

    [Theory]
    [MemberData(nameof(Malformed))]
    public void Nodes_that_the_generated_parser_would_let_pass_are_corrupt(string why, string hex) => Refused(Convert.FromHexString(hex), why);

    [Fact]
    public void Names_beyond_all_measure_are_corrupt()
    {
        Refused(Node("/" + new string('a', HyperCodec.MaxNameLength), []), "too long");
        Refused(Node(string.Concat(Enumerable.Repeat("/a", HyperCodec.MaxComponents + 1)), []), "too deep");
    }

    [Fact]
    public void A_value_without_a_byte_is_a_put_and_no_value_a_deletion()
    {
        HyperNode put = HyperCodec.DecodeNode(1, Node("/a", []));
        put.IsPut.Should().BeTrue();
        put.Stat.Should().BeNull("there are no attributes in it");
        HyperCodec.DecodeNode(1, Node("/a", null)).IsPut.Should().BeFalse();
    }

    [Fact]
    public void Of_a_repeated_field_the_last_counts_and_unknown_ones_are_passed_over()
    {
        byte[] twice = [.. Node("/a", [0x08, 0x01]), .. Node("/b", [0x08, 0x02]), 0x7a, 0x01, 0xff, 0x78, 0x05, 0x81, 0x01, 1, 2, 3, 4, 5, 6, 7, 8];
        HyperNode node = HyperCodec.DecodeNode(1, twice);
        node.Parts.Should().Equal("b");
        node.Stat!.Mode.Should().Be(2);
    }

    [Fact]
    public void Names_that_are_not_text_stay_apart_and_are_never_shown()
    {
        string first = HyperCodec.DecodeNode(1, [0x0a, 0x02, 0x2f, 0xff, 0x1a, 0x01, 0x01]).Parts[0];
        string second = HyperCodec.DecodeNode(1, [0x0a, 0x02, 0x2f, 0xfe, 0x1a, 0x01, 0x01]).Parts[0];
        first.Should().NotBe(second);
        EntryNames.IsUsable(first).Should().BeFalse();
    }

    [Theory]
    [InlineData("/", new string[0])]
    [InlineData("", new string[0])]
    [InlineData("/a/b", new[] { "a", "b" })]
    [InlineData("a/b/", new[] { "a", "b" })]
    [InlineData("//a//", new[] { "", "a", "" })]
    public void Paths_lose_one_empty_component_at_either_end(string path, string[] parts) => HyperCodec.Split(path).Should().Equal(parts);

    private static void Refused(byte[] block, string why) =>
        FluentActions.Invoking(() => HyperCodec.DecodeNode(100, block)).Should().Throw<DatException>(why).Which.Error.Should().Be(DatError.Corrupt);

    private static byte[] Node(string name, byte[]? value) => HyperCodec.EncodeNode(1, name, value, [[1], [1]]);

    private static long[][] Levels(JsonElement levels) => [.. levels.EnumerateArray().Select(level => level.EnumerateArray().Select(seq => seq.GetInt64()).ToArray())];

    private static void AssertStat(HyperStat stat, JsonElement expected)
    {
        (string Name, long Value)[] found =
        [
            ("mode", stat.Mode), ("uid", stat.Uid), ("gid", stat.Gid), ("size", stat.Size), ("blocks", stat.Blocks), ("offset", stat.Offset),
            ("byteOffset", stat.ByteOffset), ("mtime", stat.Mtime), ("ctime", stat.Ctime),
        ];
        foreach ((string name, long value) in found) value.Should().Be(expected.TryGetProperty(name, out JsonElement number) ? number.GetInt64() : 0, name);
    }

    // Whole files and directories are written by us; other combinations only by the generated message, which must agree.
    private static byte[] Encode(HyperStat stat, JsonElement given, byte[] expected)
    {
        if (given.EnumerateObject().Count() == 9) return HyperCodec.EncodeFileStat(stat);
        if (given.EnumerateObject().Select(member => member.Name).Order().SequenceEqual(["byteOffset", "ctime", "mode", "mtime", "offset"]))
            return HyperCodec.EncodeDirectoryStat(stat.Mode, stat.Offset, stat.ByteOffset, stat.Mtime, stat.Ctime);
        return Message.Stat.Parser.ParseFrom(expected).ToByteArray();
    }
}
