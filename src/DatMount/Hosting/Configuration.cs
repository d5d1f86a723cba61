using System.Text.Json;
using System.Text.Json.Serialization;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatMount.Commands;

namespace DatMount.Hosting;

/// <summary>
/// The configuration file: JSON, with comments. What is not there has its default; what is not known is refused, so that a slip of the
/// pen does not turn into a source that is silently not asked.
/// </summary>
internal static class Configuration
{
    /// <summary>Largest file read.</summary>
    internal const int MaxBytes = 1 << 20;

    /// <summary>Where the file is looked for when none is named.</summary>
    public static string DefaultPath => Environment.GetEnvironmentVariable("XDG_CONFIG_HOME") is { } root && Path.IsPathRooted(root)
        ? Path.Combine(root, "datmount", "config.json")
        : Environment.IsPrivilegedProcess && !OperatingSystem.IsWindows()
            ? "/etc/datmount/config.json"
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData), "datmount", "config.json");

    /// <summary>Reads what a file says of discovery. A file that was not named need not be there.</summary>
    /// <exception cref="CommandException">Usage: it cannot be read, naming the line; NotFound: the named one is not there.</exception>
    public static DiscoverySettings Discovery(string? path)
    {
        string file = path ?? DefaultPath;
        if (!File.Exists(file))
            return path is null ? Resolve(null, file) : throw new CommandException(ExitCode.NotFound, $"there is no configuration file {file}");
        try
        {
            if (new FileInfo(file).Length > MaxBytes) throw Wrong(file, $"is larger than {MaxBytes} bytes");
            using FileStream stream = File.OpenRead(file);
            return Resolve(JsonSerializer.Deserialize(stream, ConfigurationJson.Default.ConfigurationFile)?.Discovery, file);
        }
        catch (JsonException wrong)
        {
            throw Wrong(file, $"cannot be understood: {wrong.Message}", wrong);
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            throw Wrong(file, $"cannot be read: {unreadable.Message}", unreadable);
        }
    }

    private static DiscoverySettings Resolve(DiscoveryConfiguration? said, string file)
    {
        List<DnsServerAddress> servers = [];
        foreach (string text in said?.Servers ?? [])
            servers.Add(DnsServerAddress.TryParse(text, out DnsServerAddress server) ? server : throw Wrong(file, $"names the discovery server '{text}'; write host, host:port or host:port,secondary"));
        string domain = said?.Domain ?? SwarmTopic.DefaultDomain;
        if (domain.Split('.') is not [{ Length: > 0 and < 64 }, { Length: > 0 and < 64 }])
            throw Wrong(file, $"has the domain '{domain}'; a domain has two labels, such as {SwarmTopic.DefaultDomain}");
        DiscoverySettings settings = new() { Servers = servers, Domain = domain };
        return settings.With(said?.Sources ?? DiscoverySettings.Names) ?? throw Wrong(file, $"names a source that is not one of {string.Join(", ", DiscoverySettings.Names)}");
    }

    private static CommandException Wrong(string file, string why, Exception? inner = null) => new(ExitCode.Usage, $"the configuration file {file} {why}", inner);
}

/// <summary>The whole file; null stands for what it does not say.</summary>
internal sealed record ConfigurationFile(DiscoveryConfiguration? Discovery);

/// <summary>How peers are found.</summary>
/// <param name="Sources">Some of lan, dns, dht; all when it is not said.</param>
/// <param name="Servers">DNS discovery servers: host, host:port or host:port,secondary.</param>
/// <param name="Domain">Two labels, at the end of all names in DNS and mDNS.</param>
internal sealed record DiscoveryConfiguration(IReadOnlyList<string>? Sources, IReadOnlyList<string>? Servers, string? Domain);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(ConfigurationFile))]
internal sealed partial class ConfigurationJson : JsonSerializerContext;
