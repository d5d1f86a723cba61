using System.Runtime.InteropServices;

namespace DatFs.Discovery.Server;

/// <summary>Messages one address may send: so many at once, and so many a second in the long run.</summary>
internal readonly record struct MessageRate(int Burst, int PerSecond);

/// <summary>A token bucket for each address that sent lately. Used by one thread at a time.</summary>
internal sealed class AddressBuckets(TimeProvider time)
{
    /// <summary>Addresses remembered. When there are more, those with full buckets are forgotten; if none has one, all are.</summary>
    public const int MaxAddresses = 1 << 17;

    private readonly Dictionary<uint, Bucket> _buckets = [];

    /// <summary>True when the address may send one more message now.</summary>
    public bool TryTake(uint address, MessageRate rate)
    {
        long now = time.GetTimestamp();
        ref Bucket bucket = ref CollectionsMarshal.GetValueRefOrAddDefault(_buckets, address, out bool known);
        double left = known ? Math.Min(rate.Burst, bucket.Left + time.GetElapsedTime(bucket.At, now).TotalSeconds * rate.PerSecond) : rate.Burst;
        bool taken = left >= 1;
        bucket = new Bucket(taken ? left - 1 : left, now, rate);
        if (_buckets.Count > MaxAddresses) Forget(now);
        return taken;
    }

    private void Forget(long now)
    {
        foreach ((uint address, Bucket bucket) in _buckets)
            if (bucket.Left + time.GetElapsedTime(bucket.At, now).TotalSeconds * bucket.Rate.PerSecond >= bucket.Rate.Burst) _buckets.Remove(address);
        if (_buckets.Count > MaxAddresses) _buckets.Clear();
    }

    private readonly record struct Bucket(double Left, long At, MessageRate Rate);
}
