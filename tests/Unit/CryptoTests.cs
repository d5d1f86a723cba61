using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class CryptoTests
{
    [Fact]
    public void Discovery_keys_equal_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/keys.json").GetProperty("discoveryKeys").EnumerateArray())
        {
            FeedKey key = FeedKey.From(row.Hex("key"));
            key.ToDiscoveryKey().ToHex().Should().Be(row.GetProperty("discoveryKey").GetString());
        }
    }
}
