using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using DatFs.Crypto;

namespace DatFs.Discovery.Names;

/// <summary>What a name server or a host said of a name.</summary>
/// <param name="Key">The drive.</param>
/// <param name="Life">How long that holds; zero = only now.</param>
/// <param name="Source">"dns" or "https".</param>
/// <param name="Ambiguous">There were different keys.</param>
internal sealed record NameAnswer(FeedKey Key, TimeSpan Life, string Source, bool Ambiguous)
{
    /// <summary>Records of one answer that are looked at.</summary>
    public const int MaxRecords = 256;

    private const string Mark = "datkey=";
    private const string Scheme = "dat://";
    private const int KeyDigits = 2 * FeedKey.Size;

    /// <summary>Reads the JSON of a name server; false when it is none. No answer = the name has no such record.</summary>
    public static bool TryReadRecords(string json, out NameAnswer? found)
    {
        found = null;
        try
        {
            if (JsonSerializer.Deserialize(json, NameJson.Default.DnsJson) is not { } answer) return false;
            // 0: answered, 3: no such name. Everything else says that the server could not tell.
            if (answer.Status is not (null or 0 or 3)) return false;
            foreach (DnsJsonRecord record in (answer.Answer ?? []).Take(MaxRecords))
            {
                if (record.Data is null || !TryFindKey(record.Data, out FeedKey key)) continue;
                if (found is null) found = new NameAnswer(key, Held(record.Ttl is { } seconds ? TimeSpan.FromSeconds(Math.Clamp(seconds, -1, 1e9)) : null), "dns", false);
                else if (found.Key != key) found = found with { Ambiguous = true };
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Reads the file at /.well-known/dat: the drive's address, and in the second line how long that holds.</summary>
    public static bool TryReadFile(string text, out NameAnswer found)
    {
        found = null!;
        string[] lines = text.Split('\n', 3);
        string first = lines[0].Trim();
        if (!first.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) || first.Length < Scheme.Length + KeyDigits) return false;
        if (!FeedKey.TryParseHex(first.AsSpan(Scheme.Length, KeyDigits), out FeedKey key)) return false;
        if (first.Length > Scheme.Length + KeyDigits && char.IsAsciiHexDigit(first[Scheme.Length + KeyDigits])) return false;
        string second = lines.Length > 1 ? lines[1].Trim() : "";
        TimeSpan? life = second.StartsWith("ttl=", StringComparison.OrdinalIgnoreCase) && uint.TryParse(second.AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds)
            ? TimeSpan.FromSeconds(seconds)
            : null;
        found = new NameAnswer(key, Held(life), "https", false);
        return true;
    }

    private static TimeSpan Held(TimeSpan? life) => life is not { } said || said < TimeSpan.Zero ? NameResolver.DefaultLife : said < NameResolver.MaxLife ? said : NameResolver.MaxLife;

    // Anywhere in the record, but not a piece of something longer.
    private static bool TryFindKey(string record, out FeedKey key)
    {
        for (int at = record.IndexOf(Mark, StringComparison.Ordinal); at >= 0; at = record.IndexOf(Mark, at + 1, StringComparison.Ordinal))
        {
            ReadOnlySpan<char> rest = record.AsSpan(at + Mark.Length);
            if (rest.Length >= KeyDigits && FeedKey.TryParseHex(rest[..KeyDigits], out key) && (rest.Length == KeyDigits || !char.IsAsciiHexDigit(rest[KeyDigits]))) return true;
        }

        key = default;
        return false;
    }
}

/// <summary>The answer of a name server in JSON.</summary>
internal sealed record DnsJson([property: JsonPropertyName("Status")] int? Status, [property: JsonPropertyName("Answer")] IReadOnlyList<DnsJsonRecord>? Answer);

/// <summary>A record; its text may be wrapped in quotes.</summary>
internal sealed record DnsJsonRecord([property: JsonPropertyName("data")] string? Data, [property: JsonPropertyName("TTL")] double? Ttl);

[JsonSourceGenerationOptions(WriteIndented = true)]
[JsonSerializable(typeof(DnsJson))]
[JsonSerializable(typeof(CachedNames))]
internal sealed partial class NameJson : JsonSerializerContext;
