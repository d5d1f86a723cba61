using System.Diagnostics;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Xunit;
using static DatMount.Hostile.Scripts;

namespace DatMount.Hostile;

/// <summary>
/// Peers that a running mount dialled and that lie to it: about what they have, about lengths, with blocks nobody asked for, as echoes, as
/// somebody in the middle of the line (wire-protocol.md §9.2, §9.3; hypercore.md §18.7, §18.10). A reader meanwhile gets the owner's bytes.
/// </summary>
public sealed class DataScripts(DataStage stage, Report report) : IClassFixture<DataStage>
{
    private const int KiB = 1024;
    private const int MiB = 1024 * KiB;
    private const long LastBlock = 15;

    private static readonly Deed[] s_deeds =
    [
        new("echo", "knows nothing and sends every byte back", async (ambush, _) =>
        {
            await using Raider raider = await ambush.MeetAsync();
            await raider.EchoAsync();
            await ambush.EndedAsync(raider, "our own bytes came back");
        }),
        new("web-server", "a web server answers at the peer's address", async (ambush, _) =>
        {
            await using Raider raider = await ambush.MeetAsync();
            await raider.SendClearAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());
            await ambush.EndedAsync(raider, "the first frame is not a Feed");
        }),
        new("other-archive", "answers with another archive's name", async (ambush, _) =>
        {
            await using Raider raider = await ambush.MeetAsync();
            await raider.FeedAsync(Stranger());
            await ambush.EndedAsync(raider, "the remote's first feed is not ours");
        }),
        new("unasked-blocks", "a hundred blocks that nobody asked for", async (ambush, drive) =>
        {
            await using Impostor impostor = await Impostor.BeginAsync(ambush, drive);
            byte[] data = RawPeer.Frame(Impostor.ContentChannel, FrameType.Data, RawPeer.Body(new Proof(3, new byte[10], [], null)));
            await ambush.MountedAsync();
            for (int i = 0; i < 100; i++) await impostor.Raider.SendAsync(data);
            await ambush.EndedAsync(impostor.Raider, "the peer sends blocks that nobody asked for");
        }),
        new("8-mib-for-10-bytes", "answers a request for a small block with 8 MiB of noise", async (ambush, drive) =>
        {
            await using Impostor impostor = await Impostor.BeginAsync(ambush, drive);
            await ambush.MountedAsync();
            await impostor.AnnounceAsync(LastBlock);
            _ = ambush.ReadAsync(DataStage.Name(LastBlock));
            await impostor.AskedAsync(LastBlock, hash: false);
            await impostor.AnswerAsync(RawPeer.Body(new Proof(LastBlock, new byte[8 * MiB - 100], [], null)));
            await ambush.EndedAsync(impostor.Raider, "Violation");
        }) { MaxGrowthMiB = 64 },
        new("malformed-answer", "answers a request with something that cannot be read", async (ambush, drive) =>
        {
            await using Impostor impostor = await Impostor.BeginAsync(ambush, drive);
            await ambush.MountedAsync();
            await impostor.AnnounceAsync(LastBlock);
            _ = ambush.ReadAsync(DataStage.Name(LastBlock));
            await impostor.AskedAsync(LastBlock, hash: false);
            await impostor.AnswerAsync([0x12, 0x7f]);
            await ambush.EndedAsync(impostor.Raider, "an answer that cannot be read");
        }),
        new("banned-after-two-lies", "sends a wrong block, comes back, sends another, comes back", async (ambush, drive) =>
        {
            byte[] id = new byte[32];
            id[0] = 7;
            for (int lie = 0; lie < 2; lie++)
            {
                await using Impostor impostor = await Impostor.BeginAsync(ambush, drive, id);
                if (lie == 0) await ambush.MountedAsync();
                await impostor.AnnounceAsync(LastBlock - lie);
                _ = ambush.ReadAsync(DataStage.Name(LastBlock - lie));
                await impostor.AskedAsync(LastBlock - lie, hash: false);
                await impostor.AnswerAsync(RawPeer.Body(new Proof(LastBlock - lie, new byte[10], [], null)));
                await impostor.Raider.ClosedAsync();
            }

            await using Raider again = await ambush.MeetAsync(id);
            await again.GreetAsync();
            await ambush.EndedAsync(again, "the peer sent wrong proofs before");
        }),
        new("length-of-2-to-39", "says that the archive has 2^39 blocks and answers nothing", async (ambush, drive) =>
        {
            await using Raider raider = await ambush.MeetAsync();
            await raider.GreetAsync();
            await raider.OpenAsync(Impostor.ContentChannel, drive.Content.Key);
            await raider.SendAsync(Have(0, 1UL << 39));
            await raider.SendAsync(Have(0, 1UL << 39, channel: Impostor.ContentChannel));
            await raider.HearAsync(FrameType.Request);
            ambush.Honest.Resume();
            await ambush.MountedAsync();
            using JsonDocument status = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(ambush.Mountpoint, ".dat", "status.json")));
            status.RootElement.GetProperty("version").GetInt64().Should().Be(drive.Metadata.Length - 1, "what a peer says is no version");
        }),
        new("ever-longer", "a hundred thousand announcements, each of one block more", async (ambush, drive) =>
        {
            await using Impostor impostor = await Impostor.BeginAsync(ambush, drive);
            await ambush.MountedAsync();
            for (ulong part = 0; part < 100; part++)
                await impostor.Raider.SendAsync([.. Enumerable.Range(0, 1000).SelectMany(i => Have(1000 + part * 1000 + (ulong)i, channel: Impostor.ContentChannel))]);
            await impostor.Raider.StaysOpenAsync();
        }),
        new("has-and-has-not", "announces a block, is asked, takes it back", async (ambush, drive) =>
        {
            await using Impostor impostor = await Impostor.BeginAsync(ambush, drive);
            await ambush.MountedAsync();
            await impostor.AnnounceAsync(LastBlock);
            Task<byte[]> reading = ambush.ReadAsync(DataStage.Name(LastBlock));
            await impostor.AskedAsync(LastBlock, hash: false);
            await impostor.Raider.SendAsync(RawPeer.Frame(Impostor.ContentChannel, FrameType.Unhave, [8, (byte)LastBlock, 16, 1]));
            ambush.Honest.Resume();
            (await reading).Should().Equal(drive.Block(LastBlock));
        }),
        new("silent-about-a-block", "announces a block, is asked, and only pings: the reader is served by somebody else at once", async (ambush, drive) =>
        {
            await using Impostor impostor = await Impostor.BeginAsync(ambush, drive);
            await ambush.MountedAsync();
            await impostor.AnnounceAsync(LastBlock);
            Task<byte[]> reading = ambush.ReadAsync(DataStage.Name(LastBlock));
            await impostor.AskedAsync(LastBlock, hash: false);
            ambush.Honest.Resume();
            (await reading.WaitAsync(Raider.Promptly)).Should().Equal(drive.Block(LastBlock));
        }),
        new("second-history", "the owner's key was used twice: another process shares the other history", async (ambush, drive) =>
        {
            await using CraftedFolder other = await DataStage.OtherHistoryAsync();
            await using Impostor impostor = await Impostor.BeginAsync(ambush, drive);
            await ambush.MountedAsync();
            ambush.Honest.Resume();
            (await ambush.ReadAsync(DataStage.Name(3))).Should().Equal(drive.Block(3));
            await impostor.AnnounceAsync(LastBlock + 1);
            RequestMessage request = await impostor.AskedAsync(LastBlock + 1, hash: true);
            other.Content.TryProve(request.Index, 0, true, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
            await impostor.AnswerAsync(RawPeer.Body(proof));
            lease.Dispose();
            await ambush.LoggedAsync("was signed twice by its owner", ambush.Address);
            (await ambush.ReadAsync(DataStage.Name(3))).Should().Equal(drive.Block(3), "what was verified stays readable");
        }) { Recovers = false },
        new("flips-bits-of-blocks", "somebody on the line flips one bit in each longer piece: found out by the proof, never read", async (ambush, drive) =>
        {
            await ambush.MountedAsync();
            Task<byte[]> reading = ambush.ReadAsync(DataStage.Name(LastBlock));
            await ambush.LoggedAsync($"{ambush.Address} sent a wrong proof");
            await ambush.LoggedAsync($"Connection to {ambush.Address} is over");
            ambush.Honest.Resume();
            (await reading).Should().Equal(drive.Block(LastBlock));
        }) { Flips = () => new BitFlips(4001, 1) },
        new("flips-bits", "somebody on the line flips one bit in every fourth piece either way, whatever it is part of", async (ambush, _) =>
        {
            // Nothing but blocks is authenticated: what a flip does may be a lie as well as the end of the connection (wire-protocol.md §9.3).
            await ambush.Flips!.FirstAsync.WaitAsync(Raider.Patience);
            ambush.Honest.Resume();
            await ambush.MountedAsync();
        }) { Flips = () => new BitFlips(1, 4) },
    ];

    public static TheoryData<string> Names => [.. s_deeds.Select(deed => deed.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Readers_get_the_owners_bytes(string name)
    {
        ProofStage.SkipWithoutFuse();
        Deed deed = s_deeds.Single(deed => deed.Name == name);
        Stopwatch clock = Stopwatch.StartNew();
        await using Ambush ambush = new(stage.Drive.Key, stage.Port, deed.Flips?.Invoke());
        await deed.Play(ambush, stage.Drive);
        ambush.Leave();
        ambush.Honest.Resume();
        if (deed.Recovers)
        {
            for (long block = 0; block <= LastBlock; block++)
                (await ambush.ReadAsync(DataStage.Name(block))).Should().Equal(stage.Drive.Block(block), "the honest peer has it");
        }

        ambush.ShouldLive();
        long grown = Math.Max(0, ambush.MemoryPeak - ambush.MemoryBefore);
        (grown / 1024.0).Should().BeLessThan(deed.MaxGrowthMiB);
        report.Add("data", deed.Name, deed.What, 1, grown, deed.MaxGrowthMiB, clock.Elapsed);
    }

    /// <summary>One lie to a mount. Afterwards every file is read, unless the drive cannot recover from it.</summary>
    private sealed record Deed(string Name, string What, Func<Ambush, CraftedFolder, Task> Play)
    {
        public int MaxGrowthMiB { get; init; } = 48;

        public bool Recovers { get; init; } = true;

        /// <summary>The attacker is no peer, but stands on a line.</summary>
        public Func<BitFlips>? Flips { get; init; }
    }
}

/// <summary>A drive of sixteen files of one block each, of growing sizes up to 60 KiB, shared by an honest process.</summary>
public sealed class DataStage : IAsyncLifetime
{
    private const int Blocks = 16;

    private static readonly byte[] s_seed = [.. Enumerable.Repeat((byte)0x5e, SecretKey.SeedSize)];

    private readonly TempFolder _home = TempFolder.Create("hostile-honest");
    private Datmount _honest = null!;

    internal CraftedFolder Drive { get; private set; } = null!;

    internal int Port { get; private set; }

    internal static string Name(long block) => $"file-{block}";

    public async ValueTask InitializeAsync()
    {
        Drive = await CreateAsync(Blocks, 1);
        await Drive.ReleaseAsync();
        (_honest, Port) = await Sharing.StartAsync(_home, Drive.Path);
    }

    /// <summary>The same key over other blocks, and one more of them.</summary>
    internal static Task<CraftedFolder> OtherHistoryAsync() => CreateAsync(Blocks + 1, 2);

    public async ValueTask DisposeAsync()
    {
        await _honest.DisposeAsync();
        await Drive.DisposeAsync();
        _home.Dispose();
    }

    private static async Task<CraftedFolder> CreateAsync(int blocks, int tag)
    {
        CraftedFolder drive = await CraftedFolder.CreateAsync(null, SecretKey.FromSeed(s_seed));
        for (int block = 0; block < blocks; block++)
        {
            byte[] bytes = FormulaBlocks.Bytes(tag, block, 10 + block * 4000);
            long at = drive.Content.ByteLength;
            await drive.Content.AppendAsync([bytes], CancellationToken.None);
            await drive.PutAsync(Name(block), CraftedFolder.Stat(size: bytes.Length, blocks: 1, offset: block, byteOffset: at));
        }

        return drive;
    }
}
