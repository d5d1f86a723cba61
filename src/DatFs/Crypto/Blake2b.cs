using System.Buffers;

namespace DatFs.Crypto;

/// <summary>BLAKE2b with a 32-byte output, the only hash of this generation of Dat (hypercore.md §2).</summary>
internal static unsafe class Blake2b
{
    public const int HashSize = 32;

    /// <summary>Size of a key-derivation context.</summary>
    public const int ContextSize = 8;

    private const int StateAlignment = 64;

    /// <summary>Hashes <paramref name="message"/> into the first 32 bytes of <paramref name="hash"/>, optionally keyed.</summary>
    public static void Hash(Span<byte> hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> key = default)
    {
        CheckRoom(hash);
        fixed (byte* o = hash, m = message, k = key)
        {
            int rc = Sodium.crypto_generichash(o, HashSize, m, (ulong)message.Length, k, (nuint)key.Length);
            if (rc != 0) throw new InvalidOperationException("crypto_generichash refused its arguments");
        }
    }

    /// <summary>Hashes <paramref name="head"/> followed by <paramref name="body"/>, without putting them together.</summary>
    public static void HashParts(Span<byte> hash, ReadOnlySpan<byte> head, ReadOnlySpan<byte> body)
    {
        CheckRoom(hash);
        byte* room = stackalloc byte[Sodium.GenericHashStateSize + StateAlignment];
        byte* state = Align(room);
        Begin(state);
        Update(state, head);
        Update(state, body);
        End(state, hash);
    }

    /// <summary>Hashes <paramref name="head"/> followed by every piece of <paramref name="body"/>.</summary>
    public static void HashParts(Span<byte> hash, ReadOnlySpan<byte> head, in ReadOnlySequence<byte> body)
    {
        CheckRoom(hash);
        byte* room = stackalloc byte[Sodium.GenericHashStateSize + StateAlignment];
        byte* state = Align(room);
        Begin(state);
        Update(state, head);
        foreach (ReadOnlyMemory<byte> piece in body) Update(state, piece.Span);
        End(state, hash);
    }

    /// <summary>
    /// Derives a 32-byte key: BLAKE2b-256 of nothing, keyed with 32 bytes, salted with the number, personalised with the context (hypercore.md §17).
    /// </summary>
    public static void DeriveKey(Span<byte> derived, ReadOnlySpan<byte> key, ulong number, ReadOnlySpan<byte> context)
    {
        CheckRoom(derived);
        if (key.Length != HashSize) throw new ArgumentException("exactly 32 bytes are needed", nameof(key));
        if (context.Length != ContextSize) throw new ArgumentException("exactly 8 bytes are needed", nameof(context));
        fixed (byte* o = derived, k = key, c = context)
        {
            int rc = Sodium.crypto_kdf_derive_from_key(o, HashSize, number, c, k);
            if (rc != 0) throw new InvalidOperationException("crypto_kdf_derive_from_key refused its arguments");
        }
    }

    private static byte* Align(byte* room) => (byte*)(((nuint)room + StateAlignment - 1) & ~(nuint)(StateAlignment - 1));

    private static void Begin(byte* state)
    {
        if (Sodium.crypto_generichash_init(state, null, 0, HashSize) != 0) throw new InvalidOperationException("crypto_generichash_init refused its arguments");
    }

    private static void Update(byte* state, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* p = bytes)
        {
            if (Sodium.crypto_generichash_update(state, p, (ulong)bytes.Length) != 0) throw new InvalidOperationException("crypto_generichash_update failed");
        }
    }

    private static void End(byte* state, Span<byte> hash)
    {
        fixed (byte* o = hash)
        {
            if (Sodium.crypto_generichash_final(state, o, HashSize) != 0) throw new InvalidOperationException("crypto_generichash_final failed");
        }
    }

    private static void CheckRoom(Span<byte> hash)
    {
        if (hash.Length < HashSize) throw new ArgumentException("room for 32 bytes is needed", nameof(hash));
    }
}
