using DatFs.Crypto;
using DatFs.Feeds;

namespace DatMount.Simulation;

/// <summary>
/// What the blocks of a feed are, as its owner meant them. A block counts for ever once its append was acknowledged, or once anybody else has
/// seen it: nothing else may ever be found at its index.
/// </summary>
internal sealed class FeedTruth
{
    private readonly World _world;
    private readonly string _name;
    private readonly List<byte[]> _blocks = [];
    private readonly List<byte[][]> _attempts = [];
    private long _seen;

    public FeedTruth(World world, string name, Rng rng)
    {
        _world = world;
        _name = name;
        using SecretKey key = SecretKey.FromSeed(rng.Bytes(SecretKey.SeedSize));
        Key = key.PublicKey;
        Secret = new byte[SecretKey.Size];
        key.CopyTo(Secret);
    }

    public FeedKey Key { get; }

    public byte[] Secret { get; }

    /// <summary>Blocks that count.</summary>
    public int Length => _blocks.Count;

    public byte[] this[long index] => _blocks[(int)index];

    /// <summary>The owner is about to append.</summary>
    public void Attempt(byte[][] blocks) => _attempts.Add(blocks);

    /// <summary>An append was acknowledged, with the index of its first block.</summary>
    public void Acknowledge(long first, byte[][] blocks)
    {
        _world.Check(first == Length, $"{_name}: an append was said to begin at {first} and not at {Length}");
        _attempts.Remove(blocks);
        _blocks.AddRange(blocks);
    }

    /// <summary>An append failed and the feed goes on without it.</summary>
    public void Withdraw(byte[][] blocks) => _attempts.Remove(blocks);

    /// <summary>The owner came back: what it had attempted either counts now or never was.</summary>
    public void Reconcile(Feed feed)
    {
        _world.Check(feed.Length >= Length, $"{_name}: of {Length} acknowledged blocks the owner kept {feed.Length}");
        foreach (byte[][] attempt in _attempts)
        {
            if (feed.Length >= Length + attempt.Length && Holds(feed, Length, attempt[0])) _blocks.AddRange(attempt);
        }

        _attempts.Clear();
        _world.Check(Length == feed.Length, $"{_name}: the owner came back with {feed.Length} blocks, which is the end of no append; {Length} expected");
        _world.Check(_seen <= Length, $"{_name}: others have seen {_seen} blocks, and the owner came back with {Length}");
    }

    /// <summary>Somebody other than the owner holds a block.</summary>
    public void See(string who, long index, ReadOnlySpan<byte> bytes)
    {
        _seen = Math.Max(_seen, index + 1);
        Compare(who, index, bytes);
    }

    /// <summary>Somebody knows of so many blocks.</summary>
    public void SeeLength(string who, long length)
    {
        _seen = Math.Max(_seen, length);
        long most = Length + _attempts.Sum(attempt => (long)attempt.Length);
        _world.Check(length <= most, $"{who} believes in {length} blocks of {_name}, of which at most {most} were ever signed");
    }

    /// <summary>Somebody read a block.</summary>
    public void Compare(string who, long index, ReadOnlySpan<byte> bytes) =>
        _world.Check(IsRight(index, bytes), $"{who} has wrong bytes in block {index} of {_name}");

    private bool IsRight(long index, ReadOnlySpan<byte> bytes)
    {
        if (index < Length) return bytes.SequenceEqual(_blocks[(int)index]);

        // Of what is being appended the first may fail, and the second take its place.
        long first = Length;
        foreach (byte[][] attempt in _attempts)
        {
            foreach (long start in (long[])[Length, first])
            {
                if (index >= start && index - start < attempt.Length && bytes.SequenceEqual(attempt[index - start])) return true;
            }

            first += attempt.Length;
        }

        return false;
    }

    private static bool Holds(Feed feed, long index, byte[] bytes)
    {
        if (!feed.TryRead(index, out BlockLease block)) return false;
        using (block) return block.Memory.Span.SequenceEqual(bytes);
    }
}
