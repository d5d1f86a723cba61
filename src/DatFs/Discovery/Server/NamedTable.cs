using System.Runtime.InteropServices;

namespace DatFs.Discovery.Server;

/// <summary>Bounds of a <see cref="NamedTable"/>, and those of one address within it.</summary>
/// <param name="Entries">Entries in all; the one refreshed longest ago makes room.</param>
/// <param name="PerName">Entries of one name.</param>
/// <param name="LifetimeSeconds">How long an entry lives without being refreshed.</param>
internal sealed record TableLimits(int Entries, int PerName, int LifetimeSeconds);

/// <summary>What one address may have.</summary>
/// <param name="Ports">Ports under one name.</param>
/// <param name="Names">Names.</param>
internal readonly record struct AddressLimits(int Ports, int Names);

/// <summary>What became of an entry that was to be added.</summary>
internal enum Addition
{
    New,
    Refreshed,
    Refused,
}

/// <summary>One entry.</summary>
/// <param name="Name">Where it lies.</param>
/// <param name="Peer">What lies there.</param>
/// <param name="Seen">Second of the clock at which it was refreshed last.</param>
/// <param name="Tag">Whatever its owner likes to remember.</param>
internal readonly record struct NamedEntry(Name20 Name, Ipv4Peer Peer, int Seen, byte Tag);

/// <summary>
/// Peers under names, bounded in all, per name and per address (discovery.md §5.7). Entries lie in slots of one array, which keep their
/// place; they hang in a list ordered by when they were refreshed, whose end expires and makes room, and in the array of their name.
/// Used by one thread at a time.
/// </summary>
internal sealed class NamedTable(TableLimits limits)
{
    private const int None = -1;
    private const int FirstSlots = 64;

    private readonly Dictionary<Name20, NameSlots> _names = [];
    private readonly Dictionary<uint, int> _namesOfAddress = [];
    private Slot[] _slots = new Slot[FirstSlots];
    private int _used;
    private int _free = None;
    private int _newest = None;
    private int _oldest = None;

    /// <summary>Entries, those included that expired but were not looked at since.</summary>
    public int Count { get; private set; }

    /// <summary>Names that have entries.</summary>
    public int Names => _names.Count;

    /// <summary>Entries that had to make room for others.</summary>
    public long Evicted { get; private set; }

    /// <summary>Entries that were not refreshed in time.</summary>
    public long Expired { get; private set; }

    /// <summary>Slots that may hold an entry, for <see cref="Copy"/>.</summary>
    public int SlotCount => _used;

    /// <summary>Adds an entry, or refreshes it. An entry never becomes older by that.</summary>
    public Addition Add(NamedEntry entry, int now, AddressLimits own)
    {
        if (IsOver(entry.Seen, now)) return Addition.Refused;
        int found = _names.TryGetValue(entry.Name, out NameSlots? name) ? Find(name, entry.Peer) : None;
        if (found != None)
        {
            ref Slot known = ref _slots[found];
            bool wasOver = IsOver(known.Seen, now);
            known.Tag = entry.Tag;
            if (entry.Seen > known.Seen)
            {
                known.Seen = entry.Seen;
                Unlink(found);
                LinkNewest(found);
            }

            return wasOver ? Addition.New : Addition.Refreshed;
        }

        int ports = name is null ? 0 : PortsOf(name, entry.Peer.Address);
        if (ports >= own.Ports) return Addition.Refused;
        if (ports == 0 && _namesOfAddress.GetValueOrDefault(entry.Peer.Address) >= own.Names) return Addition.Refused;
        if (name is not null && name.Count >= limits.PerName) Evict(OldestOf(name));
        if (Count >= limits.Entries) Evict(_oldest);
        Insert(entry);
        return Addition.New;
    }

    /// <summary>Removes an entry; false when there is none.</summary>
    public bool Remove(Name20 name, Ipv4Peer peer)
    {
        int slot = _names.TryGetValue(name, out NameSlots? slots) ? Find(slots, peer) : None;
        if (slot == None) return false;
        Delete(slot);
        return true;
    }

    /// <summary>When an entry was refreshed last; null = there is none.</summary>
    public int? Seen(Name20 name, Ipv4Peer peer)
    {
        int slot = _names.TryGetValue(name, out NameSlots? slots) ? Find(slots, peer) : None;
        return slot == None ? null : _slots[slot].Seen;
    }

    /// <summary>Fills the span with different entries of a name, chosen at random each time, and answers how many.</summary>
    public int Choose(Name20 name, int now, Func<double> random, Span<NamedEntry> into)
    {
        if (!_names.TryGetValue(name, out NameSlots? slots)) return 0;
        int chosen = 0;
        for (int i = 0; i < slots.Count && chosen < into.Length; i++)
        {
            int at = i + (int)(random() * (slots.Count - i));
            (slots.Items[i], slots.Items[at]) = (slots.Items[at], slots.Items[i]);
            (_slots[slots.Items[i]].Place, _slots[slots.Items[at]].Place) = (i, at);
            ref Slot slot = ref _slots[slots.Items[i]];
            if (!IsOver(slot.Seen, now)) into[chosen++] = new NamedEntry(name, slot.Peer, slot.Seen, slot.Tag);
        }

        return chosen;
    }

