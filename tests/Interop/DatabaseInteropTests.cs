using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>Multi-writer databases shared with real hyperdb 3.5.0 over sockets (hyperdb-multiwriter.md §14).</summary>
public sealed class DatabaseInteropTests
{
    [Fact]
    public async Task Node_clones_a_database_of_ours()
    {
        await using OurDatabase ours = await OurDatabase.CreateAsync();
        for (int i = 0; i < 100; i++) await ours.PutAsync($"folder {i % 7}/file {i}", $"value {i}");
        await ours.Database.DeleteAsync("folder 3/file 3", default);
        await using DatabasePeer node = await DatabasePeer.StartAsync(ours.Key);
        await node.ConnectAsync(ours.Listen());

        (await node.WaitAsync("folder 1/file 99", "value 99")).Should().Equal(await ours.GetAsync("folder 1/file 99"));

        (await node.KeysAsync()).Should().Equal(await ours.KeysAsync()).And.HaveCount(99);
        (await node.GetAsync("folder 3/file 3")).Should().BeEmpty();
        (await node.VersionAsync()).Should().Be(Convert.ToHexStringLower(ours.Database.Live.Version));
    }

    [Fact]
    public async Task We_clone_a_database_of_node()
    {
        await using DatabasePeer node = await DatabasePeer.StartAsync();
        for (int i = 0; i < 100; i++) await node.PutAsync($"folder {i % 7}/file {i}", $"value {i}");
        await node.DeleteAsync("folder 3/file 3");
        await using OurDatabase ours = await OurDatabase.CloneAsync(node.Key);
        await ours.ConnectAsync(await node.ListenAsync());

        await ours.WaitAsync("folder 1/file 99", "value 99");

        (await ours.KeysAsync()).Should().Equal(await node.KeysAsync()).And.HaveCount(99);
        (await ours.GetAsync("folder 5/file 12")).Should().Equal(await node.GetAsync("folder 5/file 12"));
    }

    [Fact]
    public async Task Node_authorizes_us_while_connected_and_reads_what_we_write()
    {
        await using DatabasePeer node = await DatabasePeer.StartAsync();
        await node.PutAsync("theirs", "from node");
        await using OurDatabase ours = await OurDatabase.CloneAsync(node.Key);
        await ours.ConnectAsync(await node.ListenAsync());
        await ours.WaitAsync("theirs", "from node");

        await node.AuthorizeAsync(ours.LocalKey);
        await ours.WaitAuthorizedAsync();
        await ours.PutAsync("ours", "from here");

        (await node.WaitAsync("ours", "from here")).Should().Equal(new PeerDatabaseNode(ours.LocalKey, 1, "from here", false));
        await node.PutAsync("ours", "over it");
        await ours.WaitAsync("ours", "over it");
    }

    [Fact]
    public async Task We_authorize_node_while_connected_and_read_what_it_writes()
    {
        await using OurDatabase ours = await OurDatabase.CreateAsync();
        await ours.PutAsync("ours", "from here");
        await using DatabasePeer node = await DatabasePeer.StartAsync(ours.Key);
        await node.ConnectAsync(ours.Listen());
        await node.WaitAsync("ours", "from here");

        (await ours.AuthorizeAsync(node.LocalKey)).Should().BeTrue();
        await node.Node.DoAsync("waitAuthorized", new { key = node.LocalKey });
        await node.PutAsync("theirs", "from node");

        (await ours.WaitAsync("theirs", "from node")).Should().Equal(new PeerDatabaseNode(node.LocalKey, 1, "from node", false));
        await ours.PutAsync("theirs", "over it");
        await node.WaitAsync("theirs", "over it");
    }

    [Fact]
    public async Task What_both_wrote_apart_is_a_conflict_for_both_until_one_resolves_it()
    {
        await using OurDatabase ours = await OurDatabase.CreateAsync();
        await ours.PutAsync("key", "base");
        await using DatabasePeer node = await DatabasePeer.StartAsync(ours.Key);
        await node.ConnectAsync(ours.Listen());
        await node.WaitAsync("key", "base");
        await ours.AuthorizeAsync(node.LocalKey);
        await node.Node.DoAsync("waitAuthorized", new { key = node.LocalKey });
        await node.DisconnectAsync();
        await ours.AloneAsync();

        await ours.PutAsync("key", "ours");
        await node.PutAsync("key", "theirs");
        await node.ConnectAsync(ours.Listen());

        (await ours.WaitAsync("key", "ours", "theirs")).Should().BeEquivalentTo(await node.WaitAsync("key", "ours", "theirs"));
        await ours.PutAsync("key", "both");
        await node.WaitAsync("key", "both");
    }

    [Fact]
    public async Task Three_writers_with_node_in_the_middle_see_the_same()
    {
        await using OurDatabase first = await OurDatabase.CreateAsync();
        await first.PutAsync("first", "1");
        await using DatabasePeer node = await DatabasePeer.StartAsync(first.Key);
        await using OurDatabase third = await OurDatabase.CloneAsync(first.Key);
        await node.ConnectAsync(first.Listen());
        await third.ConnectAsync(await node.ListenAsync());
        await third.WaitAsync("first", "1");

        await first.AuthorizeAsync(node.LocalKey);
        await node.Node.DoAsync("waitAuthorized", new { key = node.LocalKey });
        await node.PutAsync("second", "2");
        await node.AuthorizeAsync(third.LocalKey);
        await third.WaitAsync("second", "2");
        await third.WaitAuthorizedAsync();
        await third.PutAsync("third", "3");

        (await first.WaitAsync("third", "3")).Should().Equal(new PeerDatabaseNode(third.LocalKey, 1, "3", false));
        (await node.WaitAsync("third", "3")).Should().HaveCount(1);
        (await first.KeysAsync()).Should().Equal("first", "second", "third");
        first.Database.Writers.Select(key => key.ToHex()).Should().BeEquivalentTo(first.Key, node.LocalKey, third.LocalKey);
        third.Database.Writers.Should().HaveCount(3);
    }
}
