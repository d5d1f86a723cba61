using DatFs.Encoding;
using DatFs.Feeds;

namespace DatFs.Wire;

/// <summary>
/// Data (wire-protocol.md §4.9) by hand, straight from and to the frame: the value is never copied on the way in, and on the way
/// out only once, by the cipher. Written as a head (up to the value's first byte), the value itself, and a tail.
/// </summary>
internal static class DataCodec
{
    /// <summary>Two for each of 53 levels (§9.1).</summary>
    public const int MaxNodes = 2 * 53;

    public const int SignatureSize = 64;

    private const int TagSize = 1;
    private const int IndexField = 1;
    private const int ValueField = 2;
    private const int NodeField = 3;
    private const int SignatureField = 4;
    private const int NodeIndexField = 1;
    private const int NodeHashField = 2;
    private const int NodeSizeField = 3;

    /// <summary>Reads a body; the proof's memory lies inside it. False when malformed.</summary>
    public static bool TryDecode(ReadOnlyMemory<byte> body, out Proof? proof)
    {
        proof = null;
        ulong? index = null;
        ReadOnlyMemory<byte>? value = null, signature = null;
        int nodeCount = 0;
        FieldReader fields = new(body.Span);
        while (fields.Next())
        {
            bool ok;
            ReadOnlySpan<byte> bytes;
            switch (fields.Field)
            {
                case IndexField:
                    ok = fields.ReadNumber(out ulong number);
                    index = number;
                    break;
                case ValueField:
                    ok = fields.ReadBytes(out bytes);
                    value = body.Slice(fields.Offset - bytes.Length, bytes.Length);
                    break;
                case NodeField:
                    ok = fields.ReadBytes(out _);
                    nodeCount++;
                    break;
                case SignatureField:
                    ok = fields.ReadBytes(out bytes);
                    signature = body.Slice(fields.Offset - bytes.Length, bytes.Length);
                    break;
                default:
                    ok = fields.Skip();
                    break;
            }

            if (!ok) return false;
        }

        if (fields.Malformed || index is null) return false;
        if (nodeCount > MaxNodes || signature is { Length: not SignatureSize }) ProtocolViolation.ThrowProofBounds();
        TreeNode[] nodes = nodeCount == 0 ? [] : new TreeNode[nodeCount];
        if (!TryDecodeNodes(body.Span, nodes)) return false;
        proof = new Proof((long)index.Value, value, nodes, signature);
        return true;
    }

    /// <summary>Bytes before the value.</summary>
    public static int HeadSize(Proof proof) =>
        TagSize + NumberSize(proof.Index) + (proof.Value is { } value ? TagSize + Varint.SizeOf((ulong)value.Length) : 0);

    /// <summary>Bytes after the value.</summary>
    public static int TailSize(Proof proof)
    {
        int size = proof.Signature is { } signature ? TagSize + Varint.SizeOf((ulong)signature.Length) + signature.Length : 0;
        foreach (TreeNode node in proof.Nodes)
        {
            int body = NodeBodySize(node);
            size += TagSize + Varint.SizeOf((ulong)body) + body;
        }

        return size;
    }

    /// <summary>Writes what <see cref="HeadSize"/> counted.</summary>
    public static void WriteHead(Span<byte> into, Proof proof)
    {
        int at = WriteNumber(into, IndexField, (ulong)proof.Index);
        if (proof.Value is { } value) WriteTag(into[at..], ValueField, value.Length);
    }

    /// <summary>Writes what <see cref="TailSize"/> counted.</summary>
    public static void WriteTail(Span<byte> into, Proof proof)
    {
        foreach (TreeNode node in proof.Nodes)
        {
            into = into[WriteTag(into, NodeField, NodeBodySize(node))..];
            into = into[WriteNumber(into, NodeIndexField, (ulong)node.Index)..];
            into = into[WriteTag(into, NodeHashField, NodeHash.Size)..];
            node.Hash.CopyTo(into);
            into = into[NodeHash.Size..];
            into = into[WriteNumber(into, NodeSizeField, (ulong)node.Size)..];
        }

        if (proof.Signature is not { } signature) return;
        into = into[WriteTag(into, SignatureField, signature.Length)..];
        signature.Span.CopyTo(into);
    }

    private static bool TryDecodeNodes(ReadOnlySpan<byte> body, Span<TreeNode> nodes)
    {
        if (nodes.IsEmpty) return true;
        FieldReader fields = new(body);
        int at = 0;
        while (fields.Next())
        {
            if (fields.Field != NodeField) _ = fields.Skip();
            else if (!fields.ReadBytes(out ReadOnlySpan<byte> node) || !TryDecodeNode(node, out nodes[at++])) return false;
        }

        return true;
    }

    private static bool TryDecodeNode(ReadOnlySpan<byte> body, out TreeNode node)
    {
        node = default;
        ulong? index = null, size = null;
        bool hasHash = false;
        ReadOnlySpan<byte> hash = default;
        FieldReader fields = new(body);
        while (fields.Next())
        {
            bool ok;
            ulong number;
            switch (fields.Field)
            {
                case NodeIndexField:
                    ok = fields.ReadNumber(out number);
                    index = number;
                    break;
                case NodeHashField:
                    ok = fields.ReadBytes(out hash);
                    hasHash = true;
                    break;
                case NodeSizeField:
                    ok = fields.ReadNumber(out number);
                    size = number;
                    break;
                default:
                    ok = fields.Skip();
                    break;
            }

            if (!ok) return false;
        }

        if (fields.Malformed || index is null || size is null || !hasHash) return false;
        if (hash.Length != NodeHash.Size) ProtocolViolation.ThrowProofBounds();
        node = new TreeNode((long)index.Value, NodeHash.From(hash), (long)size.Value);
        return true;
    }

    private static int NodeBodySize(TreeNode node) =>
        TagSize + NumberSize(node.Index) + TagSize + 1 + NodeHash.Size + TagSize + NumberSize(node.Size);

    // Sizes are asked for before a byte is written, so that a number nobody can hold never leaves half a frame behind.
    private static int NumberSize(long value)
    {
        if (value < 0 || (ulong)value > Varint.MaxValue)
            throw new ArgumentOutOfRangeException(nameof(value), value, "peers cannot represent numbers above 2^53-1");
        return Varint.SizeOf((ulong)value);
    }

    private static int WriteNumber(Span<byte> into, int field, ulong value)
    {
        into[0] = (byte)(field << 3 | FieldReader.VarintType);
        return TagSize + Varint.Write(into[TagSize..], value);
    }

    private static int WriteTag(Span<byte> into, int field, int length)
    {
        into[0] = (byte)(field << 3 | FieldReader.BytesType);
        return TagSize + Varint.Write(into[TagSize..], (ulong)length);
    }
}
