using DatFs.Evidence;
using DatFs.Wire;
using Xunit;
using static DatMount.Hostile.Scripts;

namespace DatMount.Hostile;

/// <summary>Frames that lie about their length, never end, or mean nothing (wire-protocol.md §2, §9.1), from a peer that has the key.</summary>
public sealed class FramingScripts(ShareStage stage) : IClassFixture<ShareStage>
{
    private const int KiB = 1024;
    private const int MiB = 1024 * KiB;
    private const string Junk = "frames without meaning";

    private static readonly Script[] s_scripts =
    [
        Refused("length-above-8-mib", "a frame of 8 MiB and one byte", "a frame length above 8 MiB", Number(8 * MiB + 1)),
        Refused("length-of-4-gib", "a frame of 4 GiB", "a frame length above 8 MiB", Number(1UL << 32)),
        Refused("length-never-ends", "a frame's length that goes on and on", "a frame length above 8 MiB", Enumerable.Repeat((byte)0x80, 64).ToArray()),
        Refused("header-never-ends", "a frame's header that goes on and on", "a frame header that does not end", [[30, .. Enumerable.Repeat((byte)0xff, 30)]]),
        Refused("channel-256", "a channel beyond the last", "a channel number of 256", [[3, 0x85, 0x20, 0]]),
        Refused("channel-of-60-bits", "a channel number that would overflow", "a frame header", [[11, 0xf5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0]]),
        Refused("want-of-5-kib", "a Want longer than any", "type Want, where 4096 are allowed", [[.. Number(5 * KiB), 0x05]]),
        Refused("request-of-8-mib", "a Request of 8 MiB", "type Request, where 4096 are allowed", [[.. Number(8 * MiB), 0x07]]),
        Refused("data-nobody-asked-for", "a block of 8 MiB that nobody asked for", "type Data, where 4096 are allowed", [[.. Number(8 * MiB), 0x09]]),
        Refused("extension-of-1-mib", "an extension message of 1 MiB", "type Extension, where", [[.. Number(MiB), 0x0f]]),
        Refused("second-have-of-1-mib", "after one Have with bits another of 1 MiB", "type Have, where", Have(0, 8192, [7]), [.. Number(MiB), 0x03]),
        Refused("ranged-have-of-1-mib", "a Have of 1 MiB for a range", "a Have above 160 KiB that is not of the legacy form", Have(0, 8 * MiB, [.. Number(2 * (MiB - 1)), .. new byte[MiB - 1]])) with { MaxGrowthMiB = 64 },
        RefusedFlood("keep-alives", "a hundred thousand keep-alives", Junk, [0], 100_000),
        RefusedFlood("empty-frames", "a hundred thousand frames without a body", Junk, [1, 7], 100_000),
        RefusedFlood("unassigned-types", "a hundred thousand frames of a type that does not exist", Junk, [3, 12, 1, 2], 100_000),
        RefusedFlood("malformed-wants", "a hundred thousand Wants that cannot be read", Junk, RawPeer.Frame(0, FrameType.Want, [0x0b, 0x08, 0x01, 0x0c]), 100_000),
        Ignored("malformed-messages", "one of each kind that cannot be read: a group, an overrun, a number of 11 bytes, a wrong wire type",
            RawPeer.Frame(0, FrameType.Want, [0x0b, 0x08, 0x01, 0x0c]),
            RawPeer.Frame(0, FrameType.Have, [0x08, 0, 0x1a, 0x7f, 1]),
            RawPeer.Frame(0, FrameType.Request, [0x08, .. Enumerable.Repeat((byte)0xff, 10), 0]),
            RawPeer.Frame(0, FrameType.Info, [0x0a, 0x01, 0x01]),
            RawPeer.Frame(0, FrameType.Unhave, [0x10, 0x01]),
            RawPeer.Frame(0, FrameType.Cancel, [0xff]),
            RawPeer.Frame(0, FrameType.Data, [0x12, 0x05, 1])),
        new("noise", "64 KiB of noise where frames should be", async stage =>
        {
            byte[] noise = new byte[64 * KiB];
            SeededBytes.Fill(1, 0, noise);
            await using Raider raider = await GreetedAsync(stage);
            await raider.SendAsync(noise);
            await stage.ClosedAsync(raider, "Violation");
        }),
        new("ends-inside-a-frame", "half a Want, then the end of the stream", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            await raider.SendAsync([20, 5, 8]);
            raider.End();
            await stage.ClosedAsync(raider, "the remote ended the stream inside a frame");
        }),
        new("one-byte-at-a-time", "a peer whose every byte comes alone is served like any other", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            foreach (byte one in Frame(FrameType.Want, MessageCodec.Encode(new WantMessage(0, 8192)))) await raider.SendAsync([one]);
            await raider.HearAsync(FrameType.Have);
        }),
        new("16-frames-of-8-mib-begun", "sixteen peers announce 8 MiB each and send 1 MiB of it: memory follows what came, not what was announced", async stage =>
        {
            List<Raider> raiders = [];
            for (int i = 0; i < 16; i++)
            {
                raiders.Add(await GreetedAsync(stage));
                await raiders[^1].SendAsync([.. Number(8 * MiB), 0x03, .. new byte[MiB]]);
            }

            foreach (Raider raider in raiders) await raider.DisposeAsync();
        }) { MaxGrowthMiB = 16 * 2 + Script.QuietMiB },
        new("come-and-go", "fifty connections that are cut off after their Handshake", async stage =>
        {
            for (int i = 0; i < 50; i++) await (await GreetedAsync(stage)).DisposeAsync();
        }),
    ];

    public static TheoryData<string> Names => [.. s_scripts.Select(script => script.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public Task The_program_holds(string name) => stage.PlayAsync("framing", s_scripts.Single(script => script.Name == name));
}
