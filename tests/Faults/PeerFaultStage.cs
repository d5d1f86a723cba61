using DatFs.Evidence;
using Xunit;

namespace DatMount.Faults;

/// <summary>A drive that Node wrote, and three copies of it for three peers.</summary>
public sealed class PeerFaultStage : IAsyncLifetime
{
    public const string Whole = "whole";
    public const string Jumped = "jumped";
    public const string Later = "later";
    public const string Small = "small";
    public const int JumpedSeed = 2;
    public const long JumpedSize = 32 << 20;
    public const long LaterSize = 4 << 20;

    private const int Peers = 3;
    private const long WholeSize = 48 << 20;
    private const long SmallSize = 100_000;

    private readonly TempFolder _folder = TempFolder.Create("faults-owner");
    private string _key = "";

    public string WholeHash { get; } = Sha256Of.Seeded(1, 0, WholeSize);

    public string LaterHash { get; } = Sha256Of.Seeded(3, 0, LaterSize);

    public string SmallHash { get; } = Sha256Of.Seeded(4, 0, SmallSize);

    public async ValueTask InitializeAsync()
    {
        string owner = _folder.Folder("0");
        await using (DrivePeer writer = await DrivePeer.StartAsync(DrivePeer.Versions[^1], new PeerDriveOptions { Folder = owner }))
        {
            _key = writer.Key;
            foreach ((string name, int seed, long size) in ((string, int, long)[])[(Whole, 1, WholeSize), (Jumped, JumpedSeed, JumpedSize), (Later, 3, LaterSize), (Small, 4, SmallSize)])
                await writer.WriteSeededAsync("/" + name, seed, size);
        }

        for (int peer = 1; peer < Peers; peer++) Folders.Copy(owner, _folder.File($"{peer}"));
    }

    internal async Task<NodeCrowd> CrowdAsync() =>
        new(_key, await Task.WhenAll(Enumerable.Range(0, Peers).Select(peer => NodeMember.StartAsync(_folder.File($"{peer}")))));

    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }
}

/// <summary>The peers of one test.</summary>
internal sealed class NodeCrowd(string key, NodeMember[] members) : IAsyncDisposable
{
    public NodeMember[] Members => members;

    public MountedProgram Mount(TempFolder home, string timeout) => MountedProgram.Start(home, key, members.Select(member => member.Address), timeout);

    public async ValueTask DisposeAsync()
    {
        foreach (NodeMember member in members) await member.DisposeAsync();
    }
}
