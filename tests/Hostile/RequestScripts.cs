using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Xunit;
using static DatMount.Hostile.Scripts;

namespace DatMount.Hostile;

/// <summary>Requests as amplification, as floods, and for what there is not (wire-protocol.md §5.5, §5.6, §9.1, §9.2; hypercore.md §18.10).</summary>
public sealed class RequestScripts(ShareStage stage) : IClassFixture<ShareStage>
{
    private const long MaxNumber = (1L << 53) - 1;
    private const string NotAnnounced = "the peer asks for blocks that were not announced";

    private static readonly Script[] s_scripts =
    [
        Refused("blocks-that-are-not-there", "asks for a hundred blocks after the last", NotAnnounced, Many(i => Request(1_000 + i))),
        Refused("blocks-at-2-to-53", "asks for blocks where numbers end", NotAnnounced, Many(i => Request(MaxNumber - i))),
        Refused("hashes-that-are-not-there", "asks for the hashes of blocks that do not exist", NotAnnounced, Many(i => Request((1L << 40) + i, hash: true))),
        new("one-block-a-thousand-times", "asks for one block a thousand times: eight answers a minute", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            await raider.OpenAsync(1, stage.ContentKey);
            await raider.FloodAsync(Request(3, channel: 1), 1000);
            await raider.SendAsync(Request(4, channel: 1));
            int answers = 0;
            for (Proof? proof = null; proof?.Index != 4; answers++)
                DataCodec.TryDecode((await raider.HearAsync(FrameType.Data)).Body, out proof).Should().BeTrue();
            answers.Should().Be(9, "eight of one block and one of the other");
        }),
        new("hostile-digests", "digests that claim every tree there could be", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            await raider.OpenAsync(1, stage.ContentKey);
            for (int bit = 0; bit < 53; bit++)
            {
                await raider.SendAsync(Request(bit, digest: 1UL << bit, channel: 1));
                await raider.SendAsync(Request(bit, digest: (1UL << 53) - 1 - (1UL << bit), channel: 1));
            }

            for (int answer = 0; answer < 2 * 53; answer++) await raider.HearAsync(FrameType.Data);
        }),
        new("hostile-offsets", "looks for bytes at and beyond the end, and for the same ones again", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            await raider.OpenAsync(1, stage.ContentKey);
            foreach (long offset in (long[])[6_000_001, 6_000_002, MaxNumber, 1L << 40, 70_000, 70_000, 70_000]) await raider.SendAsync(Request(2, offset, channel: 1));
            await raider.SendAsync(Request(5, channel: 1));
            Proof? proof;
            do DataCodec.TryDecode((await raider.HearAsync(FrameType.Data)).Body, out proof).Should().BeTrue();
            while (proof!.Index != 5);
        }),
        new("offsets-by-the-thousand", "looks for fifty thousand different bytes by hash", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            await raider.OpenAsync(1, stage.ContentKey);
            raider.Listen();
            for (int part = 0; part < 50; part++)
                await raider.SendAsync([.. Enumerable.Range(0, 1000).SelectMany(i => Request(1, 1 + (part * 1000 + i) * 100L, hash: true, channel: 1))]);
            await raider.StaysOpenAsync();
        }),
        new("asks-and-cancels", "a hundred thousand requests, each taken back at once", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            await raider.OpenAsync(1, stage.ContentKey);
            raider.Listen();
            await raider.FloodAsync([.. Request(6, channel: 1), .. RawPeer.Frame(1, FrameType.Cancel, [8, 6, 16, 0, 24, 0])], 100_000);
            await raider.StaysOpenAsync();
        }),
        new("asks-and-does-not-read", "twenty peers ask for all blocks many times over and read nothing: each holds a megabyte at most", async stage =>
        {
            byte[] all = [.. Enumerable.Range(0, 90).SelectMany(index => Request(index, channel: 1))];
            List<Raider> raiders = [];
            for (int i = 0; i < 20; i++)
            {
                raiders.Add(await GreetedAsync(stage));
                await raiders[^1].OpenAsync(1, stage.ContentKey);
                await raiders[^1].FloodAsync(all, 8);
            }

            foreach (Raider raider in raiders) await raider.DisposeAsync();
        }) { MaxGrowthMiB = 20 * 3 + Script.QuietMiB },
    ];

    public static TheoryData<string> Names => [.. s_scripts.Select(script => script.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public Task The_program_holds(string name) => stage.PlayAsync("requests", s_scripts.Single(script => script.Name == name));

    private static byte[] Many(Func<int, byte[]> request) => [.. Enumerable.Range(0, 100).SelectMany(request)];

    private static byte[] Request(long index, long bytes = 0, bool hash = false, ulong digest = 0, int channel = 0) =>
        Frame(FrameType.Request, MessageCodec.Encode(new RequestMessage(index, bytes, hash, digest)), channel);
}
