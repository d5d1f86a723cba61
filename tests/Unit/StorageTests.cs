using DatFs.Evidence;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class DiskFolderTests : StorageTests, IDisposable
{
    private readonly TempFolder _temp = TempFolder.Create("storage");

    protected override IStorageFolder Root => new DiskFolder(_temp.File("root"));

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void What_it_creates_belongs_to_the_user_alone()
    {
        if (OperatingSystem.IsWindows()) return;
        Root.Folder("deep").Folder("er").Open("file", FileUse.ReadWrite)!.Dispose();
        File.GetUnixFileMode(_temp.File("root/deep/er")).Should().Be((UnixFileMode)0b111_000_000);
        File.GetUnixFileMode(_temp.File("root/deep/er/file")).Should().Be((UnixFileMode)0b110_000_000);
    }

    [Fact]
    public void A_secret_that_others_can_read_is_refused()
    {
        if (OperatingSystem.IsWindows()) return;
        Root.Open("secret", FileUse.Secret)!.Dispose();
        File.SetUnixFileMode(_temp.File("root/secret"), (UnixFileMode)0b110_100_000);
        FluentActions.Invoking(() => Root.Open("secret", FileUse.Secret)).Should().Throw<DatException>().WithMessage("*read by others*");
    }

    [Fact]
    public void Links_inside_the_folder_are_not_followed()
    {
        File.WriteAllText(_temp.File("outside"), "x");
        Directory.CreateDirectory(_temp.File("root"));
        File.CreateSymbolicLink(_temp.File("root/link"), _temp.File("outside"));
        Directory.CreateSymbolicLink(_temp.File("root/folder"), _temp.Path);
        FluentActions.Invoking(() => Root.Open("link", FileUse.Read)).Should().Throw<DatException>().WithMessage("*symbolic link*");
        FluentActions.Invoking(() => Root.Folder("folder").Open("outside", FileUse.ReadWrite)).Should().Throw<DatException>().WithMessage("*symbolic link*");
    }

    [Fact]
    public void The_folder_itself_may_be_reached_through_a_link()
    {
        Directory.CreateDirectory(_temp.File("real"));
        Directory.CreateSymbolicLink(_temp.File("root"), _temp.File("real"));
        using IRandomAccessFile file = Root.Open("f", FileUse.ReadWrite)!;
        File.Exists(_temp.File("real/f")).Should().BeTrue();
    }

    [Fact]
    public void Freed_ranges_take_no_space()
    {
        if (!OperatingSystem.IsLinux()) return;
        using IRandomAccessFile file = Root.Open("data", FileUse.ReadWrite)!;
        file.Write(0, new byte[1 << 20].Select(_ => (byte)7).ToArray());
        file.PunchHole(4096, (1 << 20) - 8192);
        file.Length.Should().Be(1 << 20);
        byte[] bytes = new byte[1 << 20];
        file.Read(0, bytes).Should().Be(bytes.Length);
        bytes.Count(b => b == 7).Should().Be(8192);
    }
}

public sealed class MemoryFolderTests : StorageTests
{
    protected override IStorageFolder Root { get; } = new MemoryFolder();

    [Fact]
    public void A_far_write_costs_only_itself()
    {
        using IRandomAccessFile file = Root.Open("data", FileUse.ReadWrite)!;
        file.Write(1L << 50, [1]);
        file.Length.Should().Be((1L << 50) + 1);
        Span<byte> around = stackalloc byte[4];
        file.Read((1L << 50) - 2, around).Should().Be(3);
        around.ToArray().Should().Equal(0, 0, 1, 0);
    }
}

/// <summary>What every kind of folder promises.</summary>
public abstract class StorageTests
{
    protected abstract IStorageFolder Root { get; }

