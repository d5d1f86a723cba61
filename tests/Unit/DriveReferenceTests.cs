using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>What a user may write to name a drive (hyperdrive.md §6.5).</summary>
public sealed class DriveReferenceTests
{
    private const string Key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [Theory]
    [InlineData(Key, null, "/")]
    [InlineData("dat://" + Key, null, "/")]
    [InlineData("DAT://" + Key + "/", null, "/")]
    [InlineData("dat://" + Key + "+12", 12L, "/")]
    [InlineData("dat://" + Key + "+0/a/b", 0L, "/a/b")]
    [InlineData(Key + "/a%20b/%C3%BC%25", null, "/a b/ü%")]
    [InlineData(Key + "+9007199254740991", 9007199254740991L, "/")]
    public void A_link_names_a_key_a_version_and_a_path(string text, long? version, string path)
    {
        DriveReference reference = DriveReference.Parse(text);
        reference.Key!.Value.ToHex().Should().Be(Key);
        (reference.Version, reference.Path.Text).Should().Be((version, path));
    }

    [Theory]
    [InlineData("https://host.example/" + Key)]
    [InlineData("dat.land/" + Key + "/")]
    [InlineData("host/name-" + Key)]
    [InlineData("https://host.example/short-0123/" + Key + "?x=1")]
    public void A_key_is_found_in_other_texts_as_the_dat_tool_finds_it(string text) => DriveReference.Parse(text).Key!.Value.ToHex().Should().Be(Key);

    [Fact]
    public void Upper_case_digits_name_the_same_key() => DriveReference.Parse(Key.ToUpperInvariant()).Key!.Value.ToHex().Should().Be(Key);

    [Theory]
    [InlineData("")]
    [InlineData("not a key")]
    [InlineData("-o")]
    [InlineData("dat://nodot")]
    [InlineData("dat://exam ple.org")]
    [InlineData("dat://example.org+label")]
    [InlineData(Key + "0")]
    [InlineData(Key + Key)]
    [InlineData("dat://" + Key + "+label")]
    [InlineData("dat://" + Key + "+")]
    [InlineData("dat://" + Key + "+9007199254740992")]
    [InlineData("dat://" + Key + "/a%2Fb")]
    [InlineData("dat://" + Key + "/a%00b")]
    [InlineData("dat://" + Key + "/100%")]
    [InlineData("dat://" + Key + "/%zz")]
    public void What_names_no_drive_is_refused_without_repeating_a_key(string text) =>
        FluentActions.Invoking(() => DriveReference.Parse(text)).Should().Throw<DatException>().Where(e => e.Error == DatError.Invalid)
            .And.Message.Should().NotContain(Key);

    [Theory]
    [InlineData("dat://example.org", null, "", null)]
    [InlineData("DAT://Example.org+5/a%20b", 5L, "/a b", null)]
    [InlineData("example.org", null, "", "example.org")]
    [InlineData("example.org/pictures", null, "/pictures", null)]
    [InlineData("bücher.example", null, "", "bücher.example")]
    public void A_host_is_taken_as_a_name_to_look_up(string text, long? version, string path, string? kept)
    {
        DriveReference reference = DriveReference.Parse(text);
        (reference.Host, reference.Key, reference.Version, reference.Name).Should().Be((text.Replace("dat://", "", StringComparison.OrdinalIgnoreCase).Split('/', '+')[0], null, version, kept));
        reference.Path.Should().Be(path.Length == 0 ? DrivePath.Root : DrivePath.From(path));
        reference.With(FeedKey.From(new byte[32])).Should().Match<DriveReference>(one => one.Host == null && one.Key != null && one.Version == version && one.Path == reference.Path);
    }

    [Fact]
    public void An_existing_folder_is_a_folder_whatever_it_is_called()
    {
        using TempFolder folder = TempFolder.Create();
        string named = folder.Folder(Key[..12]);
        DriveReference reference = DriveReference.Parse(named);
        reference.Folder.Should().Be(named);
        reference.Key.Should().BeNull();
    }

    [Fact]
    public void Some_digits_are_the_beginning_of_a_key_or_a_name()
    {
        DriveReference reference = DriveReference.Parse("AbC4");
        (reference.Prefix, reference.Name).Should().Be(("abc4", "AbC4"));
        DriveReference.Parse("abc").Prefix.Should().BeNull("three digits would match too much");
        DriveReference.Parse("my.photos-2018").Name.Should().Be("my.photos-2018");
    }
}
