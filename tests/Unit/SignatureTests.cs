using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class SignatureTests
{
    private static readonly JsonElement s_keys = Vectors.Json("hypercore/keys.json");
    private static readonly JsonElement s_signatures = Vectors.Json("hypercore/signatures.json");

    [Fact]
    public void Key_pairs_follow_from_their_seed_as_in_the_reference()
    {
        foreach (JsonElement row in s_keys.GetProperty("keyPairs").EnumerateArray())
        {
            using SecretKey key = SecretKey.FromSeed(row.Hex("seed"));
            key.PublicKey.Should().Be(FeedKey.From(row.Hex("publicKey")));
            BytesOf(key).Should().Equal(row.Hex("secretKey"));
            key.PublicKey.ToDiscoveryKey().ToHex().Should().Be(row.GetProperty("discoveryKey").GetString());

            SecretKey.TryFrom(row.Hex("secretKey"), out SecretKey? stored).Should().BeTrue();
            using (stored) stored!.PublicKey.Should().Be(key.PublicKey);
        }
    }

    [Fact]
    public void Content_keys_follow_from_the_metadata_key_as_in_the_reference()
    {
        foreach (JsonElement row in s_keys.GetProperty("hyperdriveContent").EnumerateArray())
        {
            SecretKey.TryFrom(row.Hex("metadataSecretKey"), out SecretKey? metadata).Should().BeTrue();
            using (metadata)
            using (SecretKey content = metadata!.DeriveContent())
            {
                content.PublicKey.Should().Be(FeedKey.From(row.Hex("contentPublicKey")));
                BytesOf(content).Should().Equal(row.Hex("contentSecretKey"));
            }
        }
    }

    [Fact]
    public void A_stored_secret_that_does_not_belong_to_its_public_half_is_refused()
    {
        byte[] secret = s_signatures.Hex("secretKey")!;
        foreach (int at in (int[])[0, 31, 32, 63])
        {
            byte[] damaged = [.. secret];
            damaged[at] ^= 1;
            SecretKey.TryFrom(damaged, out SecretKey? key).Should().BeFalse($"byte {at} was changed");
            key.Should().BeNull();
        }

        SecretKey.TryFrom(secret.AsSpan(0, 63), out _).Should().BeFalse();
        SecretKey.TryFrom([], out _).Should().BeFalse();
    }

    [Fact]
    public void Signs_and_verifies_every_length_as_the_reference()
    {
        FeedKey key = FeedKey.From(s_signatures.Hex("key"));
        SecretKey.TryFrom(s_signatures.Hex("secretKey"), out SecretKey? secret).Should().BeTrue();
        using (secret)
        {
            foreach (JsonElement row in s_signatures.GetProperty("lengths").EnumerateArray())
            {
                TreeNode[] roots = [.. row.GetProperty("roots").EnumerateArray().Select(root =>
                    new TreeNode(root.GetProperty("index").GetInt64(), NodeHash.From(root.Hex("hash")), root.GetProperty("size").GetInt64()))];
                byte[] message = BytesOf(TreeHash.Root(roots));
                message.Should().Equal(row.Hex("rootHash"));
                Ed25519.Verify(key, message, row.Hex("signature")).Should().BeTrue();
                byte[] signature = new byte[Ed25519.SignatureSize];
                secret!.Sign(message, signature);
                signature.Should().Equal(row.Hex("signature"));
            }
        }
    }

    [Fact]
    public void Refuses_every_signature_that_is_not_exactly_right()
    {
        FeedKey key = FeedKey.From(s_signatures.Hex("key"));
        JsonElement row = s_signatures.GetProperty("lengths").EnumerateArray().Single(length => length.GetProperty("length").GetInt64() == 10);
        byte[] message = row.Hex("rootHash")!;
        byte[] signature = row.Hex("signature")!;
        Ed25519.Verify(key, message, signature).Should().BeTrue();

        foreach (JsonElement refused in s_signatures.GetProperty("rejectedForLength10").EnumerateArray())
            Ed25519.Verify(key, message, refused.Hex("signature")).Should().BeFalse(refused.GetProperty("name").GetString());

        Ed25519.Verify(key, message, signature.AsSpan(0, 63)).Should().BeFalse("63 bytes");
        Ed25519.Verify(key, message, [.. signature, 0]).Should().BeFalse("65 bytes");
        Ed25519.Verify(key, message, []).Should().BeFalse("no bytes");
    }

    [Fact]
    public void A_key_of_small_order_verifies_nothing()
    {
        // With the neutral element as key and R, and S = 0, the equation of Ed25519 holds for every message.
        byte[] neutral = new byte[32];
        neutral[0] = 1;
        byte[] signature = new byte[Ed25519.SignatureSize];
        signature[0] = 1;
        Ed25519.Verify(FeedKey.From(neutral), "anything"u8, signature).Should().BeFalse();
    }

    [Fact]
    public void Showing_a_secret_key_shows_no_secret()
    {
        using SecretKey key = SecretKey.Generate();
        string shown = key.ToString();
        string secret = Convert.ToHexStringLower(BytesOf(key));
        shown.Should().NotContain(secret[..8]).And.NotContain(key.PublicKey.ToHex()[..8]);
    }

    [Fact]
    public void A_disposed_secret_key_signs_nothing_more()
    {
        SecretKey key = SecretKey.Generate();
        key.Dispose();
        Action sign = () => key.Sign("message"u8, new byte[Ed25519.SignatureSize]);
        Action export = () => BytesOf(key);
        sign.Should().Throw<ObjectDisposedException>();
        export.Should().Throw<ObjectDisposedException>();
    }

    private static byte[] BytesOf(SecretKey key)
    {
        byte[] bytes = new byte[SecretKey.Size];
        key.CopyTo(bytes);
        return bytes;
    }

    private static byte[] BytesOf(NodeHash hash)
    {
        byte[] bytes = new byte[NodeHash.Size];
        hash.CopyTo(bytes);
        return bytes;
    }
}
