using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Cli;

public sealed class UsageTests : IDisposable
{
    private const string UnknownKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    private readonly TempFolder _home = TempFolder.Create("cli");

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task Help_shows_examples_and_every_command()
    {
        (int code, string output, _) = await Datmount.RunAsync(_home, "--help");
        code.Should().Be(0);
        output.Should().Contain("datmount demo").And.Contain("unmount").And.Contain("share").And.Contain("export").And.Contain("status");
    }

    [Theory]
    [InlineData("mount")]
    [InlineData("unmount")]
    [InlineData("share")]
    [InlineData("export")]
    [InlineData("status")]
    [InlineData("peers")]
    [InlineData("doctor")]
    [InlineData("discovery-server")]
    [InlineData("demo")]
    public async Task Every_command_has_help_with_an_example(string command)
    {
        (int code, string output, _) = await Datmount.RunAsync(_home, command, "--help");
        code.Should().Be(0);
        output.Should().Contain("Example").And.Contain("datmount " + command);
    }

    [Fact]
    public async Task The_version_names_the_program()
    {
        (int code, string output, _) = await Datmount.RunAsync(_home, "--version");
        code.Should().Be(0);
        output.Should().StartWith("datmount 0.");
    }

    [Theory]
    [InlineData("--no-such-option")]
    [InlineData(UnknownKey)]
    [InlineData("mount", UnknownKey)]
    [InlineData("unmount")]
    [InlineData(UnknownKey, "/nowhere", "--peer", "nonsense")]
    [InlineData(UnknownKey, "/nowhere", "--io-timeout", "soon")]
    [InlineData(UnknownKey, "/nowhere", "-o", "no_such_option")]
    [InlineData("not a key", "/nowhere", "--offline")]
    [InlineData("dat://" + UnknownKey + "+label", "/nowhere", "--offline")]
    public async Task A_command_line_that_makes_no_sense_is_code_2(params string[] arguments)
    {
        (int code, _, string errors) = await Datmount.RunAsync(_home, arguments);
        code.Should().Be(2);
        errors.Should().NotBeEmpty().And.NotContain("   at ");
    }

    [Fact]
    public async Task A_drive_of_which_nothing_is_known_and_no_peer_is_named_is_code_3_and_says_what_to_do()
    {
        (int code, _, string errors) = await Datmount.RunAsync(_home, UnknownKey, _home.Folder("mnt"), "--no-discovery");
        code.Should().Be(3);
        errors.Should().Contain("--peer").And.NotContain(UnknownKey);
    }

    [Fact]
    public async Task A_peer_that_does_not_answer_is_code_3_and_named()
    {
        (int code, _, string errors) = await Datmount.RunAsync(_home, "export", UnknownKey, _home.File("out"), "--peer", "127.0.0.1:9", "--io-timeout", "1s");
        code.Should().Be(3);
        errors.Should().Contain("127.0.0.1:9").And.Contain("refused");
    }

    [Fact]
    public async Task Nothing_mounted_is_said_plainly_and_as_json()
    {
        (int code, string output, _) = await Datmount.RunAsync(_home, "status");
        (code, output).Should().Be((0, "Nothing is mounted or shared by this user."));
        (await Datmount.RunAsync(_home, "status", "--json")).Should().Be((0, "[]", ""));
    }

    [Fact]
    public async Task Unmounting_what_is_not_mounted_is_code_3()
    {
        (int code, _, string errors) = await Datmount.RunAsync(_home, "unmount", _home.Folder("mnt"));
        code.Should().Be(3);
        errors.Should().Contain("is not a mountpoint of datmount");
    }
}
