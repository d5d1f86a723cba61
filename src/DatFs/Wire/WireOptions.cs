namespace DatFs.Wire;

/// <summary>Settings of a connection.</summary>
public sealed record WireOptions
{
    /// <summary>Our handshake id, 32 bytes: one per drive and process.</summary>
    public required ReadOnlyMemory<byte> Id { get; init; }
    /// <summary>Handshake.live.</summary>
    public bool Live { get; init; } = true;
    /// <summary>Handshake.ack: ask the remote to acknowledge blocks.</summary>
    public bool Ack { get; init; }
    /// <summary>Handshake.userData, at most 4 KiB, or null.</summary>
    public ReadOnlyMemory<byte>? UserData { get; init; }
    /// <summary>Extension names, at most 64 of at most 255 bytes; sent sorted.</summary>
    public IReadOnlyList<string> Extensions { get; init; } = [];
    /// <summary>What a drive of one writer needs, generously (§9.1).</summary>
    public const int UsualUnknownChannels = 32;
    /// <summary>Channels of feeds we never opened that a remote may hold open (§9.1): 32, or 256 while the drive's kind is unknown.</summary>
    public int MaxUnknownChannels { get; init; } = UsualUnknownChannels;
    /// <summary>Clock: keep-alive and timeouts.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
    /// <summary>Source of the 24-byte nonce; tests of recorded sessions fix it. Null = the operating system's generator.</summary>
    public Action<Memory<byte>>? FillNonce { get; init; }

    /// <summary>What we say in our Handshake (§4.1); refuses what a peer would close for.</summary>
    internal HandshakeMessage ToHandshake()
    {
        string[] extensions = [.. Extensions.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        bool fits = Id.Length == 32
            && (UserData?.Length ?? 0) <= MessageCodec.MaxUserData
            && extensions.Length <= MessageCodec.MaxExtensions
            && extensions.All(name => System.Text.Encoding.UTF8.GetByteCount(name) <= MessageCodec.MaxExtensionName);
        if (!fits) throw new DatException(DatError.Invalid, "the handshake's id, user data or extension names have a length that peers refuse");
        return new HandshakeMessage(Id, Live, UserData, extensions, Ack);
    }
}
