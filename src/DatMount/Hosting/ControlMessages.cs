using System.Text.Json.Serialization;

namespace DatMount.Hosting;

/// <summary>One peer of a drive. Rates are bytes a second.</summary>
internal sealed record PeerReport(string Address, string State, long BytesReceived, long BytesSent, double ReceiveRate, double SendRate, int RequestsInFlight);

/// <summary>An address that was dialled and did not answer.</summary>
internal sealed record AddressReport(string Address, string LastError);

/// <summary>What one process is doing with one drive; the answer of GET /status and of "datmount status --json".</summary>
internal sealed record DriveReport(
    int ProcessId,
    string Activity,
    string? Mountpoint,
    string DiscoveryKey,
    string Format,
    bool Writable,
    bool Ready,
    long Version,
    long MetadataLength,
    long MetadataHeld,
    long ContentLength,
    long ContentHeld,
    long ContentBytes,
    string? Listening,
    IReadOnlyList<PeerReport> Peers,
    IReadOnlyList<AddressReport> Unreachable,
    long BytesReceived,
    long BytesSent,
    long FileSystemRequests)
{
    /// <summary>Why the drive cannot be written here, where that needs a reason.</summary>
    public string? ReadOnlyBecause { get; init; }
}

/// <summary>The body of POST /unmount.</summary>
internal sealed record UnmountRequest(bool Lazy);

/// <summary>The answer of POST /unmount.</summary>
internal sealed record UnmountReply(bool Done, string Message);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(DriveReport))]
[JsonSerializable(typeof(IReadOnlyList<DriveReport>))]
[JsonSerializable(typeof(List<DriveReport>))]
[JsonSerializable(typeof(UnmountRequest))]
[JsonSerializable(typeof(UnmountReply))]
internal sealed partial class ControlJson : JsonSerializerContext;
