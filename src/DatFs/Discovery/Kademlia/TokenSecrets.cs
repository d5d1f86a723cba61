using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DatFs.Discovery.Kademlia;

/// <summary>
/// Tokens that prove to a node that whoever wants something stored gets what is sent to his address (discovery.md §6). Made from a secret that
/// changes every <see cref="Rotation"/>; the one before it counts as well. Used under its owner's lock.
/// </summary>
internal sealed class TokenSecrets(TimeProvider time, Func<int, byte[]> randomBytes, int size)
{
    /// <summary>How long a secret makes tokens.</summary>
    public static readonly TimeSpan Rotation = TimeSpan.FromMinutes(5);

    private const int SecretSize = 32;

    private byte[] _current = randomBytes(SecretSize);
    private byte[] _previous = randomBytes(SecretSize);
    private long _since = time.GetTimestamp();

    /// <summary>The token of an address.</summary>
    public byte[] For(uint address)
    {
        Rotate();
        return Make(_current, address);
    }

    /// <summary>True for a token this address was given lately.</summary>
    public bool IsValid(ReadOnlySpan<byte> token, uint address)
    {
        Rotate();
        return CryptographicOperations.FixedTimeEquals(token, Make(_current, address)) || CryptographicOperations.FixedTimeEquals(token, Make(_previous, address));
    }

    private void Rotate()
    {
        TimeSpan age = time.GetElapsedTime(_since);
        if (age < Rotation) return;
        _previous = age < 2 * Rotation ? _current : randomBytes(SecretSize);
        _current = randomBytes(SecretSize);
        _since = time.GetTimestamp();
    }

    private byte[] Make(byte[] secret, uint address)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, address);
        return HMACSHA256.HashData(secret, bytes)[..size];
    }
}
