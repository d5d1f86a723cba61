using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using NSec.Cryptography;

namespace DatFs.Crypto;

/// <summary>
/// The secret half of a feed's key pair, kept in locked memory and wiped when disposed. Nothing but <see cref="CopyTo"/> gives it away.
/// </summary>
public sealed class SecretKey : IDisposable
{
    private readonly Key _key;

    private SecretKey(Key key)
    {
        _key = key;
        PublicKey = FeedKey.From(key.PublicKey.Export(KeyBlobFormat.RawPublicKey));
    }

    /// <summary>Size in bytes of a stored secret key: the seed, then the public key (hypercore.md §2).</summary>
    public const int Size = SeedSize + FeedKey.Size;

    /// <summary>Size in bytes of the seed a key pair is made from.</summary>
    public const int SeedSize = 32;

    private static KeyCreationParameters Exportable => new() { ExportPolicy = KeyExportPolicies.AllowPlaintextExport };

    /// <summary>The key that readers know.</summary>
    public FeedKey PublicKey { get; }

    /// <summary>Makes a new key pair from the system's randomness.</summary>
    public static SecretKey Generate() => new(Key.Create(SignatureAlgorithm.Ed25519, Exportable));

    /// <summary>Makes the key pair that belongs to a seed of exactly 32 bytes.</summary>
    public static SecretKey FromSeed(ReadOnlySpan<byte> seed)
    {
        if (seed.Length != SeedSize) throw new ArgumentException("exactly 32 bytes are needed", nameof(seed));
        return new SecretKey(Key.Import(SignatureAlgorithm.Ed25519, seed, KeyBlobFormat.RawPrivateKey, Exportable));
    }

    /// <summary>
    /// Reads a stored secret key. False when it is not 64 bytes or its second half is not the public key that follows from the first (hypercore.md §10 step 2).
    /// </summary>
    public static bool TryFrom(ReadOnlySpan<byte> secret64, [NotNullWhen(true)] out SecretKey? key)
    {
        key = null;
        if (secret64.Length != Size) return false;
        SecretKey read = FromSeed(secret64[..SeedSize]);
        if (read.PublicKey != FeedKey.From(secret64[SeedSize..]))
        {
            read.Dispose();
            return false;
        }

        key = read;
        return true;
    }

    /// <summary>Writes the 64-byte signature of a message. The same message always gives the same signature.</summary>
    public void Sign(ReadOnlySpan<byte> message, Span<byte> signature64) =>
        SignatureAlgorithm.Ed25519.Sign(_key, message, signature64[..Ed25519.SignatureSize]);

    /// <summary>The key pair of a hyperdrive's content feed, when this is the one of its metadata feed (hyperdrive.md §1.1).</summary>
    public SecretKey DeriveContent() => Derive("hyperdri"u8);

    /// <summary>The key pair of a writer's content feed in a hyperdb, when this is the one of the writer's own feed (hyperdb-multiwriter.md §13).</summary>
    public SecretKey DeriveDatabaseContent() => Derive("hyperdb1"u8);

    /// <summary>Writes the 64 bytes as they are stored. The caller wipes them.</summary>
    public void CopyTo(Span<byte> secret64)
    {
        if (!_key.TryExport(KeyBlobFormat.RawPrivateKey, secret64[..SeedSize], out _)) throw new InvalidOperationException("the key cannot be exported");
        PublicKey.CopyTo(secret64[SeedSize..]);
    }

    /// <inheritdoc/>
    public void Dispose() => _key.Dispose();

    private SecretKey Derive(ReadOnlySpan<byte> context)
    {
        Span<byte> secret = stackalloc byte[Size];
        Span<byte> seed = stackalloc byte[SeedSize];
        try
        {
            CopyTo(secret);
            Blake2b.DeriveKey(seed, secret[..SeedSize], 1, context);
            return FromSeed(seed);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    /// <summary>Names the feed, never the secret.</summary>
    public override string ToString() => $"secret key of {PublicKey}";
}
