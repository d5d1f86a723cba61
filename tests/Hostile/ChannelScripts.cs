using DatFs.Evidence;
using DatFs.Wire;
using Xunit;
using static DatMount.Hostile.Scripts;

namespace DatMount.Hostile;

/// <summary>Feeds named on one connection: too many, unknown ones, again and again (wire-protocol.md §3.4, §9.1).</summary>
public sealed class ChannelScripts(ShareStage stage) : IClassFixture<ShareStage>
{
    private const int KiB = 1024;

    private static readonly Script[] s_scripts =
    [
        Refused("unopened-channel", "a Want on a channel that no Feed opened", "a message on a channel that no Feed opened", RawPeer.Frame(7, FrameType.Want, [8, 0])),
        Refused("256-channels", "every channel there is, for feeds that nobody has", "too many feeds that are unknown here", [.. Enumerable.Range(1, 255).Select(channel => Feed(channel, Stranger()))]),
        Refused("malformed-feed", "a Feed whose discovery key is a byte short", "malformed Feed", RawPeer.Frame(1, FrameType.Feed, [0x0a, 31, .. new byte[31]])),
        Refused("18-messages-too-early", "18 messages on a feed that is not open here", "more than 17 messages", [Feed(1, Stranger()), .. Enumerable.Repeat(RawPeer.Frame(1, FrameType.Want, [8, 0]), 18)]),
        Refused("2-mib-too-early", "messages of 2 MiB on feeds that are not open here", "more than 1 MiB of messages",
            Feed(1, Stranger()), Feed(2, Stranger()), Feed(3, Stranger()), Feed(4, Stranger()),
            Bits(1), Bits(2), Bits(3), Bits(4)) with { MaxGrowthMiB = 64 },
        new("one-feed-on-256-channels", "opens the archive's own feed on one channel after another", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            for (int channel = 1; channel < 256; channel++) await raider.OpenAsync(channel, stage.Key);
            await EndAsync(stage, raider);
        }),
        new("one-channel-for-ever-new-feeds", "ten thousand feeds that nobody has, one after the other on one channel", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            raider.Listen();
            byte[][] feeds = [.. Enumerable.Range(0, 100).Select(_ => Feed(1, Stranger()))];
            await raider.FloodAsync([.. feeds.SelectMany(feed => feed)], 100);
            await raider.StaysOpenAsync();
        }),
        new("one-feed-again-and-again", "opens the archive's own feed ten thousand times, each time closing it", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            raider.Listen();
            await raider.FloodAsync(Feed(0, stage.Key), 10_000);
            await EndAsync(stage, raider);
        }),
        new("content-first", "names the content feed first, which is not how the archive begins", async stage =>
        {
            await using Raider raider = await stage.DialAsync(stage.ContentKey);
            await raider.GreetAsync();
            await stage.ClosedAsync(raider, "asked for a feed that is not served here");
        }),
    ];

    public static TheoryData<string> Names => [.. s_scripts.Select(script => script.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public Task The_program_holds(string name) => stage.PlayAsync("channels", s_scripts.Single(script => script.Name == name));

    // Everything before was handled when the end is understood.
    private static async Task EndAsync(ShareStage stage, Raider raider)
    {
        await raider.SendAsync(RawPeer.Frame(256, FrameType.Want, [8, 0]));
        await stage.ClosedAsync(raider, "a channel number of 256");
    }

    // A ranged Have of 150 KiB four times over would be within the bound, so one in the legacy form of 500 KiB on each.
    private static byte[] Bits(int channel) => Have(0, null, [.. Number(2 * 500 * KiB), .. new byte[500 * KiB]], channel);
}
