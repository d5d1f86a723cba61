using System.Net;
using System.Text.Json;
using DatFs.Discovery;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

public sealed class PeerCacheTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly MemoryFolder _folder = new();

    [Fact]
    public async Task What_worked_is_named_after_a_restart_with_the_right_to_private_addresses()
    {
        await using (PeerCache before = PeerCache.Open(_folder, _time))
        {
            before.Worked(IPEndPoint.Parse("192.0.2.7:3282"), toldPrivately: false);
            before.Worked(IPEndPoint.Parse("192.168.1.9:3282"), toldPrivately: true);
            before.Failed(IPEndPoint.Parse("192.0.2.99:1"));
        }

        await using PeerCache cache = PeerCache.Open(_folder, _time);

        (await NamedAsync(cache)).Should().BeEquivalentTo([FakeSource.Sighting("192.0.2.7:3282"), FakeSource.Sighting("192.168.1.9:3282", true)]);
        cache.Status.Health.Should().Be(SourceHealth.Up);
    }

    [Fact]
    public async Task The_best_eight_are_named_at_once_and_the_others_after_them()
    {
        await using PeerCache cache = PeerCache.Open(_folder, _time);
        for (int i = 1; i <= 20; i++)
        {
            cache.Worked(IPEndPoint.Parse($"192.0.2.{i}:3282"), false);
            _time.Advance(TimeSpan.FromMinutes(1));
        }

        for (int i = 19; i <= 20; i++) cache.Failed(IPEndPoint.Parse($"192.0.2.{i}:3282"));
        List<PeerSighting> named = [];
        await using IPeerSearch search = cache.Join(Topic, 0, named.Add);

        named.Select(s => s.Address.Address.GetAddressBytes()[3]).Should().Equal(18, 17, 16, 15, 14, 13, 12, 11);
        _time.Advance(PeerCache.BatchEvery);
        named.Should().HaveCount(16);
        _time.Advance(PeerCache.BatchEvery);
        named.Should().HaveCount(20);
        named[18].Address.Address.GetAddressBytes()[3].Should().Be(20);
        search.Named.Should().Be(20);
        _time.Advance(TimeSpan.FromHours(1));
        named.Should().HaveCount(20);
    }

    [Fact]
    public async Task Two_hundred_are_kept_and_none_for_longer_than_thirty_days()
    {
        await using (PeerCache cache = PeerCache.Open(_folder, _time))
        {
            for (int i = 0; i < PeerCache.MaxEntries + 50; i++)
            {
                cache.Worked(new IPEndPoint(new IPAddress([192, 0, 2, (byte)i]), 3282), false);
                _time.Advance(TimeSpan.FromHours(1));
            }
        }

        (await ReopenedAsync()).Should().HaveCount(PeerCache.MaxEntries).And.NotContain(FakeSource.Sighting("192.0.2.49:3282"));
        _time.Advance(PeerCache.MaxAge - TimeSpan.FromHours(PeerCache.MaxEntries - 19.5));
        (await ReopenedAsync()).Should().HaveCount(PeerCache.MaxEntries - 20);
        _time.Advance(PeerCache.MaxAge);
        (await ReopenedAsync()).Should().BeEmpty();
    }

    [Theory]
    [InlineData("not JSON at all")]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"peers\":[{}]}")]
    [InlineData("{\"peers\":[{\"address\":\"0.0.0.0:0\",\"lastSuccess\":\"2999-01-01T00:00:00+00:00\",\"failures\":-5}]}")]
    [InlineData("{\"peers\":null}")]
    public async Task A_damaged_file_costs_nothing_but_the_memory(string text)
    {
        using (IRandomAccessFile file = _folder.Open(PeerCache.FileName, FileUse.ReadWrite)!) file.Write(0, System.Text.Encoding.UTF8.GetBytes(text));

        await using (PeerCache cache = PeerCache.Open(_folder, _time))
        {
            (await NamedAsync(cache)).Should().BeEmpty();
            cache.Worked(IPEndPoint.Parse("192.0.2.7:3282"), false);
        }

        (await ReopenedAsync()).Should().ContainSingle();
    }

    [Fact]
    public async Task A_file_too_long_is_not_read()
    {
        using (IRandomAccessFile file = _folder.Open(PeerCache.FileName, FileUse.ReadWrite)!) file.SetLength(1L << 40);

        await using PeerCache cache = PeerCache.Open(_folder, _time);

        cache.Status.Problem.Should().Contain("could not be read");
    }

    [Fact]
    public async Task An_entry_from_a_clock_that_was_ahead_grows_old_too()
    {
        CachedPeers ahead = new([new CachedPeer("192.0.2.7:3282", _time.GetUtcNow().AddYears(900), 0, false)]);
        using (IRandomAccessFile file = _folder.Open(PeerCache.FileName, FileUse.ReadWrite)!) file.Write(0, JsonSerializer.SerializeToUtf8Bytes(ahead, PeerCacheJson.Default.CachedPeers));
        await using (PeerCache cache = PeerCache.Open(_folder, _time)) cache.Failed(IPEndPoint.Parse("192.0.2.7:3282"));
        _time.Advance(PeerCache.MaxAge + TimeSpan.FromHours(1));

        (await ReopenedAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task Changes_are_written_after_a_moment_and_only_the_user_can_read_them()
    {
        using TempFolder temporary = TempFolder.Create("cache");
        string path = Path.Combine(temporary.Path, PeerCache.FileName);
        await using PeerCache cache = PeerCache.Open(new DiskFolder(temporary.Path), _time);
        cache.Worked(IPEndPoint.Parse("192.0.2.7:3282"), false);
        File.Exists(path).Should().BeFalse();

        _time.Advance(PeerCache.WriteAfter);

        await ReplicaNode.UntilAsync(() => File.Exists(path), "it is written");
        if (!OperatingSystem.IsWindows()) File.GetUnixFileMode(path).Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public async Task A_drive_finds_its_peer_again_by_the_cache_alone()
    {
        MemoryInternet internet = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        internet.Host("10.0.0.7:3282", owner);
        FakeSource lan = new(SourceKind.Lan, "lan") { AtOnce = [FakeSource.Sighting("10.0.0.7:3282", true)] };
        for (int life = 0; life < 2; life++)
        {
            await using PeerSources sources = new(life == 0 ? [lan] : [], new FakeNetwork(), _time);
            await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = _time });
            await using Swarm swarm = new(reader.Replicator, new SwarmOptions { Sources = sources, Cache = PeerCache.Open(_folder, _time), Dial = internet.From("10.0.0.1:1") });
            swarm.Join(Topic, 0);

            (await reader.ReadAsync(1)).Should().Equal(ReplicaNode.Block(1));

            swarm.Addresses.Single().NamedBy.Should().Equal(life == 0 ? "lan" : "cache");
        }
    }

    private static SwarmTopic Topic => new(ReplicaNode.KeyOf("x").ToDiscoveryKey());

    private async Task<IReadOnlyList<PeerSighting>> ReopenedAsync()
    {
        await using PeerCache cache = PeerCache.Open(_folder, _time);
        return await NamedAsync(cache);
    }

    private async Task<IReadOnlyList<PeerSighting>> NamedAsync(PeerCache cache)
    {
        List<PeerSighting> named = [];
        FakeTimeProvider time = _time;
        await using IPeerSearch search = cache.Join(Topic, 3282, named.Add);
        DateTimeOffset before = time.GetUtcNow();
        while (time.GetUtcNow() - before < PeerCache.BatchEvery * 30) time.Advance(PeerCache.BatchEvery);
        return named;
    }
}
