using CsCheck;
using DatFs.Discovery;
using DatFs.Discovery.Server;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>The server's table against the obvious way to keep one.</summary>
public sealed class NamedTableTests
{
    private static readonly AddressLimits s_limits = new(Ports: 2, Names: 3);

    [Fact]
    public void It_holds_what_a_plain_list_would_hold()
    {
        Gen.Select(Gen.Int[0, 9], Gen.UInt[0, 5], Gen.UInt[0, 3], Gen.UShort[0, 3], Gen.Int[1, 4]).Array[0, 200].Sample(steps =>
        {
            NamedTable table = new(new TableLimits(Entries: 12, PerName: 5, LifetimeSeconds: 20));
            List<NamedEntry> plain = [];
            int now = 1000;
            foreach ((int what, uint name, uint address, ushort port, int pause) in steps)
            {
                now += pause;
                NamedEntry entry = new(new Name20(name, 0, name), new Ipv4Peer(address, port), now, 0);
                bool Same(NamedEntry one) => one.Name == entry.Name && one.Peer == entry.Peer;
                table.Expire(now);
                plain.RemoveAll(one => now - one.Seen >= 20);
                if (what < 7)
                {
                    Addition expected = Expect(plain, entry, Same);
                    if (table.Add(entry, now, s_limits) != expected) return false;
                }
                else if (table.Remove(entry.Name, entry.Peer) != plain.RemoveAll(Same) > 0)
                {
                    return false;
                }

                List<NamedEntry> all = [];
                table.Copy(0, table.SlotCount, now, all);
                if (!all.ToHashSet().SetEquals(plain) || all.Count != plain.Count || table.Count != plain.Count) return false;
                if (table.Names != plain.Select(one => one.Name).Distinct().Count()) return false;
                NamedEntry[] chosen = new NamedEntry[3];
                int count = table.Choose(entry.Name, now, Random.Shared.NextDouble, chosen);
                NamedEntry[] named = [.. plain.Where(one => one.Name == entry.Name)];
                if (count != Math.Min(3, named.Length) || chosen.Take(count).Distinct().Count() != count || !chosen.Take(count).All(named.Contains)) return false;
            }

            return true;
        }, iter: 3000);
    }

    [Fact]
    public void Slots_of_what_left_are_used_again()
    {
        NamedTable table = new(new TableLimits(Entries: 100, PerName: 5, LifetimeSeconds: 20));
        for (int i = 0; i < 10_000; i++) table.Add(new NamedEntry(new Name20((ulong)i, 0, 0), new Ipv4Peer((uint)i, 1), i / 100, 0), i / 100, s_limits);
        table.SlotCount.Should().BeLessThanOrEqualTo(101);
        table.Evicted.Should().Be(9900);
    }

    private static Addition Expect(List<NamedEntry> plain, NamedEntry entry, Predicate<NamedEntry> same)
    {
        int known = plain.FindIndex(same);
        if (known >= 0)
        {
            bool older = plain[known].Seen < entry.Seen;
            if (!older) return Addition.Refreshed;
            plain.RemoveAt(known);
            plain.Add(entry);
            return Addition.Refreshed;
        }

        NamedEntry[] mine = [.. plain.Where(one => one.Peer.Address == entry.Peer.Address)];
        int ports = mine.Count(one => one.Name == entry.Name);
        if (ports >= s_limits.Ports || (ports == 0 && mine.Select(one => one.Name).Distinct().Count() >= s_limits.Names)) return Addition.Refused;
        NamedEntry[] named = [.. plain.Where(one => one.Name == entry.Name)];
        if (named.Length >= 5) plain.Remove(named.MinBy(one => one.Seen));
        if (plain.Count >= 12) plain.RemoveAt(0);
        plain.Add(entry);
        return Addition.New;
    }
}
