using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace DatFs.Discovery.Kademlia;

/// <summary>What the file holds.</summary>
internal sealed record SavedNodes(IReadOnlyList<string> Nodes);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(SavedNodes))]
internal sealed partial class NodesJson : JsonSerializerContext;

/// <summary>
/// The nodes of a network that answered lately, kept for the next start in a file that only its user may read: with them it begins without any
/// public host. A file that is missing, damaged or too long counts as empty.
/// </summary>
internal sealed class NodesFile(string path)
{
    /// <summary>Nodes kept.</summary>
    public const int MaxNodes = 100;

    /// <summary>Longest file that is read.</summary>
    public const int MaxBytes = 64 * 1024;

    /// <summary>Why it could not be written last; null = it could.</summary>
    public string? Problem { get; private set; }

    /// <summary>The nodes kept last.</summary>
    public IReadOnlyList<Ipv4Peer> Load()
    {
        try
        {
            FileInfo file = new(path);
            if (!file.Exists || file.Length > MaxBytes) return [];
            SavedNodes? saved = JsonSerializer.Deserialize(File.ReadAllBytes(path), NodesJson.Default.SavedNodes);
            return saved?.Nodes is null ? [] : [.. saved.Nodes.Take(MaxNodes).Select(Parse).OfType<Ipv4Peer>()];
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or JsonException)
        {
            Problem = failure.Message;
            return [];
        }
    }

    /// <summary>Replaces the nodes: afterwards there are the new ones or the old ones, never a part. A disk that does not take them shows in <see cref="Problem"/>.</summary>
    public void Save(IEnumerable<Ipv4Peer> nodes)
    {
        string beside = path + ".new";
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(new SavedNodes([.. nodes.Take(MaxNodes).Select(node => node.ToString())]), NodesJson.Default.SavedNodes);
        try
        {
            FileStreamOptions options = new() { Mode = FileMode.Create, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using (FileStream stream = new(beside, options)) stream.Write(bytes);
            File.Move(beside, path, overwrite: true);
            Problem = null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            Problem = failure.Message;
        }
    }

    private static Ipv4Peer? Parse(string? text)
    {
        int colon = text?.IndexOf(':', StringComparison.Ordinal) ?? -1;
        if (colon < 0 || !Ipv4Peer.TryReadAddress(text.AsSpan(0, colon), out uint address)) return null;
        return ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port > 0 ? new Ipv4Peer(address, port) : null;
    }
}
