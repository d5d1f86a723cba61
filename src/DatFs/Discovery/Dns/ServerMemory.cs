using System.Net;
using System.Text.Json.Serialization;
using DatFs.Storage;

namespace DatFs.Discovery.Dns;

/// <summary>
/// The addresses that the servers' host names had last, in "servers.json" (discovery.md §10 point 3): a resolver that is down costs no
/// server. A file that is damaged or cannot be written costs nothing but the memory.
/// </summary>
internal sealed class ServerMemory
{
    /// <summary>Host names kept.</summary>
    public const int MaxHosts = 64;

    internal const string FileName = "servers.json";

    private readonly IStorageFolder? _folder;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, string[]> _hosts = [];

    public ServerMemory(IStorageFolder? folder)
    {
        _folder = folder;
        if (folder is null) return;
        foreach ((string host, string[] addresses) in JsonFile.Read(folder, FileName, ServerMemoryJson.Default.DictionaryStringStringArray) ?? [])
            if (_hosts.Count < MaxHosts) _hosts[host] = addresses;
    }

    public IReadOnlyList<IPAddress> AddressesOf(string host)
    {
        lock (_gate)
        {
            if (!_hosts.TryGetValue(host, out string[]? known)) return [];
            return [.. known.Take(DnsSource.MaxAddresses).Select(text => IPAddress.TryParse(text, out IPAddress? address) ? address : null).OfType<IPAddress>()
                .Where(address => address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork)];
        }
    }

    public void Note(string host, IReadOnlyList<IPAddress> addresses)
    {
        lock (_gate)
        {
            if (_hosts.Count >= MaxHosts && !_hosts.ContainsKey(host)) return;
            _hosts[host] = [.. addresses.Select(address => address.ToString())];
            if (_folder is null) return;
            try
            {
                JsonFile.Write(_folder, FileName, _hosts, ServerMemoryJson.Default.DictionaryStringStringArray);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or DatException)
            {
                // A full or read-only disk: the next start resolves the name again.
                return;
            }
        }
    }
}

[JsonSourceGenerationOptions(WriteIndented = true)]
[JsonSerializable(typeof(Dictionary<string, string[]>))]
internal sealed partial class ServerMemoryJson : JsonSerializerContext;
