using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Wire;
using Google.Protobuf;

namespace DatMount.Hostile;

/// <summary>The shapes that most scripts have.</summary>
internal static class Scripts
{
    /// <summary>A peer that has the key sends these bytes, and is left with that cause.</summary>
    public static Script Refused(string name, string what, string cause, params byte[][] frames) => new(name, what, async stage =>
    {
        await using Raider raider = await GreetedAsync(stage);
        await SendAllAsync(raider, frames);
        await stage.ClosedAsync(raider, cause);
    });

    /// <summary>The same, and nothing comes of it: the peer is served as before.</summary>
    public static Script Ignored(string name, string what, params byte[][] frames) => new(name, what, async stage =>
    {
        await using Raider raider = await GreetedAsync(stage);
        await SendAllAsync(raider, frames);
        await raider.StaysOpenAsync();
    });

    /// <summary>One frame again and again, and the peer is left.</summary>
    public static Script RefusedFlood(string name, string what, string cause, byte[] frame, int times) => new(name, what, async stage =>
    {
        await using Raider raider = await GreetedAsync(stage);
        await raider.FloodAsync(frame, times);
        await stage.ClosedAsync(raider, cause);
    });

    /// <summary>One frame again and again; the peer is served afterwards.</summary>
    public static Script IgnoredFlood(string name, string what, byte[] frame, int times) => new(name, what, async stage =>
    {
        await using Raider raider = await GreetedAsync(stage);
        raider.Listen();
        await raider.FloodAsync(frame, times);
        await raider.StaysOpenAsync();
    });

    public static async Task<Raider> GreetedAsync(ShareStage stage, params string[] extensions)
    {
        Raider raider = await stage.DialAsync();
        await raider.GreetAsync(extensions);
        return raider;
    }

    public static byte[] Frame(FrameType type, IMessage message, int channel = 0) => RawPeer.Frame(channel, type, message.ToByteArray());

    public static byte[] Feed(int channel, FeedKey feed) => Frame(FrameType.Feed, MessageCodec.Encode(feed.ToDiscoveryKey(), default), channel);

    /// <summary>A Have whose fields are what the test says, a bitfield of any content included.</summary>
    public static byte[] Have(ulong start, ulong? length = null, byte[]? bitfield = null, int channel = 0)
    {
        DatFs.Encoding.Schemas.Wire.Have have = new() { Start = start };
        if (length is { } some) have.Length = some;
        if (bitfield is not null) have.Bitfield = ByteString.CopyFrom(bitfield);
        return Frame(FrameType.Have, have, channel);
    }

    /// <summary>A run of the bitfield's code that claims so many bytes.</summary>
    public static byte[] Run(ulong bytes, bool ones) => Number((bytes << 2) | (ones ? 2u : 0) | 1);

    /// <summary>A varint, also of numbers that no peer may send.</summary>
    public static byte[] Number(ulong value)
    {
        List<byte> bytes = [];
        for (; value >= 0x80; value >>= 7) bytes.Add((byte)(value | 0x80));
        return [.. bytes, (byte)value];
    }

    /// <summary>The key of a feed that nobody has.</summary>
    public static FeedKey Stranger()
    {
        using SecretKey secret = SecretKey.FromSeed(RandomNumberGenerator.GetBytes(SecretKey.SeedSize));
        return secret.PublicKey;
    }

    private static async Task SendAllAsync(Raider raider, byte[][] frames)
    {
        foreach (byte[] frame in frames) await raider.SendAsync(frame);
    }
}
