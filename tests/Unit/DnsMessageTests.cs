using System.Globalization;
using System.Text.Json;
using CsCheck;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>The messages real servers and peers sent, and what strangers might send (discovery.md §3).</summary>
public sealed class DnsMessageTests
{
    private const string Name = "d13ff8b664d823fb21db4dc41518093998f82bdc.dat.local";

    public static TheoryData<string> Files => ["dns-server", "mdns"];

    [Theory, MemberData(nameof(Files))]
    public void Recorded_messages_decode_and_encode_to_the_same_bytes(string file)
    {
        int messages = 0;
        foreach ((byte[] bytes, JsonElement packet) in Packets(file))
        {
            if (packet.TryGetProperty("malformed", out _)) continue;
            DnsMessage.TryDecode(bytes, out DnsMessage message).Should().BeTrue();
            message.ToBytes().Should().Equal(bytes);
            JsonElement decoded = packet.GetProperty("decoded");
            message.Id.Should().Be(decoded.GetProperty("id").GetUInt16());
            message.Flags.Should().Be(decoded.GetProperty("flags").GetUInt16());
            message.IsResponse.Should().Be(decoded.GetProperty("response").GetBoolean());
            Section(decoded, "questions").Should().Equal(message.Questions.Select(q => $"{q.Name} {q.Type.ToString().ToUpperInvariant()}"));
            Section(decoded, "answers").Should().Equal(message.Answers.Select(Text));
            Section(decoded, "authorities").Should().Equal(message.Authorities.Select(Text));
            Section(decoded, "additionals").Should().Equal(message.Additionals.Select(Text));
            messages++;
        }

        messages.Should().BeGreaterThan(5);
    }

    [Fact]
    public void A_reply_with_more_peers_than_fit_is_refused_and_its_peers_can_be_salvaged()
    {
        byte[] broken = Packets("dns-server").Single(p => p.Packet.TryGetProperty("malformed", out _)).Bytes;
        DnsMessage.TryDecode(broken, out _).Should().BeFalse();

        DnsMessage.TrySalvage(broken, out DnsMessage message).Should().BeTrue();

        DnsText answer = message.Answers.Should().ContainSingle().Which.Should().BeOfType<DnsText>().Which;
        answer["token"].Should().Be("zbamFv1VFCCYa+ZPVlSEp1siTpY80O93/yyjWGOeG9c=");
        answer.Peers.Should().HaveCount(40).And.OnlyHaveUniqueItems().And.OnlyContain(p => p.Host.StartsWith("10.1.0.", StringComparison.Ordinal) && p.Port == 3282);
    }

    [Fact]
    public void Compressed_names_are_read()
    {
        byte[] bytes = [0, 1, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0, 3, .. "Dat"u8, 5, .. "local"u8, 0, 0, 16, 0x80, 1, 0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 9, 0, 13, 0, 0, 0, 0, 12, 210, 2, .. "ab"u8, 0xc0, 16, 0];
        // The target ends in a pointer: its data is six numbers, "ab" and the pointer, one byte less than claimed above.
        bytes[39] = 0;
        byte[] whole = [.. bytes[..^1]];
        int length = Array.LastIndexOf(whole, (byte)13);
        whole[length] = 11;
        DnsMessage.TryDecode(whole, out DnsMessage message).Should().BeTrue();
        message.Questions.Should().Equal(new DnsQuestion("dat.local", DnsType.Txt));
        message.Answers.Should().Equal(new DnsService("dat.local", "ab.local", 3282) { Ttl = 9 });
        DnsMessage.TryDecode(bytes, out _).Should().BeFalse("a record's data must end where it says");
    }

