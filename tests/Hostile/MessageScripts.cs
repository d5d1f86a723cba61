using System.Text.Json;
using DatFs.Evidence;
using DatFs.Wire;
using Xunit;
using static DatMount.Hostile.Scripts;

namespace DatMount.Hostile;

/// <summary>Haves, Wants and the other small messages as bombs and floods (wire-protocol.md §6.2, §9.1, §9.2; hypercore.md §18.9).</summary>
public sealed class MessageScripts(ShareStage stage) : IClassFixture<ShareStage>
{
    private const ulong MaxNumber = (1UL << 53) - 1;
    private const string BadBits = "Have with a bad bitfield";
    private const string TooFar = "Have ends above 2^40";

    private static readonly Script[] s_scripts =
    [
        Refused("bomb-of-5-bytes", "5 bytes of bitfield that mean 256 MiB", BadBits, Have(0, null, Run(256 << 20, true))),
        Refused("bomb-of-6-bytes", "6 bytes of bitfield that mean 8 GiB", BadBits, Have(0, null, Run(8UL << 30, true))),
        Refused("bomb-of-53-bits", "a bitfield that means 2^53 bytes", BadBits, Have(0, null, Run(1UL << 53, false))),
        Refused("bomb-in-a-range", "a bitfield longer than its own range", BadBits, Have(0, 8192, Run(1025, true))),
        Refused("bomb-in-pieces", "fifteen thousand runs that add up to 2^56 bytes", BadBits, Have(0, null, [.. Enumerable.Repeat(Run(1UL << 43, true), 15_000).SelectMany(run => run)])),
        new("broken-bitfields", "every broken bitfield of the vectors, each on a connection of its own", async stage =>
        {
            foreach (JsonElement row in Vectors.Json("hypercore/rle.json").GetProperty("invalid").EnumerateArray())
            {
                await using Raider raider = await GreetedAsync(stage);
                await raider.SendAsync(Have(0, null, row.Hex("encoded")!));
                await stage.ClosedAsync(raider, BadBits);
            }
        }),
        Refused("have-off-a-byte", "a bitfield that begins inside a byte", "Have with a bitfield starts off a byte", Have(3, 8192, [7])),
        Refused("have-to-2-to-53", "announces 2^53 blocks", TooFar, Have(0, MaxNumber)),
        Refused("have-from-2-to-53", "announces blocks where numbers end", TooFar, Have(MaxNumber, MaxNumber)),
        Refused("have-bits-to-2-to-53", "bits for a range of 2^53 blocks", TooFar, Have(0, MaxNumber, [7])),
        Ignored("numbers-above-53-bits", "numbers that other peers cannot hold exactly", Have(ulong.MaxValue), Have(0, 1UL << 63), Frame(FrameType.Want, new DatFs.Encoding.Schemas.Wire.Want { Start = 1UL << 60 })),
        Ignored("have-everything", "announces 2^40 blocks at once, which costs no more than one", Have(0, 1UL << 40)),
        new("have-here-and-there", "announces single blocks far apart, each of which costs a page", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            byte[] far = [.. Enumerable.Range(0, 2000).SelectMany(i => Have((ulong)i << 20))];
            await raider.SendAsync(far);
            await stage.ClosedAsync(raider, "bitfield needs more than 4 MiB");
        }),
        new("have-every-second", "announces every second block of 2^26", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            byte[] half = [.. Number(2 * 131_072), .. Enumerable.Repeat((byte)0x55, 131_072)];
            for (ulong range = 0; range < 64; range++) await raider.SendAsync(Have(range << 20, 1 << 20, half));
            await stage.ClosedAsync(raider, "bitfield needs more than 4 MiB");
        }),
        RefusedFlood("have-and-unhave", "announces everything and takes it back, fifty thousand times", "the peer takes back whatever it is asked for", [.. Have(0, 1UL << 40), .. Frame(FrameType.Unhave, new DatFs.Encoding.Schemas.Wire.Unhave { Start = 5, Length = 1UL << 40 })], 50_000),
        IgnoredFlood("one-have-again-and-again", "the same Have two hundred thousand times", Have(1), 200_000),
        Ignored("wants-out-of-bounds", "Wants of 2^31 and 2^53 blocks, off the grid, and of nothing", Want(0, 1UL << 31), Want(0, MaxNumber - 8191), Want(5, 8192), Want(0, 5), Want(MaxNumber, MaxNumber), Want(8192, 0)),
        IgnoredFlood("infos", "two hundred thousand Infos that say one thing and the other", [.. RawPeer.Frame(0, FrameType.Info, [8, 1, 16, 0]), .. RawPeer.Frame(0, FrameType.Info, [8, 0, 16, 1])], 100_000),
        IgnoredFlood("unwants", "two hundred thousand Unwants", RawPeer.Frame(0, FrameType.Unwant, [8, 0, 16, 0]), 200_000),
        IgnoredFlood("cancels", "two hundred thousand Cancels of what was not asked", RawPeer.Frame(0, FrameType.Cancel, [8, 1]), 200_000),
        IgnoredFlood("acknowledgements", "two hundred thousand acknowledgements of what was not sent", RawPeer.Frame(0, FrameType.Have, [8, 1, 16, 1, 32, 1]), 200_000),
        RefusedFlood("unknown-extension-numbers", "extension messages of 32 KiB under a number that was not named", "frames without meaning", RawPeer.Frame(0, FrameType.Extension, [5, .. new byte[32 * 1024]]), 2000),
        new("foreign-extension", "64 MiB of messages for an extension that the program does not have", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage, "flood");
            await raider.FloodAsync(RawPeer.Frame(0, FrameType.Extension, [0, .. new byte[64 * 1024]]), 1024);
            await raider.StaysOpenAsync();
        }),
        new("wants-without-reading", "a hundred thousand Wants of a peer that reads no answer: what it repeats is answered once", async stage =>
        {
            await using Raider raider = await GreetedAsync(stage);
            await raider.FloodAsync(Want(0, 1 << 20), 100_000);
        }),
    ];

    public static TheoryData<string> Names => [.. s_scripts.Select(script => script.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public Task The_program_holds(string name) => stage.PlayAsync("messages", s_scripts.Single(script => script.Name == name));

    private static byte[] Want(ulong start, ulong length) => Frame(FrameType.Want, new DatFs.Encoding.Schemas.Wire.Want { Start = start, Length = length });
}
