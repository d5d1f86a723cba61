using System.Text.Json;
using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Random sequences of changes recorded from the reference's tree (hyperdrive/sequences.json), read and written.</summary>
public sealed class HyperdriveSequenceTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_reader_sees_what_the_reference_sees_and_no_file_it_has_lost()
    {
        foreach (JsonElement sequence in Sequences())
        {
            await using Feed feed = await NewFeedAsync();
            foreach (JsonElement op in sequence.GetProperty("ops").EnumerateArray())
            {
                // The values are raw bytes and not attributes: what counts here is the index, so each put gets a minimal Stat.
                await feed.AppendAsync([WithStat(op.Hex("hex")!)], Token);
                AppendTree tree = new(new NodeSource(feed), feed.Length - 1);
                foreach (JsonElement live in op.GetProperty("live").EnumerateArray())
                    (await tree.FindAsync(HyperCodec.Split(live[0].GetString()!), FetchPriority.Interactive, Token))!.Own!.Seq.Should().Be(live[1].GetInt64());
                foreach (JsonElement lost in op.GetProperty("lost").EnumerateArray())
                    (await tree.FindAsync(HyperCodec.Split(lost.GetString()!), FetchPriority.Interactive, Token))?.Own.Should().BeNull();
            }
        }
    }

    [Fact]
    public async Task A_writer_appends_the_reference_s_blocks_up_to_a_deletion_that_would_lose_files()
    {
        int compared = 0;
        foreach (JsonElement sequence in Sequences())
        {
            MemoryFolder folder = new();
            using SecretKey key = SecretKey.FromSeed(new byte[32]);
            await using HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(folder, TimeProvider.System, key, Token);
            foreach (JsonElement op in sequence.GetProperty("ops").EnumerateArray())
            {
                string name = op.GetProperty("name").GetString()!;
                bool put = op.GetProperty("op").GetString() == "put";
                long seq = put ? await writer.PutAsync(name, s_stat, Token) : await writer.DeleteNodeAsync(HyperCodec.Split(name), Token);
                seq.Should().Be(op.GetProperty("seq").GetInt64());
                writer.Feeds[0].TryRead(seq, out BlockLease block).Should().BeTrue();
                using (block)
                {
                    bool same = block.Memory.Span.SequenceEqual(WithStat(op.Hex("hex")!));
                    if (!same) put.Should().BeFalse("only a deletion may differ first");
                    if (!same) break;
                }

                compared++;
            }
        }

        compared.Should().BeGreaterThan(300);
    }

    private static readonly byte[] s_stat = [0x08, 0xa4, 0x83, 0x02];

    private static IEnumerable<JsonElement> Sequences()
    {
        JsonElement root = Vectors.Json("hyperdrive/sequences.json");
        return (root.ValueKind == JsonValueKind.Array ? root : root.GetProperty("sequences")).EnumerateArray();
    }

    private static byte[] WithStat(byte[] block)
    {
        Encoding.Schemas.Hyperdrive.Node node = Encoding.Schemas.Hyperdrive.Node.Parser.ParseFrom(block);
        if (node.HasValue) node.Value = Google.Protobuf.ByteString.CopyFrom(s_stat);
        return Google.Protobuf.MessageExtensions.ToByteArray(node);
    }

    private static async Task<Feed> NewFeedAsync()
    {
        Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        await feed.AppendAsync([HyperCodec.EncodeHeader(new byte[32])], Token);
        return feed;
    }
}
