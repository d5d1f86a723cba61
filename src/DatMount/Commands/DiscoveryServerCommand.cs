using System.CommandLine;
using System.CommandLine.Parsing;
using System.Net;
using System.Net.Sockets;
using DatFs.Discovery.Server;
using DatFs.Replication;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount discovery-server": a DNS discovery server that any client of the Dat network can use.</summary>
internal static class DiscoveryServerCommand
{
    private const string Help =
        """
        Run a discovery server: peers of any Dat program announce themselves there and find each other.

        Without --listen it takes UDP port 5300 of every interface, and port 53 too where that is permitted. Servers that share a secret share
        their tables: each is told with --peer of one or more of the others, at the others' first --listen address.

        Examples:
          datmount discovery-server --state /var/lib/datmount-discovery
          datmount discovery-server --listen 192.0.2.1:5300 --peer 198.51.100.1:5300 --secret-file /etc/datmount/gossip.secret
          datmount discovery-server --listen 127.0.0.1:5300 --http 127.0.0.1:9090
        """;

    private const int DefaultPort = 5300;
    private const int PermittedPort = 53;

    public static Command Create()
    {
        Option<string[]> listen = Addresses("--listen", "Serve on this UDP address; may be given several times.");
        Option<string[]> peers = Addresses("--peer", "Share the table with the server at this address; may be given several times. Needs --secret-file.");
        Option<string?> secret = new("--secret-file") { Description = "A file whose content all servers that share a table have; at least 16 bytes.", HelpName = "file" };
        Option<string?> state = new("--state") { Description = "Keep the table and the secrets of the tokens in this folder, so that a restart goes unnoticed.", HelpName = "folder" };
        Option<string?> http = new("--http") { Description = "Answer GET /metrics (Prometheus) and GET /health on this TCP address.", HelpName = "host:port" };
        http.Validators.Add(result => Require(result, result.GetValueOrDefault<string>() is { } text ? [text] : []));
        Option<bool> verbose = new("--verbose", "-v") { Description = "Say more in the log." };
        Command command = new("discovery-server", Help) { listen, peers, secret, state, http, verbose };
        command.Validators.Add(result =>
        {
            if (result.GetValue(peers) is { Length: > 0 } && result.GetValue(secret) is null) result.AddError("--peer needs --secret-file: servers share tables only with those that know their secret.");
        });
        command.SetAction(async (parsed, ct) =>
        {
            string[] named = parsed.GetValue(listen) ?? [];
            DiscoveryServerSettings settings = new()
            {
                Listen = named.Length == 0 ? [new IPEndPoint(IPAddress.Any, DefaultPort)] : await ResolveAsync(named, ct),
                ListenIfPermitted = named.Length == 0 ? [new IPEndPoint(IPAddress.Any, PermittedPort)] : [],
                Peers = await ResolveAsync(parsed.GetValue(peers) ?? [], ct),
                Secret = parsed.GetValue(secret) is { } file ? ReadSecret(file) : null,
                StateFolder = parsed.GetValue(state) is { } folder ? Path.GetFullPath(folder) : null,
            };
            IPEndPoint? web = parsed.GetValue(http) is { } text ? (await ResolveAsync([text], ct))[0] : null;
            await DiscoveryServerHost.RunAsync(settings, web, parsed.GetValue(verbose), ct);
            return (int)ExitCode.Done;
        });
        return command;
    }

    private static Option<string[]> Addresses(string name, string description)
    {
        Option<string[]> option = new(name) { Description = description, HelpName = "host:port", DefaultValueFactory = _ => [] };
        option.Validators.Add(result => Require(result, result.GetValueOrDefault<string[]>() ?? []));
        return option;
    }

    private static void Require(OptionResult result, string[] addresses)
    {
        foreach (string address in addresses)
            if (!Address.TryParse(address, out _)) result.AddError($"'{address}' is not an address; write host:port, such as 192.0.2.7:5300.");
    }

    private static byte[] ReadSecret(string file)
    {
        byte[] secret = File.ReadAllBytes(file).AsSpan().TrimEnd("\r\n"u8).ToArray();
        if (secret.Length < DiscoveryServerSettings.MinSecret)
            throw new CommandException(ExitCode.Usage, $"the secret in {file} has less than {DiscoveryServerSettings.MinSecret} bytes; make one with: head -c 32 /dev/urandom | base64 > {file}");
        return secret;
    }

    private static async Task<IPEndPoint[]> ResolveAsync(string[] addresses, CancellationToken ct)
    {
        List<IPEndPoint> found = [];
        foreach (string text in addresses)
        {
            _ = Address.TryParse(text, out PeerAddress address);
            try
            {
                IPAddress[] hosts = await Dns.GetHostAddressesAsync(address.Host, AddressFamily.InterNetwork, ct);
                found.Add(new IPEndPoint(hosts[0], address.Port));
            }
            catch (Exception failure) when (failure is SocketException or IndexOutOfRangeException)
            {
                throw new CommandException(ExitCode.NotFound, $"{address.Host} has no IPv4 address ({failure.Message}); name one that has, as this network knows no others", failure);
            }
        }

        return [.. found];
    }
}
