using System.Numerics;
using System.Security.Cryptography;

namespace DatFs.Crypto;

/// <summary>
/// One direction of a connection's XSalsa20 stream (wire-protocol.md §3.3): position 0 is the first byte after the sender's first
/// frame, and it only moves forward. The HSalsa20 subkey is derived once; long runs go through libsodium at block boundaries,
/// short ones are XORed with keystream made ahead, because a call per control frame costs far more than its bytes (§8.4).
/// Not thread safe: its owner serialises.
/// </summary>
internal sealed unsafe class XSalsa20Stream : IDisposable
{
    public const int NonceSize = 24;

    private const int BlockSize = 64;
    private const int AheadSize = 4096;
    private const int NonceHead = 16;

    private readonly byte[] _subkey = new byte[FeedKey.Size];
    private readonly byte[] _nonceTail = new byte[NonceSize - NonceHead];
    private readonly byte[] _ahead = new byte[AheadSize];
    private int _aheadUsed = AheadSize;
    private ulong _nextBlock;

    public XSalsa20Stream(FeedKey key, ReadOnlySpan<byte> nonce)
    {
        if (nonce.Length != NonceSize) throw new ArgumentException("exactly 24 bytes are needed", nameof(nonce));
        Span<byte> keyBytes = stackalloc byte[FeedKey.Size];
        key.CopyTo(keyBytes);
        fixed (byte* subkey = _subkey, n = nonce, k = keyBytes)
        {
            int rc = Sodium.crypto_core_hsalsa20(subkey, n, k, null);
            if (rc != 0) throw new InvalidOperationException("crypto_core_hsalsa20 refused its arguments");
        }

        nonce[NonceHead..].CopyTo(_nonceTail);
    }

    /// <summary>Bytes encrypted or decrypted so far.</summary>
    public long Position => checked((long)_nextBlock * BlockSize) - (AheadSize - _aheadUsed);

    /// <summary>XORs the stream into <paramref name="into"/>, which is either <paramref name="from"/> itself or apart from it.</summary>
    public void Apply(ReadOnlySpan<byte> from, Span<byte> into)
    {
        if (into.Length < from.Length) throw new ArgumentException("shorter than its source", nameof(into));
        while (from.Length > 0)
        {
            if (_aheadUsed == AheadSize && from.Length >= AheadSize)
            {
                int whole = from.Length & ~(BlockSize - 1);
                XorBulk(from[..whole], into);
                from = from[whole..];
                into = into[whole..];
                continue;
            }

            if (_aheadUsed == AheadSize) MakeAhead();
            int count = Math.Min(from.Length, AheadSize - _aheadUsed);
            Xor(from[..count], _ahead.AsSpan(_aheadUsed, count), into);
            _aheadUsed += count;
            from = from[count..];
            into = into[count..];
        }
    }

    /// <summary>XORs in place.</summary>
    public void Apply(Span<byte> bytes) => Apply(bytes, bytes);

    /// <summary>Wipes what could decrypt the stream.</summary>
    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_subkey);
        CryptographicOperations.ZeroMemory(_ahead);
    }

    private void XorBulk(ReadOnlySpan<byte> from, Span<byte> into)
    {
        fixed (byte* o = into, i = from, n = _nonceTail, k = _subkey)
            _ = Sodium.crypto_stream_salsa20_xor_ic(o, i, (ulong)from.Length, n, _nextBlock, k);
        _nextBlock += (ulong)from.Length / BlockSize;
    }

    private void MakeAhead()
    {
        _ahead.AsSpan().Clear();
        fixed (byte* a = _ahead, n = _nonceTail, k = _subkey)
            _ = Sodium.crypto_stream_salsa20_xor_ic_short(a, a, AheadSize, n, _nextBlock, k);
        _nextBlock += AheadSize / BlockSize;
        _aheadUsed = 0;
    }

    private static void Xor(ReadOnlySpan<byte> from, ReadOnlySpan<byte> keystream, Span<byte> into)
    {
        int i = 0;
        for (; i <= from.Length - Vector<byte>.Count; i += Vector<byte>.Count)
            (new Vector<byte>(from[i..]) ^ new Vector<byte>(keystream[i..])).CopyTo(into[i..]);
        for (; i < from.Length; i++) into[i] = (byte)(from[i] ^ keystream[i]);
    }
}
