using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using DatFs.Discovery.Server;
using DatMount.Commands;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace DatMount.Hosting;

/// <summary>Runs a discovery server until a signal ends it, with its metrics over HTTP when asked for; tells systemd when it serves.</summary>
internal static class DiscoveryServerHost
{
    private const string MetricType = "text/plain; version=0.0.4; charset=utf-8";

    public static async Task RunAsync(DiscoveryServerSettings settings, IPEndPoint? http, bool verbose, CancellationToken ct)
    {
        await using DiscoveryServer server = Open(settings);
        using IHost host = http is null ? WithoutHttp(verbose) : WithHttp(http, server, verbose);
        await StartAsync(host, http, ct);
        foreach (IPEndPoint address in server.Listening) await Console.Out.WriteLineAsync($"discovery server on udp {address}");
        if (host is WebApplication web) await Console.Out.WriteLineAsync("metrics on " + string.Join(' ', web.Urls.Select(url => url + "/metrics")));
        if (settings.StateFolder is null) await Console.Out.WriteLineAsync("nothing is kept when this ends; --state keeps it");
        await host.WaitForShutdownAsync(ct);
    }

    /// <summary>The counters in the text form of Prometheus.</summary>
    internal static string Metrics(ServerCounters counters)
    {
        StringBuilder text = new();
        void Add(string name, string type, string help, long value)
        {
            text.Append(CultureInfo.InvariantCulture, $"# HELP datmount_discovery_{name} {help}\n# TYPE datmount_discovery_{name} {type}\ndatmount_discovery_{name} {value}\n");
        }

        void Count(string name, string help, long value) => Add(name + "_total", "counter", help, value);
        void Gauge(string name, string help, long value) => Add(name, "gauge", help, value);
        Count("received", "Datagrams that came in.", counters.Received);
        Count("received_bytes", "Bytes that came in.", counters.BytesIn);
        Count("sent_bytes", "Bytes that went out.", counters.BytesOut);
        Count("malformed", "Datagrams that were no client's.", counters.Malformed);
        Count("rate_limited", "Messages of addresses that sent too many.", counters.RateLimited);
        Count("probes", "Questions about the server itself.", counters.Probes);
        Count("lookups", "Questions for a name.", counters.Lookups);
        Count("announces", "Peers announced.", counters.Announces);
        Count("unannounces", "Peers taken back.", counters.Unannounces);
        Count("stale_tokens", "Messages without a valid token.", counters.StaleTokens);
        Count("refused", "Peers or subscribers of addresses that have enough.", counters.Refused);
        Count("pushed", "Peers pushed to subscribers.", counters.Pushed);
        Count("pushes_resent", "Pushes sent once more.", counters.PushesResent);
        Count("pushes_acknowledged", "Pushes that arrived.", counters.PushesAcknowledged);
        Count("evicted", "Records that made room for others.", counters.Evicted);
        Count("expired", "Records nobody refreshed.", counters.Expired);
        Count("gossip_refused", "Datagrams of servers with another secret or a wrong clock.", counters.GossipRefused);
        Gauge("records", "Peers known.", counters.Records);
        Gauge("names", "Names that have peers.", counters.Names);
        Gauge("subscriptions", "Subscribers.", counters.Subscriptions);
        Gauge("neighbours", "Servers the table is shared with.", counters.Neighbours.Count);
        Gauge("neighbours_copied", "Those of them whose table was taken over.", counters.Neighbours.Count(one => one.Copied));
        Gauge("saved_timestamp_seconds", "When the table was saved last.", counters.SavedAt?.ToUnixTimeSeconds() ?? 0);
        return text.ToString();
    }

    private static DiscoveryServer Open(DiscoveryServerSettings settings)
    {
        try
        {
            return DiscoveryServer.Open(settings);
        }
        catch (SocketException failure)
        {
            throw new CommandException(ExitCode.Refused, $"cannot listen on udp {string.Join(" or ", settings.Listen)}: {failure.Message}; name another address with --listen", failure);
        }
    }

    private static IHost WithoutHttp(bool verbose)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        ActivityHost.ConfigureLogging(builder.Logging, verbose, quiet: true);
        builder.Services.AddSystemd();
        return builder.Build();
    }

    private static WebApplication WithHttp(IPEndPoint http, DiscoveryServer server, bool verbose)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        ActivityHost.ConfigureLogging(builder.Logging, verbose, quiet: true);
        builder.Services.AddSystemd();
        builder.Services.Configure<KestrelServerOptions>(kestrel => kestrel.Listen(http));
        WebApplication web = builder.Build();
        web.MapGet("/metrics", () => Results.Text(Metrics(server.Counters), MetricType));
        web.MapGet("/health", () => server.Counters.SaveProblem is { } problem
            ? Results.Text("state cannot be saved: " + problem + "\n", statusCode: StatusCodes.Status503ServiceUnavailable)
            : Results.Text("ok\n"));
        return web;
    }

    private static async Task StartAsync(IHost host, IPEndPoint? http, CancellationToken ct)
    {
        try
        {
            await host.StartAsync(ct);
        }
        catch (IOException failure) when (http is not null)
        {
            throw new CommandException(ExitCode.Refused, $"cannot listen on tcp {http}: {failure.Message}; name another address with --http", failure);
        }
    }
}
