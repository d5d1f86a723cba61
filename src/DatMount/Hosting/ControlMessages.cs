using System.Text.Json.Serialization;
using DatFs.Discovery;
using DatFs.Replication;

namespace DatMount.Hosting;

/// <summary>One peer of a drive. Rates are bytes a second.</summary>
internal sealed record PeerReport(string Address, string State, long BytesReceived, long BytesSent, double ReceiveRate, double SendRate, int RequestsInFlight)
{
    /// <summary>What it takes of each bound.</summary>
    public IReadOnlyList<BudgetLine> Budget { get; init; } = [];
}

/// <summary>An address that was dialled and did not answer.</summary>
internal sealed record AddressReport(string Address, string LastError);

/// <summary>A source of peers. Health is up, failing, down, unavailable or unknown; the round trip is in milliseconds.</summary>
internal sealed record SourceHealthReport(string Kind, string Name, string Health, int Failures, DateTimeOffset? LastAnswer, double? RoundTrip, bool Announced, int Named, string? Problem, string? Remedy)
{
    public static SourceHealthReport Of(SourceReport source) => new(
        source.Kind.ToString().ToLowerInvariant(), source.Name, source.Status.Health.ToString().ToLowerInvariant(), source.Status.Failures, source.Status.LastAnswer,
        source.Status.RoundTrip?.TotalMilliseconds, source.Announced, source.Named, source.Status.Problem, source.Status.Remedy);
}

/// <summary>An address that was named: who named it, how far it is, why it failed last, and in how many seconds it is dialled again.</summary>
internal sealed record DialReport(string Address, IReadOnlyList<string> NamedBy, string State, int Attempts, string? LastError, double? Rest);

/// <summary>The body of POST /peers.</summary>
internal sealed record AddPeerRequest(string Address);

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

    /// <summary>What names the version on every machine, where its number does not.</summary>
    public string? VersionText { get; init; }

    /// <summary>A short form of that, for this machine.</summary>
    public string? VersionAlias { get; init; }

    /// <summary>The host name by which the drive was named.</summary>
    public string? Name { get; init; }

    /// <summary>What is wrong with the name: an old answer had to do, or it stands for another drive by now.</summary>
    public string? NameProblem { get; init; }

    /// <summary>Every bound on what peers may take, with its use.</summary>
    public IReadOnlyList<BudgetLine> Budget { get; init; } = [];

    /// <summary>Where peers are looked for.</summary>
    public IReadOnlyList<SourceHealthReport> Sources { get; init; } = [];

    /// <summary>Every address that was named.</summary>
    public IReadOnlyList<DialReport> Addresses { get; init; } = [];
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
[JsonSerializable(typeof(AddPeerRequest))]
[JsonSerializable(typeof(DoctorReport))]
[JsonSerializable(typeof(OwnWriterReport))]
[JsonSerializable(typeof(List<WriterReport>))]
[JsonSerializable(typeof(List<ConflictReport>))]
[JsonSerializable(typeof(List<ChangeReport>))]
[JsonSerializable(typeof(AuthorizeRequest))]
[JsonSerializable(typeof(AuthorizeReply))]
[JsonSerializable(typeof(IgnoreRequest))]
[JsonSerializable(typeof(VersionReply))]
[JsonSerializable(typeof(FailureReply))]
internal sealed partial class ControlJson : JsonSerializerContext;
