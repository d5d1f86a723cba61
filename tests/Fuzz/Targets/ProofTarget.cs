using System.Text.Json;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Unit;
using DatFs.Wire;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// A row of answers from peers that lie, to a reader that got so far: nothing untrue is believed, no owner is accused of a fork, and honest answers
/// still complete the feed afterwards. The first byte chooses the reader, then each message has a byte that says what was asked, and a body of Data.
/// </summary>
internal sealed class ProofTarget : IFuzzTarget
{
    private const int OtherKind = 1;
    private const int ByOffset = 2;
    private const int OtherBlock = 4;
    private const int MostMessages = 6;

    private readonly OwnersFeed _owner = new();

    public string Name => "proofs";

    public int MaxLength => 8 * 1024;

    public long AllocationLimit(int inputLength) => 1024 * 1024 + 256L * inputLength;

    public IReadOnlyList<byte[]> Dictionary { get; } = [[0x1A, 0x24], [0x22, 0x40], [0x08, 0x02], [0x18, 0x0A], [0x12, 0], [0x10, 0], [0x18, 0]];

    public IEnumerable<byte[]> Corpus()
    {
        for (int history = 0; history < OwnersFeed.Histories; history++)
        {
            foreach (int age in new[] { 2, 4, 6 })
            {
                MemoryTree reader = _owner.Reader(history);
                InputWriter row = new InputWriter().Byte(history);
                foreach (int block in new[] { 0, 4, OwnersFeed.Lengths[age] - 1 })
                    row.Byte(0).Chunk(DataTarget.Encode(OwnersFeed.Answer(_owner.Ages[age], reader, block, hash: (block + age) % 3 == 0)));
                yield return row.ToArray();
                yield return new InputWriter().Byte(history).Byte(ByOffset).Chunk(DataTarget.Encode(OwnersFeed.Answer(_owner.Ages[age], reader, 3, hash: true))).ToArray();
                yield return new InputWriter().Byte(history).Byte(0).Chunk(DataTarget.Encode(OwnersFeed.Answer(_owner.Ages[age], new MemoryTree(_owner.Whole.Key), 1, hash: false))).ToArray();
            }
        }

        foreach (JsonElement row in Vectors.Json("hypercore/hostile-proofs.json").GetProperty("cases").EnumerateArray())
        {
            if (row.GetProperty("message").GetProperty("nodes").ValueKind == JsonValueKind.Array)
                yield return new InputWriter().Byte(0).Byte(0).Chunk(DataTarget.Body(row.GetProperty("message"))).ToArray();
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader messages = new(input);
        MemoryTree reader = _owner.Reader(messages.Byte());
        for (int i = 0; i < MostMessages && !messages.IsEmpty; i++)
        {
            int asked = messages.Byte();
            if (Decode(messages.Chunk()) is not { } proof) continue;
            bool hash = (proof.Value is null) ^ ((asked & OtherKind) != 0);
            long? requested = (asked & ByOffset) != 0 ? null : proof.Index + ((asked & OtherBlock) != 0 ? 1 : 0);
            Judge(reader, proof, _owner.Offer(reader, proof, hash, requested));
        }

        Complete(reader);
    }

    private static Proof? Decode(ReadOnlySpan<byte> body)
    {
        try
        {
            return DataCodec.TryDecode(body.ToArray(), out Proof? proof) ? proof : null;
        }
        catch (ProtocolViolationException)
        {
            return null;
        }
    }

    private void Judge(MemoryTree reader, Proof proof, in Verdict verdict)
    {
        Oracle.That(verdict.Outcome != ProofOutcome.Forked, "an honest owner is not accused");
        if (!verdict.IsAccepted) return;
        Oracle.That(proof.Index < _owner.Whole.Length, "no block beyond the owner's");
        if (proof.Value is { } value) Oracle.Same(value.Span, OwnersFeed.Block(proof.Index), "a believed block");
        Oracle.That(verdict.ClaimedLength == 0 || OwnersFeed.Lengths.Contains((int)verdict.ClaimedLength), "a length that was signed");
        foreach (TreeNode node in verdict.Store!) True(reader, node);
        foreach (TreeNode node in verdict.Correct ?? []) True(reader, node);
    }

    private void True(MemoryTree reader, TreeNode node)
    {
        Oracle.That(_owner.Whole.TryGet(node.Index, out TreeNode real) && node.Hash == real.Hash, "a believed node is the owner's");
        Oracle.That(node.Size == real.Size || reader.SizeIsProvisional(node.Index), "its size is the owner's, or known to be uncertain");
    }

    private void Complete(MemoryTree reader)
    {
        for (long block = 0; block < _owner.Whole.Length; block++)
        {
            if (reader.Blocks.ContainsKey(block)) continue;
            Verdict verdict = _owner.Offer(reader, OwnersFeed.Answer(_owner.Whole, reader, block, hash: false), false, block);
            Oracle.That(verdict.IsAccepted, "an honest answer is believed after lies");
        }

        // A length may rest on an older peer's word until somebody asks beyond it; the last block was asked for above.
        Oracle.Equal(reader.ByteLength, reader.Length == _owner.Whole.Length ? _owner.Whole.ByteLength : reader.ByteLength, "bytes");
        foreach ((long block, byte[] bytes) in reader.Blocks) Oracle.Same(bytes, OwnersFeed.Block(block), "a stored block");
        foreach ((long index, TreeNode node) in reader.Nodes)
        {
            Oracle.That(_owner.Whole.TryGet(index, out TreeNode real) && real.Hash == node.Hash, "a stored node is the owner's");
            Oracle.Equal(node.Size, real.Size, "its size, all blocks being here");
        }
    }
}
