using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// The last signature that verified: the answers to a burst of requests all carry the same one (wire-protocol.md §8.3 point 4). May be shared
/// by threads.
/// </summary>
internal sealed class SignatureCache
{
    private volatile Entry? _last;

    /// <summary>True when the owner of the key signed the root hash, checked now or the last time.</summary>
    public bool Verify(FeedKey key, in NodeHash root, ReadOnlySpan<byte> signature64)
    {
        if (_last is { } last && last.Root == root && last.Key == key && signature64.SequenceEqual(last.Signature)) return true;
        if (!VerifyNow(key, root, signature64)) return false;
        _last = new Entry(key, root, signature64.ToArray());
        return true;
    }

    /// <summary>True when the owner of the key signed the root hash.</summary>
    public static bool VerifyNow(FeedKey key, in NodeHash root, ReadOnlySpan<byte> signature64)
    {
        Span<byte> message = stackalloc byte[NodeHash.Size];
        root.CopyTo(message);
        return Ed25519.Verify(key, message, signature64);
    }

    private sealed record Entry(FeedKey Key, NodeHash Root, byte[] Signature);
}
