using System.Security.Cryptography;
using System.Text.Json;
using CsCheck;
using DatFs.Crypto;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class XSalsa20Tests
{
    public static TheoryData<int> PieceSizes => [1, 7, 63, 64, 65, 1000, 4095, 4096, 4097, 100_000];

    [Fact]
    public void Keystreams_equal_the_reference_at_every_recorded_offset()
    {
        foreach (JsonElement stream in Vectors.Json("wire/xsalsa20.json").GetProperty("streams").EnumerateArray())
        {
            foreach (JsonElement sample in stream.GetProperty("samples").EnumerateArray())
            {
                using XSalsa20Stream cipher = new(FeedKey.From(stream.Hex("key")), stream.Hex("nonce"));
                int offset = sample.GetProperty("offset").GetInt32();
                cipher.Apply(new byte[offset]);
                cipher.Position.Should().Be(offset);
                byte[] expected = sample.Hex("bytes")!;
                byte[] bytes = new byte[expected.Length];
                cipher.Apply(bytes);
                bytes.Should().Equal(expected, "keystream at {0}", offset);
            }
        }
    }

    [Theory]
    [MemberData(nameof(PieceSizes))]
    public void Whole_keystreams_equal_the_reference_however_they_are_cut(int piece)
    {
        foreach (JsonElement stream in Vectors.Json("wire/xsalsa20.json").GetProperty("streams").EnumerateArray())
        {
            using XSalsa20Stream cipher = new(FeedKey.From(stream.Hex("key")), stream.Hex("nonce"));
            byte[] keystream = new byte[stream.GetProperty("keystreamLength").GetInt32()];
            for (int at = 0; at < keystream.Length; at += piece) cipher.Apply(keystream.AsSpan(at, Math.Min(piece, keystream.Length - at)));
            Convert.ToHexStringLower(SHA256.HashData(keystream)).Should().Be(stream.GetProperty("sha256").GetString());
            keystream.AsSpan(0, 256).ToArray().Should().Equal(stream.Hex("keystream0_256"));
        }
    }

    [Fact]
    public void Pieces_share_one_running_position()
    {
        JsonElement split = Vectors.Json("wire/xsalsa20.json").GetProperty("split");
        using XSalsa20Stream cipher = new(FeedKey.From(split.Hex("key")), split.Hex("nonce"));
        byte[] plaintext = split.Hex("plaintext")!;
        byte[] ciphertext = new byte[plaintext.Length];
        int at = 0;
        foreach (JsonElement piece in split.GetProperty("pieces").EnumerateArray())
        {
            int size = piece.GetInt32();
            cipher.Apply(plaintext.AsSpan(at, size), ciphertext.AsSpan(at));
            at += size;
        }

        at.Should().Be(plaintext.Length);
        Convert.ToHexStringLower(ciphertext).Should().Be(
            string.Concat(split.GetProperty("ciphertextPieces").EnumerateArray().Select(p => p.GetString())));
    }

    [Fact]
    public void Random_cuts_decipher_what_one_piece_enciphered() =>
        Gen.Select(Gen.Byte.Array[0, 30_000], Gen.Int[1, 9000].Array[1, 40]).Sample((plaintext, cuts) =>
        {
            FeedKey key = FeedKey.From(SHA256.HashData(plaintext));
            byte[] nonce = new byte[XSalsa20Stream.NonceSize];
            using XSalsa20Stream encipher = new(key, nonce), decipher = new(key, nonce);
            byte[] bytes = [.. plaintext];
            encipher.Apply(bytes);
            int at = 0;
            foreach (int cut in cuts)
            {
                int size = Math.Min(cut, bytes.Length - at);
                decipher.Apply(bytes.AsSpan(at, size));
                at += size;
            }

            decipher.Apply(bytes.AsSpan(at));
            return bytes.AsSpan().SequenceEqual(plaintext);
        }, iter: 200);
}
