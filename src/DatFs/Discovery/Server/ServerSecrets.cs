using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace DatFs.Discovery.Server;

/// <summary>
/// The tokens that prove a client gets what is sent to its address: SHA-256 of a secret and the address in dotted form, in base64 (discovery.md
/// §3). Two secrets: one that new tokens are made of, and the one before it, whose tokens still count. They outlive the process, so
/// that a restart costs no client a round.
/// </summary>
internal sealed class ServerSecrets
{
    /// <summary>Bytes of a secret.</summary>
    public const int Size = 32;

    /// <summary>Age at which a secret becomes the one before.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(5);

    private const int MaxDotted = 15;

    private readonly Func<int, byte[]> _random;
    private readonly byte[][] _secrets;
    private DateTimeOffset _since;

    /// <summary>Takes over what another process stored, unless it is damaged or none; rotates it as often as is due.</summary>
    public ServerSecrets(ReadOnlySpan<byte> stored, DateTimeOffset now, Func<int, byte[]> random)
    {
        _random = random;
        if (stored.Length == 8 + 2 * Size)
        {
            _since = DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(BinaryPrimitives.ReadInt64BigEndian(stored), 0, now.ToUnixTimeMilliseconds()));
            _secrets = [stored.Slice(8, Size).ToArray(), stored.Slice(8 + Size, Size).ToArray()];
            Rotate(now);
        }
        else
        {
            _since = now;
            _secrets = [random(Size), random(Size)];
        }
    }

    /// <summary>Rotates as often as is due; true when that changed anything, and it should be stored.</summary>
    public bool Rotate(DateTimeOffset now)
    {
        bool changed = false;
        for (int i = 0; i < 2 && now - _since >= Lifetime; i++)
        {
            _secrets[1] = _secrets[0];
            _secrets[0] = _random(Size);
            _since = i == 0 ? _since + Lifetime : now;
            changed = true;
        }

        return changed;
    }

    /// <summary>What another process needs to go on with the same secrets.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[8 + 2 * Size];
        BinaryPrimitives.WriteInt64BigEndian(bytes, _since.ToUnixTimeMilliseconds());
        _secrets[0].CopyTo(bytes, 8);
        _secrets[1].CopyTo(bytes, 8 + Size);
        return bytes;
    }

    /// <summary>The token of an address.</summary>
    public string Token(uint address) => Token(_secrets[0], address);

    /// <summary>True for a token this server gave the address lately.</summary>
    public bool Accepts(string token, uint address, string current) => Same(token, current) || Same(token, Token(_secrets[1], address));

    private static string Token(byte[] secret, uint address)
    {
        Span<byte> input = stackalloc byte[Size + MaxDotted];
        secret.CopyTo(input);
        int length = System.Text.Encoding.ASCII.GetBytes(new Ipv4Peer(address, 0).Host, input[Size..]);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(input[..(Size + length)], hash);
        return Convert.ToBase64String(hash);
    }

    private static bool Same(string a, string b) => CryptographicOperations.FixedTimeEquals(MemoryMarshal.AsBytes(a.AsSpan()), MemoryMarshal.AsBytes(b.AsSpan()));
}
