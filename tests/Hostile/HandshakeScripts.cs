using System.Security.Cryptography;
using DatFs.Evidence;
using DatFs.Wire;
using Google.Protobuf;
using Xunit;
using static DatMount.Hostile.Scripts;
using Schemas = DatFs.Encoding.Schemas.Wire;

namespace DatMount.Hostile;

/// <summary>Connections that begin as none should (wire-protocol.md §3.2, §3.5, §9.1, §9.3).</summary>
public sealed class HandshakeScripts(ShareStage stage) : IClassFixture<ShareStage>
{
    private const string NoFeed = "the first frame is not a Feed";
    private const string NoHandshake = "the first encrypted frame is not a Handshake";
    private const string Bounds = "a Handshake beyond";

    private static readonly Script[] s_scripts =
    [
        Clear("web-request", "a browser finds the port", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray(), NoFeed),
        Clear("first-frame-claims-8-mib", "a first frame of 8 MiB is announced, so that room is made for it", [0x80, 0x80, 0x80, 0x04, 0x00], NoFeed),
        Clear("first-length-never-ends", "the length of the first frame goes on and on", [0xff, 0xff, 0xff, 0xff, 0xff, 0x01], NoFeed),
        Clear("first-frame-is-a-want", "a Want instead of a Feed", RawPeer.Frame(0, FrameType.Want, [8, 0]), NoFeed),
        Clear("nonce-too-short", "a nonce of 23 bytes", FirstFeed(23), NoFeed),
        Clear("nonce-too-long", "a nonce of 32 bytes, as the written proposal has it", FirstFeed(32), NoFeed),
        Clear("ends-inside-the-first-frame", "half a Feed, then the end of the stream", FirstFeed(24)[..30], "ended the stream", end: true),
        new("unknown-archive", "asks for an archive that is not shared here", async stage =>
        {
            await using Raider raider = await stage.DialAsync(Stranger());
            await raider.GreetAsync();
            await stage.ClosedAsync(raider, "asked for a feed that is not served here");
        }),
        new("does-not-have-the-key", "knows the public name only, and sends noise", async stage =>
        {
            await using Raider raider = await stage.DialAsync();
            await raider.FeedAsync();
            // More than the longest Handshake: whatever the noise claims to be, it is there.
            await raider.SendClearAsync(RandomNumberGenerator.GetBytes(80 * 1024));
            await stage.ClosedAsync(raider, "Violation");
        }),
        After("no-handshake", "talks without a Handshake", RawPeer.Frame(0, FrameType.Want, [8, 0, 16, 0]), NoHandshake),
        After("handshake-claims-8-mib", "announces a Handshake of 8 MiB", [0x80, 0x80, 0x80, 0x04, 0x01], "a frame of 8388608 bytes and type Handshake"),
        After("user-data-too-long", "user data of 4 KiB and one byte", Handshake(new Schemas.Handshake { Id = Id(), UserData = ByteString.CopyFrom(new byte[4097]) }), Bounds),
        After("too-many-extensions", "65 extension names", Handshake(Extensions(65, 3)), Bounds),
        After("extension-name-too-long", "an extension name of 256 bytes", Handshake(Extensions(1, 256)), Bounds),
        After("malformed-handshake", "a Handshake whose field reaches beyond its end", RawPeer.Frame(0, FrameType.Handshake, [0x0a, 0x20, 1, 2, 3]), NoHandshake),
        new("reflected-id", "says that it is the program itself", async stage =>
        {
            await using Raider first = await stage.DialAsync();
            await first.GreetAsync();
            byte[] id = Schemas.Handshake.Parser.ParseFrom((await first.HearAsync(FrameType.Handshake)).Body).Id.ToByteArray();
            await using Raider raider = await stage.DialAsync(id);
            await raider.GreetAsync();
            await stage.ClosedAsync(raider, "the connection led back to us");
        }),
        new("handshake-again", "a second Handshake, with another id: it counts for nothing", async stage =>
        {
            await using Raider raider = await stage.DialAsync();
            await raider.GreetAsync();
            await raider.SendAsync(Handshake(new Schemas.Handshake { Id = Id() }));
            await raider.StaysOpenAsync();
        }),
        new("handshake-again-and-again", "ten thousand Handshakes after the first", async stage =>
        {
            await using Raider raider = await stage.DialAsync();
            await raider.GreetAsync();
            await raider.FloodAsync(Handshake(new Schemas.Handshake { Id = Id() }), 10_000);
            await stage.ClosedAsync(raider, "frames without meaning");
        }),
        new("same-peer-many-times", "fifty connections that say they are one peer: one stays", async stage =>
        {
            byte[] id = RandomNumberGenerator.GetBytes(32);
            List<Raider> raiders = [];
            for (int i = 0; i < 50; i++)
            {
                raiders.Add(await stage.DialAsync(id));
                await raiders[^1].GreetAsync();
                raiders[^1].Listen();
            }

            using CancellationTokenSource patience = new(Raider.Patience);
            while (raiders.FindAll(raider => !raider.IsClosed) is { Count: > 1 } open) await Task.WhenAny(open.Select(raider => raider.Ended)).WaitAsync(patience.Token);
            await raiders.Single(raider => !raider.IsClosed).StaysOpenAsync();
            await stage.LoggedAsync(raiders.First(raider => raider.IsClosed), "Duplicate", "another connection to the same peer is kept");
            foreach (Raider raider in raiders) await raider.DisposeAsync();
        }),
    ];

    public static TheoryData<string> Names => [.. s_scripts.Select(script => script.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public Task The_program_holds(string name) => stage.PlayAsync("handshake", s_scripts.Single(script => script.Name == name));

    private static ByteString Id() => ByteString.CopyFrom(RandomNumberGenerator.GetBytes(32));

    private static byte[] FirstFeed(int nonce) => RawPeer.Frame(0, FrameType.Feed, MessageCodec.Encode(Stranger().ToDiscoveryKey(), new byte[nonce]).ToByteArray());

    private static byte[] Handshake(Schemas.Handshake handshake) => RawPeer.Frame(0, FrameType.Handshake, handshake.ToByteArray());

    private static Schemas.Handshake Extensions(int count, int length)
    {
        Schemas.Handshake handshake = new() { Id = Id() };
        for (int i = 0; i < count; i++) handshake.Extensions.Add(i.ToString("000", System.Globalization.CultureInfo.InvariantCulture).PadRight(length, 'x'));
        return handshake;
    }

    private static Script Clear(string name, string what, byte[] bytes, string cause, bool end = false) => new(name, what, async stage =>
    {
        await using Raider raider = await stage.DialAsync();
        await raider.SendClearAsync(bytes);
        if (end) raider.End();
        await stage.ClosedAsync(raider, cause);
    });

    private static Script After(string name, string what, byte[] bytes, string cause) => new(name, what, async stage =>
    {
        await using Raider raider = await stage.DialAsync();
        await raider.FeedAsync();
        await raider.SendAsync(bytes);
        await stage.ClosedAsync(raider, cause);
    });
}
