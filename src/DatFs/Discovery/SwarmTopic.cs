using DatFs.Crypto;

namespace DatFs.Discovery;

/// <summary>What a drive is looked for and announced under, in each network's own form (discovery.md §2).</summary>
public sealed class SwarmTopic
{
    /// <summary>Bytes of the discovery key that DNS, mDNS and the mainline DHT know.</summary>
    public const int ShortSize = 20;

    /// <summary>Domain of the Dat network's DNS and mDNS names.</summary>
    public const string DefaultDomain = "dat.local";

    private readonly byte[] _short;

    /// <summary>Creates the topic of a drive: of its metadata feed, or of a multi-writer drive's first feed.</summary>
    public SwarmTopic(DiscoveryKey key)
    {
        Key = key;
        Span<byte> all = stackalloc byte[DiscoveryKey.Size];
        key.CopyTo(all);
        _short = all[..ShortSize].ToArray();
        Name = Convert.ToHexStringLower(_short);
    }

    /// <summary>All 32 bytes: the target in the dht-rpc network.</summary>
    public DiscoveryKey Key { get; }

    /// <summary>The first 20 bytes: the info hash of the mainline DHT.</summary>
    public ReadOnlySpan<byte> InfoHash => _short;

    /// <summary>The first 20 bytes in 40 lower-case digits: the first label of the DNS and mDNS name.</summary>
    public string Name { get; }

    /// <summary>The discovery key shortened, as logs and metrics show it.</summary>
    public override string ToString() => Key.ToString();
}
