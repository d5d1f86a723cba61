using System.Text.Json;
using System.Text.Json.Serialization;
using DatFs;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Names;
using DatFs.Merging;
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
    public static DiscoverySettings Discovery(string? path) => Resolve(Read(path)?.Discovery, path ?? DefaultPath);

    /// <summary>Reads which name servers are asked for the drives of names.</summary>
    /// <exception cref="CommandException">As above.</exception>
    public static IReadOnlyList<Uri> NameServers(string? path)
    {
        string file = path ?? DefaultPath;
        if (Read(path)?.Names?.Servers is not { } servers) return NameOptions.PublicProviders;
        return [.. servers.Select(text => Uri.TryCreate(text, UriKind.Absolute, out Uri? server) && server.Scheme == Uri.UriSchemeHttps && server.Query.Length == 0
            ? server
            : throw Wrong(file, $"names the name server '{text}'; write a URL such as https://dns.example.org/dns-query"))];
    }

    /// <summary>Reads how conflicts show and are merged.</summary>
    /// <exception cref="CommandException">As above.</exception>
    public static ConflictSettings Conflicts(string? path, TimeProvider time)
    {
        string file = path ?? DefaultPath;
        if (Read(path)?.Conflicts is not { } said) return new ConflictSettings();
        if (said.Show is not (null or "beside" or "hidden")) throw Wrong(file, $"has conflicts.show '{said.Show}'; write beside or hidden");
        Dictionary<string, IMergeStrategy> commands = [];
        foreach ((string name, IReadOnlyList<string> command) in said.Commands ?? new Dictionary<string, IReadOnlyList<string>>())
        {
            if (command.Count == 0 || name.Any(char.IsWhiteSpace)) throw Wrong(file, $"has the merging command '{name}' without a program, or with a space in its name; write \"name\": [\"/path/to/program\", \"argument\"]");
            commands.Add(name, MergeStrategies.Command(name, new MergeCommand(command[0], [.. command.Skip(1)]), time));
        }

        MergerOptions merging = new() { Rules = string.Join('\n', said.Rules ?? []), Commands = commands, Autocommit = said.Autocommit ?? false };
        try
        {
            _ = MergeRules.Read(merging.Rules, [], commands);
        }
        catch (DatException wrong)
        {
            throw Wrong(file, $"cannot be used: {wrong.Message}", wrong);
        }

        return new ConflictSettings { Hidden = said.Show == "hidden", Merging = merging };
    }

    private static ConfigurationFile? Read(string? path)
    {
        string file = path ?? DefaultPath;
        if (!File.Exists(file)) return path is null ? null : throw new CommandException(ExitCode.NotFound, $"there is no configuration file {file}");
        try
        {
            if (new FileInfo(file).Length > MaxBytes) throw Wrong(file, $"is larger than {MaxBytes} bytes");
            using FileStream stream = File.OpenRead(file);
            return JsonSerializer.Deserialize(stream, ConfigurationJson.Default.ConfigurationFile);
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
        foreach (string text in said?.Bootstrap ?? [])
            if (!Address.TryParse(text, out _)) throw Wrong(file, $"names the bootstrap node '{text}'; write host:port");
        DiscoverySettings settings = new() { Servers = servers, Bootstrap = said?.Bootstrap, Domain = domain };
        return settings.With(said?.Sources ?? DiscoverySettings.Names) ?? throw Wrong(file, $"names a source that is not one of {string.Join(", ", DiscoverySettings.Names)}");
    }

    private static CommandException Wrong(string file, string why, Exception? inner = null) => new(ExitCode.Usage, $"the configuration file {file} {why}", inner);
}

/// <summary>The whole file; null stands for what it does not say.</summary>
internal sealed record ConfigurationFile(DiscoveryConfiguration? Discovery, NamesConfiguration? Names, ConflictsConfiguration? Conflicts);

/// <summary>How conflicts show and are merged.</summary>
/// <param name="Show">beside or hidden.</param>
/// <param name="Rules">Lines "GLOB STRATEGY", which count before the archive's own.</param>
/// <param name="Commands">Programs that "command:NAME" stands for, with their arguments.</param>
/// <param name="Autocommit">Write merges that are clean.</param>
internal sealed record ConflictsConfiguration(string? Show, IReadOnlyList<string>? Rules, IReadOnlyDictionary<string, IReadOnlyList<string>>? Commands, bool? Autocommit);

/// <summary>The same, ready for use.</summary>
internal sealed record ConflictSettings
{
    public bool Hidden { get; init; }

    public MergerOptions Merging { get; init; } = new();
}

/// <summary>How names of hosts are looked up.</summary>
/// <param name="Servers">Resolvers of DNS over HTTPS that answer in JSON; public ones when it is not said, only the host itself when it is empty.</param>
internal sealed record NamesConfiguration(IReadOnlyList<string>? Servers);

/// <summary>How peers are found.</summary>
/// <param name="Sources">Some of lan, dns, dht; all when it is not said.</param>
/// <param name="Servers">DNS discovery servers: host, host:port or host:port,secondary.</param>
/// <param name="Bootstrap">Nodes by which the mainline DHT is entered, host:port; the public ones when it is not said.</param>
/// <param name="Domain">Two labels, at the end of all names in DNS and mDNS.</param>
internal sealed record DiscoveryConfiguration(IReadOnlyList<string>? Sources, IReadOnlyList<string>? Servers, IReadOnlyList<string>? Bootstrap, string? Domain);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(ConfigurationFile))]
internal sealed partial class ConfigurationJson : JsonSerializerContext;
