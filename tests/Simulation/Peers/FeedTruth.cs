using DatFs.Crypto;

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

    /// <summary>An append was acknowledged.</summary>
    public void Acknowledge(byte[][] blocks)
    {
        int at = _attempts.IndexOf(blocks);
        _world.Check(at == 0, $"{_name}: appends were acknowledged out of their order");
        _attempts.RemoveAt(at);
        _blocks.AddRange(blocks);
    }

    /// <summary>The owner came back with so many blocks: what it had attempted either counts now or never was.</summary>
    public void Reconcile(long length)
    {
        _world.Check(length >= Length, $"{_name}: of {Length} acknowledged blocks the owner kept {length}");
        foreach (byte[][] attempt in _attempts)
        {
            if (Length >= length) break;
            _blocks.AddRange(attempt);
        }

        _attempts.Clear();
        _world.Check(Length == length, $"{_name}: the owner came back with {length} blocks, which is the end of no append; {Length} expected");
        _world.Check(_seen <= length, $"{_name}: others have seen {_seen} blocks, and the owner came back with {length}");
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
    public void Compare(string who, long index, ReadOnlySpan<byte> bytes)
    {
        byte[]? right = Find(index);
        _world.Check(right is not null && bytes.SequenceEqual(right), $"{who} has wrong bytes in block {index} of {_name}");
    }

    private byte[]? Find(long index)
    {
        if (index < Length) return _blocks[(int)index];
        long at = index - Length;
        foreach (byte[][] attempt in _attempts)
        {
            if (at < attempt.Length) return attempt[at];
            at -= attempt.Length;
        }

        return null;
    }
}