    /// <summary>Drops entries that were not refreshed in time.</summary>
    public void Expire(int now)
    {
        while (_oldest != None && IsOver(_slots[_oldest].Seen, now))
        {
            Delete(_oldest);
            Expired++;
        }
    }

    /// <summary>Appends the living entries of a range of slots to a list.</summary>
    public void Copy(int start, int count, int now, List<NamedEntry> into)
    {
        int end = (int)Math.Min((long)start + count, _used);
        for (int i = Math.Max(0, start); i < end; i++)
        {
            ref Slot slot = ref _slots[i];
            if (slot.Name is { } name && !IsOver(slot.Seen, now)) into.Add(new NamedEntry(name.Name, slot.Peer, slot.Seen, slot.Tag));
        }
    }

    private bool IsOver(int seen, int now) => now - seen >= limits.LifetimeSeconds;

    private int Find(NameSlots name, Ipv4Peer peer)
    {
        foreach (int slot in name.Items.AsSpan(0, name.Count))
            if (_slots[slot].Peer == peer) return slot;
        return None;
    }

    private int PortsOf(NameSlots name, uint address)
    {
        int ports = 0;
        foreach (int slot in name.Items.AsSpan(0, name.Count))
            if (_slots[slot].Peer.Address == address) ports++;
        return ports;
    }

    private int OldestOf(NameSlots name)
    {
        int oldest = name.Items[0];
        foreach (int slot in name.Items.AsSpan(0, name.Count))
            if (_slots[slot].Seen < _slots[oldest].Seen) oldest = slot;
        return oldest;
    }

    private void Evict(int slot)
    {
        Delete(slot);
        Evicted++;
    }

    private void Insert(NamedEntry entry)
    {
        int index = _free;
        if (index == None)
        {
            if (_used == _slots.Length) Array.Resize(ref _slots, _used * 2);
            index = _used++;
        }
        else
        {
            _free = _slots[index].Newer;
        }

        ref NameSlots? name = ref CollectionsMarshal.GetValueRefOrAddDefault(_names, entry.Name, out _);
        name ??= new NameSlots(entry.Name);
        if (PortsOf(name, entry.Peer.Address) == 0) CollectionsMarshal.GetValueRefOrAddDefault(_namesOfAddress, entry.Peer.Address, out _)++;
        _slots[index] = new Slot { Name = name, Peer = entry.Peer, Seen = entry.Seen, Tag = entry.Tag, Place = name.Count };
        name.Append(index);
        LinkNewest(index);
        Count++;
    }

    private void Delete(int index)
    {
        Unlink(index);
        ref Slot slot = ref _slots[index];
        NameSlots name = slot.Name!;
        int last = name.Items[--name.Count];
        name.Items[slot.Place] = last;
        _slots[last].Place = slot.Place;
        if (name.Count == 0) _names.Remove(name.Name);
        if (PortsOf(name, slot.Peer.Address) == 0)
        {
            ref int names = ref CollectionsMarshal.GetValueRefOrNullRef(_namesOfAddress, slot.Peer.Address);
            if (--names == 0) _namesOfAddress.Remove(slot.Peer.Address);
        }

        slot = new Slot { Newer = _free };
        _free = index;
        Count--;
    }

    private void LinkNewest(int index)
    {
        ref Slot slot = ref _slots[index];
        (slot.Older, slot.Newer) = (_newest, None);
        if (_newest != None) _slots[_newest].Newer = index;
        else _oldest = index;
        _newest = index;
    }

    private void Unlink(int index)
    {
        ref Slot slot = ref _slots[index];
        if (slot.Older != None) _slots[slot.Older].Newer = slot.Newer;
        else _oldest = slot.Newer;
        if (slot.Newer != None) _slots[slot.Newer].Older = slot.Older;
        else _newest = slot.Older;
    }

    private struct Slot
    {
        /// <summary>Null = the slot is free, and <see cref="Newer"/> the next free one.</summary>
        public NameSlots? Name;
        public Ipv4Peer Peer;
        public int Seen;
        public int Place;
        public int Older;
        public int Newer;
        public byte Tag;
    }

    private sealed class NameSlots(Name20 name)
    {
        public Name20 Name => name;
        public int[] Items = new int[1];
        public int Count;

        public void Append(int slot)
        {
            if (Count == Items.Length) Array.Resize(ref Items, Count * 2);
            Items[Count++] = slot;
        }
    }
}
