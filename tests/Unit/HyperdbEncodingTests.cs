using System.Text.Json;
using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Paths, indexes and messages of a hyperdb against those that the reference made (tests/vectors/hyperdb), and what no writer may say.</summary>
public sealed class HyperdbEncodingTests
{
    [Fact]
    public void Keys_lie_on_the_paths_of_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hyperdb/paths.json").EnumerateArray())
        {
            string stored = KeyPath.Normalise(row.GetProperty("key").GetString()!);
            stored.Should().Be(row.GetProperty("stored").GetString());
            KeyPath path = KeyPath.Of(stored);
            path.Components.Should().Be(row.GetProperty("components").GetArrayLength());
            string.Concat(Enumerable.Range(0, path.Length).Select(i => path[i])).Should().Be(row.GetProperty("path").GetString(), stored);
            path.Length.Should().Be(row.GetProperty("prefix").GetString()!.Length + 1);
        }
    }

    [Fact]
    public void Two_paths_differ_where_their_digits_do()
    {
        KeyPath[] paths = [.. ((string[])["a", "b", "tree", "a/b", "a/tree", "mpomeiehc", "idgcmnmna", "idgcmnmna/x", "mpomeiehc/x", "mpomeiehc/y", ""]).Select(KeyPath.Of)];
        foreach (KeyPath a in paths)
        {
            foreach (KeyPath b in paths)
            {
                int differs = 0;
                while (differs < Math.Min(a.Length, b.Length) && a[differs] == b[differs]) differs++;
                for (int from = 0; from <= differs; from++) a.Diverges(b, from).Should().Be(differs);
            }
        }
    }

    [Fact]
    public void Indexes_are_packed_as_the_reference_packs_them()
    {
        foreach (JsonElement row in Vectors.Json("hyperdb/trie.json").EnumerateArray())
        {
            SortedDictionary<int, List<EntryId>[]> buckets = [];
            foreach (JsonElement list in row.GetProperty("trie").EnumerateArray())
            {
                int index = list.GetProperty("index").GetInt32();
                if (!buckets.TryGetValue(index, out List<EntryId>[]? bucket)) buckets.Add(index, bucket = [[], [], [], [], []]);
                bucket[list.GetProperty("value").GetInt32()] = [.. list.GetProperty("pointers").EnumerateArray().Select(p => new EntryId(p[0].GetInt32(), p[1].GetInt64()))];
            }

            Trie trie = Trie.Of(buckets);
            int[] numbers = [.. row.GetProperty("encodeMap").EnumerateArray().Select(n => n.GetInt32())];
            byte[] packed = trie.Encode(numbers);
            Convert.ToHexStringLower(packed).Should().Be(row.GetProperty("hex").GetString());
            long[] clock = [.. Enumerable.Repeat(1L << 40, numbers.Length)];
            bool namesHeaders = buckets.Values.Any(bucket => bucket.Any(list => list.Any(id => id.Seq == 0)));
            Trie.TryDecode(packed, 4096, clock, out Trie stored).Should().Be(!namesHeaders, "block 0 is no entry");
            if (namesHeaders) continue;
            int[] back = new int[numbers.Length];
            for (int i = 0; i < numbers.Length; i++) back[numbers[i]] = i;
            stored.Renumber(back).Encode(numbers).Should().Equal(packed);
        }
    }

    [Theory]
    [InlineData("0140")] // a digit that does not exist
    [InlineData("0100")] // an empty bucket
    [InlineData("01020001010200")] // the same index twice
    [InlineData("0202000101020001")] // indexes that go down
    [InlineData("21020001")] // an index beyond the path
    [InlineData("01020400")] // a writer that the clock does not know
    [InlineData("01020000")] // the block that is no entry
    [InlineData("01020005")] // an entry newer than the clock
    [InlineData("01020101")] // more announced than comes
    [InlineData("0102")] // cut off
    [InlineData("01")]
    [InlineData("ffffffffffffffffff01020001")]
    public void An_index_that_no_writer_could_mean_is_refused(string packed) =>
        Trie.TryDecode(Convert.FromHexString(packed), 33, [5, 5], out _).Should().BeFalse();

    [Fact]
    public void An_index_is_bounded()
    {
        byte[] packed = [1, 2, .. Enumerable.Repeat((byte[])[1, 1], Trie.MaxSize / 2).SelectMany(pair => pair)];
        packed[^2] = 0;
        Trie.TryDecode(packed, 33, [5], out _).Should().BeFalse();
        Trie.TryDecode(packed.AsSpan(0, 2).ToArray().Concat(packed.Skip(packed.Length - Trie.MaxSize + 2)).ToArray(), 33, [5], out _).Should().BeTrue();
    }

    [Fact]
    public void Messages_are_written_and_read_as_the_reference_does()
    {
        foreach (JsonElement row in Vectors.Json("hyperdb/messages.json").EnumerateArray())
        {
            byte[] bytes = row.Hex("hex")!;
            JsonElement fields = row.GetProperty("fields");
            switch (row.GetProperty("type").GetString())
            {
                case "Header":
                    EntryCodec.Header.Should().Equal(bytes);
                    EntryCodec.IsHeader(bytes).Should().BeTrue();
                    break;
                case "Stat":
                    HyperdbStat.TryDecode(bytes, out HyperdbStat? stat).Should().BeTrue();
                    stat!.Encode().Should().Equal(bytes);
                    stat.Mode.Should().Be(fields.GetProperty("mode").GetUInt32());
                    stat.Mtime.Should().Be(fields.GetProperty("mtime").GetInt64());
                    break;
                default:
                    EntryCodec.TryParse(bytes, out EntryMessage? message).Should().BeTrue();
                    message!.Key.Should().Be(fields.GetProperty("key").GetString());
                    message.Value.Should().Equal(fields.Hex("value"));
                    message.Deleted.Should().Be(fields.TryGetProperty("deleted", out _));
                    message.Trie.Should().Equal(fields.Hex("trie")!);
                    message.Feeds.Select(feed => feed.ToHex()).Should().Equal(fields.TryGetProperty("feeds", out JsonElement feeds) ? feeds.EnumerateArray().Select(feed => feed.GetProperty("key").GetString()!) : []);
                    EntryCodec.Encode(message).Should().Equal(bytes);
                    break;
            }
        }
    }

    [Fact]
    public void Content_feeds_have_the_keys_that_the_reference_derives()
    {
        foreach (JsonElement row in Vectors.Json("hyperdb/content-key.json").EnumerateArray())
        {
            using SecretKey metadata = SecretKey.FromSeed(row.Hex("metadataSeed"));
            metadata.PublicKey.ToHex().Should().Be(row.GetProperty("metadataKey").GetString());
            using SecretKey content = metadata.DeriveDatabaseContent();
            content.PublicKey.ToHex().Should().Be(row.GetProperty("contentKey").GetString());
        }
    }

    [Fact]
    public void Every_block_of_the_reference_is_read_and_written_back()
    {
        int blocks = 0;
        foreach (RecordedHyperdb record in RecordedHyperdb.All)
        {
            foreach (byte[][] feed in record.Feeds.Values)
            {
                EntryCodec.IsHeader(feed[0]).Should().BeTrue();
                for (int seq = 1; seq < feed.Length; seq++, blocks++)
                {
                    EntryBlock entry = EntryCodec.Decode(seq, feed[seq]);
                    EntryCodec.Encode(entry.Message).Should().Equal(feed[seq], $"{record.Name} block {seq}");
                    entry.Trie.Encode([.. Enumerable.Range(0, entry.Message.Clock.Length)]).Should().Equal(entry.Message.Trie);
                }
            }
        }

        blocks.Should().BeGreaterThan(1000);
    }

    [Fact]
    public void Entries_of_extreme_size_are_refused()
    {
        static byte[] Entry(string key, int clock, int feeds) => EntryCodec.Encode(new EntryMessage(
            key, null, false, [], [.. Enumerable.Repeat(1L, clock)], 1, [.. Enumerable.Range(0, feeds).Select(i => FeedKey.From([.. BitConverter.GetBytes(i), .. new byte[28]]))], null));
        static bool Reads(byte[] block)
        {
            try
            {
                EntryCodec.Decode(1, block);
                return true;
            }
            catch (DatException refused) when (refused.Error == DatError.Corrupt)
            {
                return false;
            }
        }

        Reads(Entry(new string('a', EntryCodec.MaxKeyLength), 1, 1)).Should().BeTrue();
        Reads(Entry(new string('a', EntryCodec.MaxKeyLength + 1), 1, 1)).Should().BeFalse();
        Reads(Entry(new string('/', EntryCodec.MaxComponents - 1), 1, 1)).Should().BeTrue();
        Reads(Entry(new string('/', EntryCodec.MaxComponents), 1, 1)).Should().BeFalse();
        Reads(Entry("a", EntryCodec.MaxWriters, EntryCodec.MaxWriters)).Should().BeTrue();
        Reads(Entry("a", EntryCodec.MaxWriters + 1, EntryCodec.MaxWriters + 1)).Should().BeFalse();
        Reads(Entry("a", 1, EntryCodec.MaxWriters + 1)).Should().BeFalse();
        Reads(Entry("a", 2, 1)).Should().BeFalse("a clock is no longer than the list");
        Reads(Entry("a", 0, 0)).Should().BeTrue("a list may say nothing");
    }

    [Theory]
    [InlineData("0a0161")] // no index
    [InlineData("2200")] // no key
    [InlineData("0a01612200")] // no list of writers
    [InlineData("0a016122003000")]
    [InlineData("0a016122003002")] // a list that is still to come
    [InlineData("0a0161220030013a020a00")] // a key of no bytes
    [InlineData("0a0161220030014201ff")]
    [InlineData("0a01612200280130011a00")]
    public void A_block_that_is_no_entry_is_refused(string block) =>
        FluentActions.Invoking(() => EntryCodec.Decode(1, Convert.FromHexString(block))).Should().Throw<DatException>().Which.Error.Should().Be(DatError.Corrupt);
}