    [Fact]
    public void Bytes_written_anywhere_are_read_back_and_gaps_are_zero()
    {
        using IRandomAccessFile file = Root.Open("a", FileUse.ReadWrite)!;
        file.Write(5000, [1, 2, 3]);
        file.Write(1, [9]);
        file.Length.Should().Be(5003);
        byte[] bytes = new byte[5010];
        file.Read(0, bytes).Should().Be(5003);
        bytes[1].Should().Be(9);
        bytes[5000..5003].Should().Equal(1, 2, 3);
        bytes.Count(b => b != 0).Should().Be(4);
        file.Read(5003, bytes).Should().Be(0);
        file.Read(long.MaxValue / 2, bytes).Should().Be(0);
    }

    [Fact]
    public void A_shortened_file_grows_again_with_zeros()
    {
        using IRandomAccessFile file = Root.Open("a", FileUse.ReadWrite)!;
        file.Write(0, [1, 2, 3, 4]);
        file.SetLength(2);
        file.SetLength(4);
        byte[] bytes = new byte[4];
        file.Read(0, bytes).Should().Be(4);
        bytes.Should().Equal(1, 2, 0, 0);
        file.Sync();
    }

    [Fact]
    public void A_hole_keeps_the_size()
    {
        using IRandomAccessFile file = Root.Open("a", FileUse.ReadWrite)!;
        file.Write(0, [1, 2, 3, 4]);
        file.PunchHole(1, 2);
        file.PunchHole(100, 5);
        file.Length.Should().Be(4);
        byte[] bytes = new byte[4];
        file.Read(0, bytes).Should().Be(4);
        if (OperatingSystem.IsLinux()) bytes.Should().Equal(1, 0, 0, 4);
    }

    [Fact]
    public void Reading_creates_nothing()
    {
        Root.Open("a", FileUse.Read).Should().BeNull();
        Root.Folder("b").Open("c", FileUse.Read).Should().BeNull();
        Root.Folder("b").List().Should().BeEmpty();
        Root.Exists("a").Should().BeFalse();
        Root.Exists("b").Should().BeFalse();
        Root.Folder("b").Open("c", FileUse.ReadWrite)!.Dispose();
        Root.Exists("b").Should().BeTrue();
    }

    [Fact]
    public void Names_are_listed_renamed_and_deleted()
    {
        foreach (string name in (string[])["b", "a", "C"]) Root.Open(name, FileUse.ReadWrite)!.Dispose();
        using (IRandomAccessFile file = Root.Open("b", FileUse.ReadWrite)!) file.Write(0, [5]);
        Root.List().Should().Equal("C", "a", "b");
        Root.Rename("b", "a");
        Root.Delete("C");
        Root.Delete("gone");
        Root.Sync();
        Root.List().Should().Equal("a");
        using IRandomAccessFile renamed = Root.Open("a", FileUse.Read)!;
        renamed.Length.Should().Be(1);
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("a\\b")]
    [InlineData("a\0b")]
    public void A_name_never_leads_out_of_the_folder(string name)
    {
        FluentActions.Invoking(() => Root.Open(name, FileUse.Read)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => Root.Folder(name)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => Root.Delete(name)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_file_held_exclusively_is_refused_to_others_with_the_folders_name()
    {
        IRandomAccessFile held = Root.Open("bitfield", FileUse.Exclusive)!;
        foreach (FileUse use in Enum.GetValues<FileUse>())
        {
            FluentActions.Invoking(() => Root.Open("bitfield", use)).Should().Throw<DatException>()
                .Where(e => e.Error == DatError.Locked && e.Message.Contains(Root.DisplayName));
        }

        held.Dispose();
        using IRandomAccessFile again = Root.Open("bitfield", FileUse.Exclusive)!;
    }

    [Fact]
    public void A_file_opened_for_reading_cannot_be_written()
    {
        Root.Open("a", FileUse.ReadWrite)!.Dispose();
        using IRandomAccessFile file = Root.Open("a", FileUse.Read)!;
        FluentActions.Invoking(() => file.Write(0, [1])).Should().Throw<UnauthorizedAccessException>();
        file.Length.Should().Be(0);
    }
}
