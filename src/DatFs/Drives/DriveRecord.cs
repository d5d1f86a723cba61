using System.Text.Json.Serialization;

namespace DatFs.Drives;

/// <summary>What is noted about a kept drive beside its feeds, in "drive.json" (hypercore.md §17.1). Never its key.</summary>
/// <param name="Kind">The format: "hyperdrive", "hyperdb".</param>
public sealed record DriveRecord(string Kind)
{
    /// <summary>What the user calls the drive.</summary>
    public string? Name { get; init; }

    /// <summary>The user's own folder in which the feeds lie; null = they are kept here.</summary>
    public string? Folder { get; init; }
}

/// <summary>The process that has a drive open.</summary>
internal sealed record DriveHolder(int Pid, string Process, string? Purpose);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(DriveRecord))]
[JsonSerializable(typeof(DriveHolder))]
internal sealed partial class DriveJson : JsonSerializerContext;
