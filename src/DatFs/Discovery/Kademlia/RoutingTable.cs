using System.Runtime.InteropServices;

namespace DatFs.Discovery.Kademlia;

/// <summary>A node of a <see cref="RoutingTable"/> and what is known of it.</summary>
internal sealed class KnownNode(Contact contact, long at)
{
    public Contact Contact { get; } = contact;

    public NodeId Id => Contact.Id!.Value;

    /// <summary>When it answered last.</summary>
    public long Answered { get; set; } = at;

    /// <summary>Requests in a row that it did not answer while others did.</summary>
    public int Failures { get; set; }

    /// <summary>What it gave us last to be shown again.</summary>
    public byte[]? Token { get; set; }

    /// <summary>When it gave it.</summary>
    public long TokenAt { get; set; }
}

/// <summary>
/// The nodes that answered, in buckets by how many bits they share with our own id: many near us, some everywhere. Bounded by the size of
/// a bucket, and by how many nodes one public host may be. Nodes that answer are never displaced by new ones: whoever stayed long stays on. Used
/// under its owner's lock.
/// </summary>
internal sealed class RoutingTable(NodeId self)
{
    /// <summary>Nodes of a bucket, of an answer, and of those that store a record (discovery.md §6.1).</summary>
    public const int BucketSize = 20;

    /// <summary>Nodes at one public address: behind it may be a few machines, but not a multitude.</summary>
    public const int MaxPerHost = 4;

    /// <summary>Unanswered requests after which a node is dropped.</summary>
    public const int MaxFailures = 3;

    private readonly List<KnownNode>?[] _buckets = new List<KnownNode>?[NodeId.Size * 8];
    private readonly Dictionary<uint, int> _hosts = [];

    /// <summary>Nodes in all.</summary>
    public int Count { get; private set; }

    /// <summary>All nodes.</summary>
    public IEnumerable<KnownNode> All => _buckets.OfType<List<KnownNode>>().SelectMany(bucket => bucket);

    /// <summary>A node answered.</summary>
    public KnownNode? Answered(Contact contact, long now)
    {
        if (contact.Id is not { } id || id == self) return null;
        List<KnownNode> bucket = _buckets[id.SharedBits(self)] ??= [];
        KnownNode? known = bucket.Find(one => one.Id == id);
        if (known is not null && known.Contact.Address == contact.Address)
        {
            (known.Answered, known.Failures) = (now, 0);
            return known;
        }

        // Somebody who claims a known node's id from elsewhere takes its place only when it is gone.
        known ??= bucket.Count < BucketSize ? null : bucket.MaxBy(one => one.Failures);
        if (known is { Failures: 0 } || IsCrowded(contact.Address.Address)) return null;
        if (known is not null) Drop(bucket, known);
        KnownNode added = new(contact, now);
        bucket.Add(added);
        Count++;
        CollectionsMarshal.GetValueRefOrAddDefault(_hosts, contact.Address.Address, out _)++;
        return added;
    }

    /// <summary>A node did not answer, though others do.</summary>
    public void Failed(Contact contact)
    {
        if (Find(contact) is not { } known || ++known.Failures < MaxFailures) return;
        Drop(_buckets[known.Id.SharedBits(self)]!, known);
    }

    /// <summary>A node turned out to be another one.</summary>
    public void Remove(Contact contact)
    {
        if (Find(contact) is { } known) Drop(_buckets[known.Id.SharedBits(self)]!, known);
    }

    /// <summary>The node with this id at this address.</summary>
    public KnownNode? Find(Contact contact) => contact.Id is { } id && id != self
        ? _buckets[id.SharedBits(self)]?.Find(one => one.Contact == contact)
        : null;

    /// <summary>True when a node with this id would find a place, or has one.</summary>
    public bool HasRoomFor(NodeId id) =>
        id != self && (_buckets[id.SharedBits(self)] is not { } bucket || bucket.Count < BucketSize || bucket.Exists(one => one.Id == id || one.Failures > 0));

    /// <summary>Those nearest to a place, nearest first; those that failed lately only when asked for.</summary>
    public KnownNode[] Closest(NodeId target, int count, bool failedToo = false)
    {
        KnownNode[] all = [.. All.Where(one => failedToo || one.Failures == 0)];
        Array.Sort(all, (left, right) => target.CompareDistance(left.Id, right.Id));
        return all.Length <= count ? all : all[..count];
    }

    private bool IsCrowded(uint host) => !AddressRange.IsPrivate(host) && _hosts.GetValueOrDefault(host) >= MaxPerHost;

    private void Drop(List<KnownNode> bucket, KnownNode known)
    {
        bucket.Remove(known);
        Count--;
        ref int left = ref CollectionsMarshal.GetValueRefOrNullRef(_hosts, known.Contact.Address.Address);
        if (--left == 0) _hosts.Remove(known.Contact.Address.Address);
    }
}
