using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Posix;

public sealed class FuseMountTests
{
    [Fact]
    public async Task Lists_and_reads_a_mounted_tree()
    {
        var fs = new TreeFs();
        fs.File("hello.txt", "hello dat\n");
        fs.Folder("docs");
        fs.File("docs/größe.md", "# size");
        fs.Symlink("link", "docs/größe.md");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);

        (int exit, string listing, string error) = await Shell.RunAsync("ls", "-lai", mounted.Folder);
        exit.Should().Be(0, error);
        listing.Should().Contain("hello.txt").And.Contain("docs").And.Contain("link -> docs/größe.md");
        (await Shell.RunAsync("cat", mounted["hello.txt"])).Out.Should().Be("hello dat\n");
        (await Shell.RunAsync("cat", mounted["link"])).Out.Should().Be("# size");
        (await Shell.RunAsync("stat", "-c", "%i %s %a %F %Y %h", mounted["hello.txt"])).Out.Should()
            .Be($"{fs.At("hello.txt").FileNumber} 10 644 regular file 1500000000 1\n");
        (await Shell.RunAsync("cat", mounted["missing"])).Error.Should().Contain("No such file or directory");
    }
}
