using System.Diagnostics;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Google.Protobuf;
using Xunit;
using Schemas = DatFs.Encoding.Schemas.Wire;

namespace DatMount.Hostile;

/// <summary>
/// Every recorded answer of hostile-proofs.json (hypercore.md §18) as the answer of a peer to a running mount. A reader waits for the very block;
/// it must get the owner's bytes, from the honest peer where the attacker lied, or an error where the owner signed two histories.
/// </summary>
public sealed class ProofScripts(ProofStage stage, Report report) : IClassFixture<ProofStage>
{
    private const int MaxGrowthMiB = 48;

    private static readonly JsonElement s_hostile = Vectors.Json("hypercore/hostile-proofs.json");

    public static TheoryData<string> Names => [.. s_hostile.GetProperty("cases").EnumerateArray().Select(row => row.GetProperty("name").GetString()!)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_reader_gets_the_owners_bytes_or_an_error(string name)
    {
        ProofStage.SkipWithoutFuse();
        Stopwatch clock = Stopwatch.StartNew();
        JsonElement row = s_hostile.GetProperty("cases").EnumerateArray().Single(item => item.GetProperty("name").GetString() == name);
        string expect = row.GetProperty("expect").GetString()!;
        await using Ambush ambush = new(stage.Drive.Key, stage.Port);
        await using Impostor impostor = await Impostor.BeginAsync(ambush, stage.Drive);
        await ambush.MountedAsync();
        long length = 0;
        foreach (JsonElement before in row.GetProperty("before").EnumerateArray()) length = await PrepareAsync(ambush, impostor, before, length);

        JsonElement message = row.GetProperty("message");
        long index = message.GetProperty("index").GetInt64();
        bool hash = message.Hex("value") is null;
        await impostor.AnnounceAsync(index);
        Task<byte[]> reading = hash ? Task.FromResult<byte[]>([]) : ambush.ReadAsync(ProofStage.Name(index));
        await impostor.AskedAsync(index, hash);
        await impostor.AnswerAsync(Body(message));
        string outcome = await JudgeAsync(expect, ambush, impostor, index, reading);
        ambush.ShouldLive();
        long grown = Math.Max(0, ambush.MemoryPeak - ambush.MemoryBefore);
        (grown / 1024.0).Should().BeLessThan(MaxGrowthMiB);
        report.Add("proofs", name, $"{row.GetProperty("note").GetString()}: {outcome}", 1, grown, MaxGrowthMiB, clock.Elapsed);
    }

    private static async Task<string> JudgeAsync(string expect, Ambush ambush, Impostor impostor, long index, Task<byte[]> reading)
    {
        if (expect == "reject-and-mark-forked")
        {
            await ambush.LoggedAsync("was signed twice by its owner", ambush.Address);
            await reading.Awaiting(read => read).Should().ThrowAsync<IOException>("what two histories say is not read");
            Directory.GetFiles(ambush.DataFolder, "fork", SearchOption.AllDirectories).Should().ContainSingle("the evidence is kept");
            return "frozen, reader told";
        }

        bool refused = expect == "reject";
        if (refused)
        {
            ambush.Leave();
            await impostor.Raider.ClosedAsync();
            await ambush.LoggedAsync($"Connection to {ambush.Address} is over (Violation)");
        }

        ambush.Honest.Resume();
        if (!refused && reading.IsCompletedSuccessfully && reading.Result.Length == 0) impostor.Raider.IsClosed.Should().BeFalse("the answer is a good one");
        byte[] bytes = await reading;
        (bytes.Length == 0 ? await ambush.ReadAsync(ProofStage.Name(index)) : bytes).Should().Equal(FormulaBlocks.Bytes(1, index, 10));
        return refused ? "closed" : "good";
    }

    // One honest answer before the attack. The program asks for the hash of a block beyond what it knows as soon as that is announced.
    private static async Task<long> PrepareAsync(Ambush ambush, Impostor impostor, JsonElement before, long length)
    {
        long index = before.GetProperty("index").GetInt64();
        bool hash = before.GetProperty("request").GetProperty("hash").GetBoolean();
        await impostor.AnnounceAsync(index);
        if (index >= length) await impostor.AskedAsync(index, hash: true);
        if (hash)
        {
            await impostor.AnswerAsync(Body(before));
        }
        else
        {
            Task<byte[]> reading = ambush.ReadAsync(ProofStage.Name(index));
            await impostor.AskedAsync(index, hash: false);
            await impostor.AnswerAsync(Body(before));
            byte[] value = before.Hex("value")!;
            (await reading).Should().Equal(value);
            Schemas.Data leaf = new() { Index = (ulong)index };
            leaf.Nodes.Add(new Schemas.Data.Types.Node { Index = (ulong)(2 * index), Hash = ByteString.CopyFrom(Convert.FromHexString(TreeHash.Leaf(index, value).Hash.ToString())), Size = (ulong)value.Length });
            if (index >= length) await impostor.AnswerAsync(leaf.ToByteArray());
        }

        return before.GetProperty("after").GetProperty("length").GetInt64();
    }

    // With the library's own second opinion on the format, which takes hashes and signatures of any length.
    private static byte[] Body(JsonElement message)
    {
        Schemas.Data data = new() { Index = message.GetProperty("index").GetUInt64() };
        if (message.Hex("value") is { } value) data.Value = ByteString.CopyFrom(value);
        if (message.Hex("signature") is { } signature) data.Signature = ByteString.CopyFrom(signature);
        JsonElement nodes = message.GetProperty("nodes");
        if (nodes.ValueKind == JsonValueKind.Array) data.Nodes.AddRange(nodes.EnumerateArray().Select(Node));
        else data.Nodes.AddRange(Enumerable.Repeat(Node(nodes.GetProperty("node")), nodes.GetProperty("repeat").GetInt32()));
        return data.ToByteArray();
    }

    private static Schemas.Data.Types.Node Node(JsonElement node) =>
        new() { Index = node.GetProperty("index").GetUInt64(), Hash = ByteString.CopyFrom(node.Hex("hash")), Size = node.GetProperty("size").GetUInt64() };
}

/// <summary>The drive whose content feed is the one of the vectors, one file for each block, shared by an honest process.</summary>
public sealed class ProofStage : IAsyncLifetime
{
    private const int Blocks = 16;

    private readonly TempFolder _home = TempFolder.Create("hostile-honest");
    private Datmount _honest = null!;

    internal CraftedFolder Drive { get; private set; } = null!;

    internal int Port { get; private set; }

    internal static string Name(long block) => $"block-{block}";

    internal static void SkipWithoutFuse()
    {
        if (!File.Exists("/dev/fuse")) Assert.Skip("skipped: no /dev/fuse");
    }

    public async ValueTask InitializeAsync()
    {
        Drive = await CraftedFolder.CreateAsync(SecretKey.FromSeed(Vectors.Json("hypercore/hostile-proofs.json").Hex("keySeed")!));
        for (int block = 0; block < Blocks; block++)
        {
            await Drive.Content.AppendAsync([FormulaBlocks.Bytes(1, block, 10)], CancellationToken.None);
            await Drive.PutAsync(Name(block), CraftedFolder.Stat(size: 10, blocks: 1, offset: block, byteOffset: 10 * block));
        }

        await Drive.ReleaseAsync();
        (_honest, Port) = await Sharing.StartAsync(_home, Drive.Path);
    }

    public async ValueTask DisposeAsync()
    {
        await _honest.DisposeAsync();
        await Drive.DisposeAsync();
        _home.Dispose();
    }
}
