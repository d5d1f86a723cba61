using System.Buffers;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text.Json;
using DatFs.Discovery;
using DatFs.Drives;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using FluentAssertions;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatFs.Unit;

/// <summary>The library's own example: it compiles, works, and stands in the README word for word.</summary>
public sealed class LibraryExampleTests
{
    [Fact]
    public async Task The_example_reads_a_file_from_a_peer()
    {
        using TempFolder folder = TempFolder.Create("example");
        string archive = folder.Folder("archive");
        foreach (string file in Directory.GetFiles(Vectors.PathOf("hyperdrive/basic/archive"), "*", SearchOption.AllDirectories))
        {
            string copy = Path.Combine(archive, Path.GetRelativePath(Vectors.PathOf("hyperdrive/basic/archive"), file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        await using Replicator owner = new(new ReplicatorOptions());
        await using IDrive owned = await DriveOpener.OpenAsync(DriveReference.Parse(archive), new DriveOpenOptions { StorageRoot = folder.Folder("owner"), Network = owner }, default);
        await using PeerListener listener = PeerListener.Start(new IPEndPoint(IPAddress.Loopback, 0), (transport, ct) => owner.RunAsync(transport, ct), TimeProvider.System, NullLogger.Instance);

        byte[] read = await ReadAsync("dat://" + owned.Key.ToHex(), folder.Folder("reader"), new PeerAddress("127.0.0.1", listener.LocalEndPoint.Port), "/big/200k.bin", TestContext.Current.CancellationToken);

        JsonElement manifest = Vectors.Json("hyperdrive/basic/manifest.json");
        JsonElement newest = manifest.GetProperty("versions").GetProperty(manifest.GetProperty("version").ToString());
        string node = newest.GetProperty("/big/200k.bin").ToString();
        Sha256Of.Bytes(read).Should().Be(manifest.GetProperty("nodes").GetProperty(node).GetProperty("sha256").GetString());
    }

    [Fact]
    public void The_example_stands_in_the_readme()
    {
        string readme = File.ReadAllText(Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "src", "DatFs", "README.md")).ReplaceLineEndings("\n");
        readme.Should().Contain(Example());
    }

    private static async Task<byte[]> ReadAsync(string link, string storage, PeerAddress peer, string path, CancellationToken ct)
    {
        // The example begins here.
        await using Replicator peers = new(new ReplicatorOptions());
        await using IDrive drive = await DriveOpener.OpenAsync(DriveReference.Parse(link), new DriveOpenOptions { StorageRoot = storage, Network = peers }, ct);
        await using Swarm swarm = new(peers);
        swarm.Add(peer);

        IDriveView newest = await drive.ReadyAsync(ct);
        DriveEntry file = await newest.FindAsync(DrivePath.From(path), ct) ?? throw new FileNotFoundException(path);
        using ContentLease bytes = await newest.OpenContent(file).ReadAsync(0, (int)file.Size, FetchPriority.Interactive, ct);
        return bytes.Data.ToArray();
        // The example ends here.
    }

    private static string Example([CallerFilePath] string source = "")
    {
        string path = File.Exists(source) ? source : Path.Combine(Vectors.TestsRoot, "Unit", "LibraryExampleTests.cs");
        IEnumerable<string> lines = File.ReadLines(path).SkipWhile(line => !line.EndsWith("begins here.", StringComparison.Ordinal)).Skip(1).TakeWhile(line => !line.EndsWith("ends here.", StringComparison.Ordinal));
        return string.Join('\n', lines.Select(line => line.Length == 0 ? line : line[8..]));
    }
}
