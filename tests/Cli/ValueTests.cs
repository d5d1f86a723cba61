using DatFs.Replication;
using DatMount.Commands;
using DatMount.Hosting;
using FluentAssertions;
using Xunit;

namespace DatMount.Cli;

public sealed class ValueTests
{
    [Theory]
    [InlineData("127.0.0.1:3282", "127.0.0.1", 3282)]
    [InlineData("[::1]:0", "::1", 0)]
    [InlineData(":80", "0.0.0.0", 80)]
    [InlineData("example.org:65535", "example.org", 65535)]
    public void An_address_is_a_host_and_a_port(string text, string host, int port)
    {
        Address.TryParse(text, out PeerAddress value).Should().BeTrue();
        value.Should().Be(new PeerAddress(host, port));
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1:80")]
    [InlineData("host:")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData("host: 80")]
    public void What_is_not_an_address_is_refused(string text) => Address.TryParse(text, out _).Should().BeFalse();

    [Theory]
    [InlineData("30s", 30)]
    [InlineData("500ms", 0.5)]
    [InlineData("2m", 120)]
    [InlineData("1h", 3600)]
    [InlineData("0", 0)]
    [InlineData("1.5", 1.5)]
    public void A_time_has_a_unit_or_means_seconds(string text, double seconds)
    {
        Duration.TryParse(text, out TimeSpan value).Should().BeTrue();
        value.TotalSeconds.Should().Be(seconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("-1s")]
    [InlineData("1d")]
    [InlineData("1e9")]
    [InlineData("99999999999")]
    public void What_is_not_a_time_is_refused(string text) => Duration.TryParse(text, out _).Should().BeFalse();

    [Fact]
    public void Control_characters_are_shown_and_never_obeyed()
    {
        TerminalText.Escape("a\x1b[31mb\r\u009b").Should().Be("a\\x1b[31mb\\x0d\\x9b");
        TerminalText.Escape("plain ü 山").Should().Be("plain ü 山");
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(300L << 20, "300 MiB")]
    public void Bytes_are_shown_in_powers_of_1024(double bytes, string shown) => TerminalText.Bytes(bytes).Should().Be(shown);

    [Theory]
    [InlineData("file", 0, true)]
    [InlineData("../sibling", 1, true)]
    [InlineData("a/../../b", 1, true)]
    [InlineData("../out", 0, false)]
    [InlineData("a/../../b", 0, false)]
    [InlineData("/etc/passwd", 5, false)]
    [InlineData("", 0, false)]
    public void An_exported_link_stays_in_the_folder(string target, int depth, bool inside) => Exporter.StaysInside(target, depth).Should().Be(inside);
}
