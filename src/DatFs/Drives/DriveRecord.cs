using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using DatFs.Storage;

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

/// <summary>The small files beside a drive's feeds: replaced as a whole, and no worse than missing when they are damaged.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(DriveRecord))]
[JsonSerializable(typeof(DriveHolder))]
internal sealed partial class DriveJson : JsonSerializerContext
{
    /// <summary>Largest file read.</summary>
    public const int MaxBytes = 64 * 1024;

    public static T? Read<T>(IStorageFolder folder, string name, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            using IRandomAccessFile? file = folder.Open(name, FileUse.Read);
            if (file is null || file.Length > MaxBytes) return null;
            byte[] bytes = new byte[(int)file.Length];
            return JsonSerializer.Deserialize(bytes.AsSpan(0, file.Read(0, bytes)), type);
        }
        catch (Exception damaged) when (damaged is JsonException or IOException or DatException)
        {
            return null;
        }
    }

    public static void Write<T>(IStorageFolder folder, string name, T value, JsonTypeInfo<T> type)
    {
        string fresh = name + ".new";
        using (IRandomAccessFile file = folder.Open(fresh, FileUse.ReadWrite)!)
        {
            byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(value, type);
            file.SetLength(0);
            file.Write(0, bytes);
            file.Sync();
        }

        folder.Rename(fresh, name);
        folder.Sync();
    }
}
