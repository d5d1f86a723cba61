using System.Buffers;
using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Feeds;
using DatFs.Wire;
using Google.Protobuf;

namespace DatFs.Evidence;

/// <summary>A peer that knows the cipher and no manners: it sends whatever bytes a test wants.</summary>
internal sealed class RawPeer(ITransport transport, FeedKey key) : IDisposable
{
    private readonly byte[] _nonce = [.. Enumerable.Range(1, XSalsa20Stream.NonceSize).Select(i => (byte)i)];
    private XSalsa20Stream? _cipher;

    /// <summary>How it names itself in its Handshake.</summary>
    public byte[] Id { get; init; } = SHA256.HashData("id of raw"u8);

    public void Dispose() => _cipher?.Dispose();

    /// <summary>Feed in clear; what follows is enciphered.</summary>
    public async Task SendFeedAsync(FeedKey? named = null, int padding = 0)
    {
        byte[] body = MessageCodec.Encode((named ?? key).ToDiscoveryKey(), _nonce).ToByteArray();
        byte[] unknown = padding == 0 ? [] : [0x4a, (byte)(padding - 2), .. new byte[padding - 2]];
        _cipher = new XSalsa20Stream(key, _nonce);
        await transport.Output.WriteAsync(Frame(0, FrameType.Feed, [.. body, .. unknown]));
    }

    public async Task SendHandshakeAsync(byte[] id, params string[] extensions) =>
        await SendAsync(Frame(0, FrameType.Handshake, MessageCodec.Encode(new HandshakeMessage(id, true, null, extensions, false)).ToByteArray()));

    /// <summary>Feed and Handshake, 102 bytes when nothing is added.</summary>
    public async Task GreetAsync(int padding = 0, params string[] extensions)
    {
        await SendFeedAsync(padding: padding);
        await SendHandshakeAsync(Id, extensions);
    }

    public async Task OpenAsync(int channel, FeedKey feed) =>
        await SendAsync(Frame(channel, FrameType.Feed, MessageCodec.Encode(feed.ToDiscoveryKey(), default).ToByteArray()));

    public async Task SendAsync(int channel, FrameType type, string body) => await SendAsync(Frame(channel, type, Convert.FromHexString(body)));

    /// <summary>Only the length and header of a frame that never comes.</summary>
    public async Task SendHeaderAsync(int channel, FrameType type, int length)
    {
        byte[] bytes = new byte[16];
        int at = Varint.Write(bytes, (ulong)length);
        at += Varint.Write(bytes.AsSpan(at), (ulong)(channel << 4 | (int)type));
        await SendAsync(bytes[..at]);
    }

    public async Task SendAsync(byte[] plaintext)
    {
        byte[] bytes = [.. plaintext];
        _cipher!.Apply(bytes);
        await transport.Output.WriteAsync(bytes);
    }

    public async Task SendClearAsync(byte[] bytes) => await transport.Output.WriteAsync(bytes);

    /// <summary>Reads exactly so many bytes of what the other side writes, as they are.</summary>
    public async Task<byte[]> ReadAsync(int count)
    {
        var read = await transport.Input.ReadAtLeastAsync(count);
        byte[] bytes = read.Buffer.Slice(0, count).ToArray();
        transport.Input.AdvanceTo(read.Buffer.GetPosition(count));
        return bytes;
    }

    /// <summary>The Data body in one piece.</summary>
    public static byte[] Body(Proof proof)
    {
        int head = DataCodec.HeadSize(proof), value = proof.Value?.Length ?? 0;
        byte[] body = new byte[head + value + DataCodec.TailSize(proof)];
        DataCodec.WriteHead(body, proof);
        proof.Value?.Span.CopyTo(body.AsSpan(head));
        DataCodec.WriteTail(body.AsSpan(head + value), proof);
        return body;
    }

    public static byte[] Frame(int channel, FrameType type, byte[] body)
    {
        byte[] head = new byte[16];
        int header = channel << 4 | (int)type;
        int at = Varint.Write(head, (ulong)(Varint.SizeOf((ulong)header) + body.Length));
        at += Varint.Write(head.AsSpan(at), (ulong)header);
        return [.. head[..at], .. body];
    }
}
