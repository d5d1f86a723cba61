using System.Buffers.Binary;
using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>
/// What happens when the owner is found to have signed two histories (hypercore.md §12.4): nothing is overwritten, nothing more is accepted,
/// appended or served, what was verified can still be read, and the proof of it is kept beside the feed.
/// </summary>
public sealed partial class Feed
{
    private const int NodeBytes = 8 + SleepHeader.TreeEntry;

    /// <summary>Begins the file of evidence.</summary>
    private static ReadOnlySpan<byte> ForkMagic => "datmount fork 1\n"u8;

    private void Freeze(Proof proof, in Verdict verdict)
    {
        _forked = true;
        if (_tree.Store.ReadOnly) return;
        byte[] evidence = Evidence(proof, verdict);
        using IRandomAccessFile file = Files.Open(FeedFiles.ForkName, FileUse.ReadWrite)!;
        file.Write(0, evidence);
        file.SetLength(evidence.Length);
        file.Sync();
        Files.Folder.Sync();
    }

    // Our length and signature; their length, signature and block; the block's leaf hash if it came with bytes; the nodes as received.
    private byte[] Evidence(Proof proof, in Verdict verdict)
    {
        const int fixedPart = 16 + 2 * (8 + Ed25519.SignatureSize) + 8 + NodeBytes;
        byte[] evidence = new byte[fixedPart + NodeBytes * proof.Nodes.Count];
        Span<byte> at = evidence;
        ForkMagic.CopyTo(at);
        at = at[16..];
        BinaryPrimitives.WriteInt64BigEndian(at, Length);
        _tree.TryGetSignature(Length, at[8..]);
        at = at[(8 + Ed25519.SignatureSize)..];
        BinaryPrimitives.WriteInt64BigEndian(at, verdict.ClaimedLength);
        if (proof.Signature is { } signature) signature.Span.CopyTo(at[8..]);
        at = at[(8 + Ed25519.SignatureSize)..];
        BinaryPrimitives.WriteInt64BigEndian(at, proof.Index);
        at = at[8..];
        if (proof.Value is { } value) WriteNode(at, TreeHash.Leaf(proof.Index, value.Span));
        foreach (TreeNode node in proof.Nodes)
        {
            at = at[NodeBytes..];
            WriteNode(at, node);
        }

        return evidence;
    }

    private static void WriteNode(Span<byte> into, in TreeNode node)
    {
        BinaryPrimitives.WriteInt64BigEndian(into, node.Index);
        TreeFile.Encode(node, into[8..]);
    }
}
