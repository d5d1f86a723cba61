using System.CommandLine;
using System.CommandLine.Parsing;
using DatFs.Discovery.Dns;
using DatFs.Replication;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>The options that say how a drive is reached and where it is kept; the same for every command that opens one.</summary>
internal sealed class DriveOptions
{
    private readonly Option<string[]> _peers = new("--peer")
    {
        Description = "Connect to this address; may be given several times.",
        HelpName = "host:port",
        DefaultValueFactory = _ => [],
    };

    private readonly Option<string?> _listen = new("--listen")
    {
        Description = "Accept peers on this address (port 0 = any free one).",
        HelpName = "host:port",
    };

    private readonly Option<string?> _discovery = new("--discovery")
    {
        Description = "Find peers by these only: lan (mDNS; nothing leaves the link), dns (servers of --server and the configuration), dht. All unless configured.",
        HelpName = "lan,dns,dht",
    };

    private readonly Option<bool> _noDiscovery = new("--no-discovery")
    {
        Description = "Stay silent on the network but for --peer and --listen.",
    };

    private readonly Option<string[]> _servers = new("--server")
    {
        Description = "Ask this DNS discovery server, beside those configured; may be given several times.",
        HelpName = "host[:port]",
        DefaultValueFactory = _ => [],
    };

    private readonly Option<string?> _config = new("--config")
    {
        Description = $"Read this configuration file instead of {Configuration.DefaultPath}.",
        HelpName = "file",
    };

    private readonly Option<string?> _storage = new("--storage")
    {
        Description = "Keep drives in this folder instead of the user's data folder.",
        HelpName = "folder",
    };

    private readonly Option<bool> _offline = new("--offline")
    {
        Description = "Use only what is stored on this machine.",
    };

    private readonly Option<string> _ioTimeout = new("--io-timeout")
    {
        Description = "Give up a read for which nothing arrives for this long; 0 = wait for ever.",
        HelpName = "time",
        DefaultValueFactory = _ => "30s",
    };

    private readonly Option<string?> _conflicts = new("--conflicts")
    {
        Description = "How versions that lost a conflict show: beside the one that won, or hidden. Beside unless configured.",
        HelpName = "beside|hidden",
    };

    private readonly Option<bool> _verbose = new("--verbose", "-v")
    {
        Description = "Say more in the log.",
    };

    private const string Beside = "beside";
    private const string Hidden = "hidden";

    public void AddTo(Command command)
    {
        _peers.Validators.Add(result => RequireAddresses(result, result.GetValueOrDefault<string[]>() ?? []));
        _listen.Validators.Add(result => RequireAddresses(result, result.GetValueOrDefault<string>() is { } listen ? [listen] : []));
        _ioTimeout.Validators.Add(result =>
        {
            if (!Duration.TryParse(result.GetValueOrDefault<string>() ?? "", out _))
                result.AddError("--io-timeout takes a time such as 30s, 2m or 0.");
        });
        _servers.Validators.Add(result =>
        {
            foreach (string text in result.GetValueOrDefault<string[]>() ?? [])
                if (!DnsServerAddress.TryParse(text, out _)) result.AddError($"'{text}' is no server; write host, host:port or host:port,secondary.");
        });
        command.Validators.Add(result =>
        {
            if (result.GetValue(_noDiscovery) && result.GetValue(_discovery) is not null) result.AddError("--discovery and --no-discovery contradict each other.");
        });
        _conflicts.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is not (Beside or Hidden or null)) result.AddError($"--conflicts takes {Beside} or {Hidden}.");
        });
        foreach (Option option in (Option[])[_peers, _listen, _discovery, _noDiscovery, _servers, _config, _storage, _offline, _ioTimeout, _conflicts, _verbose]) command.Add(option);
    }

    public DriveSettings Read(ParseResult parsed)
    {
        _ = Duration.TryParse(parsed.GetValue(_ioTimeout) ?? "30s", out TimeSpan ioTimeout);
        return new DriveSettings
        {
            Peers = [.. (parsed.GetValue(_peers) ?? []).Select(Parsed)],
            Listen = parsed.GetValue(_listen) is { } listen ? Parsed(listen) : null,
            Discovery = parsed.GetValue(_noDiscovery) ? [] : parsed.GetValue(_discovery)?.Split(','),
            Servers = [.. (parsed.GetValue(_servers) ?? []).Select(Server)],
            ConfigurationFile = parsed.GetValue(_config) is { } file ? Path.GetFullPath(file) : null,
            StorageRoot = parsed.GetValue(_storage) is { } storage ? Path.GetFullPath(storage) : null,
            Offline = parsed.GetValue(_offline),
            IoTimeout = ioTimeout,
            HideConflicts = parsed.GetValue(_conflicts) is { } shown ? shown == Hidden : null,
            Verbose = parsed.GetValue(_verbose),
        };
    }

    private static DnsServerAddress Server(string text) => DnsServerAddress.TryParse(text, out DnsServerAddress server) ? server : default;

    private static PeerAddress Parsed(string text) => Address.TryParse(text, out PeerAddress address) ? address : default;

    private static void RequireAddresses(OptionResult result, string[] addresses)
    {
        foreach (string address in addresses)
            if (!Address.TryParse(address, out _)) result.AddError($"'{address}' is not an address; write host:port, such as 192.0.2.7:3282 or [::1]:3282.");
    }
}
