using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace DatFs.Storage;

/// <summary>Small files of DatMount's own: replaced as a whole, and no worse than missing when they are damaged.</summary>
internal static class JsonFile
{
    /// <summary>Largest file read.</summary>
    public const int MaxBytes = 64 * 1024;

    /// <summary>What a file holds; null when it is missing, too large or damaged.</summary>
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
        catch (Exception damaged) when (damaged is JsonException or IOException or UnauthorizedAccessException or DatException)
        {
            return null;
        }
    }

    /// <summary>Replaces a file durably: afterwards it is the new one or the old one, never a part.</summary>
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