    [Fact]
    public void Pointers_that_run_in_circles_are_refused()
    {
        byte[] bytes = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, (byte)'a', 0xc0, 12, 0, 16, 0, 1];
        DnsMessage.TryDecode(bytes, out _).Should().BeFalse();
        bytes[12] = 0xc0;
        bytes[13] = 12;
        DnsMessage.TryDecode(bytes, out _).Should().BeFalse();
    }

    [Fact]
    public void As_many_jumps_as_are_allowed_are_followed_and_one_more_is_not()
    {
        foreach (int jumps in new[] { DnsReader.MaxJumps, DnsReader.MaxJumps + 1 })
        {
            List<byte> bytes = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            // The question's name begins a chain of pointers that lie after it.
            for (int i = 0; i < jumps; i++)
            {
                int next = bytes.Count + (i == 0 ? 6 : 2);
                bytes.AddRange([(byte)(0xc0 | next >> 8), (byte)next]);
                if (i == 0) bytes.AddRange([0, 16, 0, 1]);
            }

            bytes.AddRange([1, (byte)'a', 0]);
            DnsMessage.TryDecode([.. bytes], out _).Should().Be(jumps == DnsReader.MaxJumps);
        }
    }

    [Fact]
    public void More_records_than_any_peer_sends_are_refused()
    {
        foreach (int count in new[] { DnsReader.MaxRecords, DnsReader.MaxRecords + 1 })
        {
            List<byte> bytes = [0, 1, 0, 0, 0, (byte)count, 0, 0, 0, 0, 0, 0];
            for (int i = 0; i < count; i++) bytes.AddRange([0, 0, 16, 0, 1]);
            DnsMessage.TryDecode([.. bytes], out _).Should().Be(count == DnsReader.MaxRecords);
        }
    }

    [Fact]
    public void Names_of_other_services_are_left_out_and_the_rest_is_kept()
    {
        byte[] mine = new DnsMessage { Answers = [new DnsText(Name, ["token=x"])] }.ToBytes();
        byte[] bytes = [.. mine.AsSpan(0, 6), 0, 3, .. mine.AsSpan(8), 8, .. "My.Thing"u8, 0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, (byte)'b', 0, 0, 28, 0, 1, 0, 0, 0, 0, 0, 2, 7, 7];
        DnsMessage.TryDecode(bytes, out DnsMessage message).Should().BeTrue();
        message.Answers.Should().ContainSingle().Which.Name.Should().Be(Name);
    }

    [Fact]
    public void Text_is_a_map_whose_last_entry_counts()
    {
        DnsText text = new(Name, ["a=1", "a=2", "flag", "ab=3", "=x", "port=70000", "announce=0"]);
        text["a"].Should().Be("2");
        text["flag"].Should().Be("true");
        text["b"].Should().BeNull();
        text.Port("port").Should().BeNull();
        text.Port("announce").Should().Be(0);
        text.Port("a").Should().Be(2);
        text.Port("flag").Should().BeNull();
    }

    [Theory]
    [InlineData("fwAAAQzS", "127.0.0.1:3282")]
    [InlineData("fwAAAQzSAAAA", "127.0.0.1:3282")]
    [InlineData("fwAAAQzSfwAAAQz", "127.0.0.1:3282")]
    [InlineData("AAAAAAzT", "0.0.0.0:3283")]
    [InlineData("!not base64!", "")]
    [InlineData("", "")]
    public void Lists_of_peers_are_read(string text, string peers) =>
        string.Join(' ', PeersText.Read(text)).Should().Be(peers);

    [Fact]
    public void A_list_of_peers_fits_its_string_and_round_trips()
    {
        Ipv4Peer[] peers = [.. Enumerable.Range(0, PeersText.MaxPeers).Select(i => new Ipv4Peer((uint)(0x0a000000 + i), (ushort)(i + 1)))];
        DnsMessage message = new() { Answers = [new DnsText(Name, ["peers=" + PeersText.Write(peers)])] };
        DnsMessage.TryDecode(message.ToBytes(), out DnsMessage read).Should().BeTrue();
        ((DnsText)read.Answers[0]).Peers.Should().Equal(peers);
        FluentActions.Invoking(() => PeersText.Write([.. peers, default])).Should().Throw<ArgumentException>();
        PeersText.Read(Convert.ToBase64String(new byte[6000])).Should().HaveCount(PeersText.MaxRead);
    }

    [Fact]
    public void Random_changes_to_recorded_messages_never_throw()
    {
        byte[][] recorded = [.. Files.SelectMany(file => Packets(file.Data)).Select(p => p.Bytes)];
        Gen.Select(Gen.Int[0, recorded.Length - 1], Gen.Select(Gen.Int[0, 2000], Gen.Byte).Array[0, 6], Gen.Int[0, 40]).Sample((which, changes, cut) =>
        {
            byte[] bytes = [.. recorded[which].AsSpan(0, Math.Max(0, recorded[which].Length - (cut > 20 ? 0 : cut)))];
            foreach ((int at, byte value) in changes)
                if (bytes.Length > 0) bytes[at % bytes.Length] = value;
            if (DnsMessage.TryDecode(bytes, out DnsMessage message)) _ = message.Answers.OfType<DnsText>().Select(t => t.Peers.Count).ToList();
            if (DnsMessage.TrySalvage(bytes, out message)) _ = message.Answers.OfType<DnsText>().Select(t => t.Peers.Count).ToList();
        }, iter: 20_000);
    }

    [Theory]
    [InlineData("127.0.0.1", 0x7f000001u)]
    [InlineData("255.255.255.255", 0xffffffffu)]
    public void Dotted_addresses_are_read(string text, uint address)
    {
        Ipv4Peer.TryReadAddress(text, out uint read).Should().BeTrue();
        read.Should().Be(address);
    }

    [Theory]
    [InlineData("127.0.0")]
    [InlineData("127.0.0.1.2")]
    [InlineData("127.0.0.256")]
    [InlineData("127.0..1")]
    [InlineData("a.b.c.d")]
    [InlineData("")]
    [InlineData("1.2.3.+4")]
    public void Other_texts_are_no_addresses(string text) => Ipv4Peer.TryReadAddress(text, out _).Should().BeFalse();

    private static IEnumerable<(byte[] Bytes, JsonElement Packet)> Packets(string file) =>
        Vectors.Json($"discovery/{file}.json").GetProperty("steps").EnumerateArray()
            .SelectMany(step => step.GetProperty("packets").EnumerateArray()).Select(packet => (packet.Hex("hex")!, packet));

    private static IEnumerable<string> Section(JsonElement decoded, string section) =>
        decoded.TryGetProperty(section, out JsonElement records) ? records.EnumerateArray().Select(Text) : [];

    private static string Text(JsonElement record)
    {
        string text = $"{record.GetProperty("name")} {record.GetProperty("type")}";
        if (record.TryGetProperty("ttl", out JsonElement ttl)) text += $" {ttl}";
        if (record.TryGetProperty("strings", out JsonElement strings)) text += " " + string.Join('|', strings.EnumerateArray());
        if (record.TryGetProperty("peers", out JsonElement peers)) text += " " + string.Join(' ', peers.EnumerateArray().Select(p => $"{p.GetProperty("host")}:{p.GetProperty("port")}"));
        if (record.TryGetProperty("target", out JsonElement target)) text += $" {target}:{record.GetProperty("port")}";
        if (record.TryGetProperty("address", out JsonElement address)) text += $" {address}";
        return text;
    }

    private static string Text(DnsRecord record) => record switch
    {
        DnsText text => $"{text.Name} TXT {text.Ttl} {string.Join('|', text.Strings)}{(text.Peers.Count > 0 ? " " + string.Join(' ', text.Peers) : "")}",
        DnsService service => string.Create(CultureInfo.InvariantCulture, $"{service.Name} SRV {service.Ttl} {service.Target}:{service.Port}"),
        DnsAddress address => $"{address.Name} A {address.Ttl} {new Ipv4Peer(address.Address, 0).Host}",
        _ => record.ToString(),
    };
}
