using DatFs.Crypto;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// The cipher of a connection: lengths from the input cut a stream, part of it in place and part into another buffer; the outcome is that of one
/// piece, and of the other direction back.
/// </summary>
internal sealed class CipherTarget : IFuzzTarget
{
    private const int Longest = 48 * 1024;

    private readonly byte[] _plain = new byte[Longest];
    private readonly byte[] _whole = new byte[Longest];
    private readonly byte[] _pieces = new byte[Longest];

    public CipherTarget()
    {
        for (int i = 0; i < Longest; i++) _plain[i] = (byte)(i * 7 + i / 251);
    }

    public string Name => "cipher";

    public int MaxLength => 160;

    public IEnumerable<byte[]> Corpus()
    {
        byte[] head = new byte[FeedKey.Size + XSalsa20Stream.NonceSize];
        yield return [.. head, 1, 63, 64, 65, 0, 127];
        yield return [.. head, .. new InputWriter().Number(4095).Number(1).Number(4096).Number(4097).Number(63).ToArray()];
        yield return [.. head, .. new InputWriter().Number(8192).Number(8191).Number(64).Number(20000).Number(3).ToArray()];
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        Span<byte> head = stackalloc byte[FeedKey.Size + XSalsa20Stream.NonceSize];
        head.Clear();
        input[..Math.Min(head.Length, input.Length)].CopyTo(head);
        FeedKey key = FeedKey.From(head[..FeedKey.Size]);
        ReadOnlySpan<byte> nonce = head[FeedKey.Size..];
        InputReader lengths = new(input[Math.Min(head.Length, input.Length)..]);

        using XSalsa20Stream cut = new(key, nonce);
        int at = 0;
        for (bool inPlace = false; !lengths.IsEmpty && at < Longest; inPlace = !inPlace)
        {
            int count = (int)Math.Min(lengths.Number() % 20_000, Longest - at);
            Span<byte> target = _pieces.AsSpan(at, count);
            if (inPlace)
            {
                _plain.AsSpan(at, count).CopyTo(target);
                cut.Apply(target);
            }
            else
            {
                cut.Apply(_plain.AsSpan(at, count), target);
            }

            at += count;
            Oracle.Equal(cut.Position, at, "position");
        }

        using XSalsa20Stream whole = new(key, nonce), back = new(key, nonce);
        whole.Apply(_plain.AsSpan(0, at), _whole);
        Oracle.Same(_whole.AsSpan(0, at), _pieces.AsSpan(0, at), "one piece and many");
        back.Apply(_whole.AsSpan(0, at));
        Oracle.Same(_whole.AsSpan(0, at), _plain.AsSpan(0, at), "there and back");
    }
}
