using DatFs.Feeds;

namespace DatMount.Simulation;

/// <summary>What a liar does to those who talk with it.</summary>
internal enum Lie
{
    /// <summary>Blocks with a bit turned over, or of another length.</summary>
    WrongBytes,
    /// <summary>Proofs with nodes changed, left out, added or out of order.</summary>
    WrongNodes,
    /// <summary>Signatures with a bit turned over, left out, or of somebody else.</summary>
    WrongSignature,
    /// <summary>The right proof of another block, under its own number or that which was asked for.</summary>
    WrongBlock,
    /// <summary>Bytes where hashes were asked for, and the other way round.</summary>
    WrongKind,
    /// <summary>Hashes of two neighbours with a wrong border between them, which no hash covers (hypercore.md §12.6).</summary>
    ShiftedSizes,
    /// <summary>No answers.</summary>
    Silence,
    /// <summary>Answers after seconds.</summary>
    Slowness,
    /// <summary>Claims of blocks that it has not, or that do not exist.</summary>
    FalseClaims,
    /// <summary>Takes back what it was asked for, and offers it again.</summary>
    Teasing,
    /// <summary>Asks for everything, again and again, also for what nobody has.</summary>
    Greed,
    /// <summary>Sends blocks nobody asked for.</summary>
    Unasked,
    /// <summary>Bits turned over in what it sends, below all messages.</summary>
    Garble,
    /// <summary>Ends connections at any moment.</summary>
    Departure,
    /// <summary>Connects and says nothing at all.</summary>
    Muteness,
    /// <summary>Says that it is another honest peer.</summary>
    FalseName,
}

/// <summary>Makes right proofs wrong.</summary>
internal static class Lies
{
    public static Proof Apply(Lie lie, Proof proof, Rng rng) => lie switch
    {
        Lie.WrongBytes when proof.Value is { } value => proof with { Value = Wrong(value.ToArray(), rng) },
        Lie.WrongNodes => proof with { Nodes = Wrong([.. proof.Nodes], rng) },
        Lie.WrongSignature => proof with { Signature = proof.Signature is { } right && rng.Chance(0.7) ? Flipped(right.ToArray(), rng) : rng.Chance(0.5) ? null : rng.Bytes(64) },
        Lie.WrongKind => proof.Value is null ? proof with { Value = rng.Bytes(rng.Below(100)) } : proof with { Value = null },
        Lie.ShiftedSizes when proof is { Value: null, Nodes.Count: > 1 } => proof with { Nodes = Shifted([.. proof.Nodes], rng) },
        _ => proof,
    };

    private static byte[] Wrong(byte[] bytes, Rng rng) => rng.Below(3) switch
    {
        0 => [.. bytes, .. rng.Bytes(1 + rng.Below(50))],
        1 when bytes.Length > 0 => bytes[..rng.Below(bytes.Length)],
        _ => bytes.Length > 0 ? Flipped(bytes, rng) : [0],
    };

    private static byte[] Flipped(byte[] bytes, Rng rng)
    {
        bytes[rng.Below(bytes.Length)] ^= (byte)(1 << rng.Below(8));
        return bytes;
    }

    private static List<TreeNode> Wrong(List<TreeNode> nodes, Rng rng)
    {
        int at = rng.Below(nodes.Count);
        int what = nodes.Count == 0 ? 0 : rng.Below(7);
        switch (what)
        {
            case 0:
                nodes.Insert(at, new TreeNode(rng.Below(1000), NodeHash.From(rng.Bytes(NodeHash.Size)), rng.Below(10_000)));
                break;
            case 1:
                nodes.RemoveAt(at);
                break;
            case 2:
                nodes.Add(nodes[at]);
                break;
            case 3:
                rng.Shuffle(nodes);
                break;
            case 4:
                nodes[at] = nodes[at] with { Index = rng.Chance(0.5) ? nodes[at].Index ^ 1 : rng.Between(0, 1L << 50) };
                break;
            case 5:
                nodes[at] = nodes[at] with { Size = rng.Chance(0.5) ? nodes[at].Size + 1 : rng.Between(0, 1L << 52) };
                break;
            default:
                nodes[at] = nodes[at] with { Hash = NodeHash.From(rng.Bytes(NodeHash.Size)) };
                break;
        }

        return nodes;
    }

    private static List<TreeNode> Shifted(List<TreeNode> nodes, Rng rng)
    {
        if (nodes[0].Index % 2 != 0 || nodes[1].Index % 2 != 0) return nodes;
        long by = rng.Between(-nodes[0].Size, nodes[1].Size);
        nodes[0] = nodes[0] with { Size = nodes[0].Size + by };
        nodes[1] = nodes[1] with { Size = nodes[1].Size - by };
        return nodes;
    }
}
