using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Extended attributes (hyperdrive.md §8).</summary>
public sealed class XattrTests : FakeDriveTests
{
    [Theory]
    [InlineData("/f", "user.dat.version", "2")]
    [InlineData("/f", "user.dat.seq", "1")]
    [InlineData("/f", "user.dat.writer", "w")]
    [InlineData("/f", "user.dat.blocks", "2")]
    [InlineData("/f", "user.dat.local", "65536")]
    [InlineData("/.dat/versions/1/f", "user.dat.version", "1")]
    [InlineData("/d", "user.dat.version", "2")]
    [InlineData("/", "user.dat.version", "2")]
    [InlineData("/d", "user.dat.seq", null)]
    [InlineData("/d", "user.dat.blocks", null)]
    [InlineData("/d/g", "user.dat.writer", null)]
    [InlineData("/f", "user.dat.other", null)]
    [InlineData("/f", "user.dat.", null)]
    [InlineData("/f", "security.capability", null)]
    [InlineData("/f", "system.posix_acl_access", null)]
    [InlineData("/.dat/log", "user.dat.version", null)]
    public async Task An_attribute_answers_by_name(string path, string name, string? value)
    {
        Drive.Publish(("/f", FakeEntry.File(new byte[65537]) with { Writer = "w" }));
        Drive.Publish(("/d/g", FakeEntry.File("")));
        Drive.Local = _ => 65536;
        await using DatFileSystem fs = new(Drive);
        NodeInfo node = await fs.NodeAsync(path);
        (await GetAsync(fs, node.Id, name)).Should().Be(value ?? "<NoAttribute>");
    }

    [Fact]
    public async Task The_key_is_told_on_request_everywhere()
    {
        Drive.Publish(("/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        foreach (string path in new[] { "/", "/f", "/.dat", "/.dat/versions/1/f" })
            (await GetAsync(fs, (await fs.NodeAsync(path)).Id, "user.dat.key")).Should().Be(Drive.Key.ToHex());
    }

    [Fact]
    public async Task Attributes_are_not_listed()
    {
        Drive.Publish(("/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        (await fs.ListXattrAsync((await fs.NodeAsync("/f")).Id, default, default)).Value.Should().Be(0);
        (await fs.ListXattrAsync(new NodeId(99), default, default)).Error.Should().Be(FsError.Stale);
    }

    [Fact]
    public async Task A_buffer_too_small_is_refused_and_none_asks_for_the_size()
    {
        await using DatFileSystem fs = new(Drive);
        ReadOnlyMemory<byte> key = FsCalls.Utf8("user.dat.key");
        (await fs.GetXattrAsync(NodeId.Root, key, default, default)).Value.Should().Be(64);
        (await fs.GetXattrAsync(NodeId.Root, key, new byte[63], default)).Error.Should().Be(FsError.Range);
        (await fs.GetXattrAsync(NodeId.Root, key, new byte[64], default)).Value.Should().Be(64);
    }

    private static async Task<string> GetAsync(DatFileSystem fs, NodeId node, string name)
    {
        byte[] into = new byte[200];
        Result<int> size = await fs.GetXattrAsync(node, FsCalls.Utf8(name), into, default);
        return size.Ok ? System.Text.Encoding.UTF8.GetString(into, 0, size.Value) : $"<{size.Error}>";
    }
}
