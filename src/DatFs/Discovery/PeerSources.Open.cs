using System.Net;
using System.Net.Sockets;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Lan;
using DatFs.Discovery.Mainline;
using DatFs.Storage;

namespace DatFs.Discovery;

public sealed partial class PeerSources
{
    private const string NodesName = "nodes.json";

    /// <summary>Opens the sources that a user asked for. Nothing is sent before something is joined.</summary>
    /// <exception cref="DatException">Io: this machine gives no UDP socket at all.</exception>
    public static PeerSources Open(PeerSourcesOptions options)
    {
        SystemLocalNetwork network = new(options.Time);
        List<IPeerSource> sources = [];
        List<IAsyncDisposable> owned = [];
        if (options.Lan) sources.Add(new LanSource(new MulticastSocket(network), network, new LanSourceOptions { Time = options.Time, Domain = options.Domain }));
        if (options.Servers.Count > 0 || options.Dht)
        {
            SharedPort port = new(BindNear(options.Local));
            owned.Add(port);
            AddServers(sources, port, options);
            if (options.Dht) sources.Add(Mainline(port, options));
        }

        return new PeerSources(sources, network, options.Time) { _owned = owned };
    }

    private static void AddServers(List<IPeerSource> sources, SharedPort port, PeerSourcesOptions options)
    {
        DnsClient client = new(port.Dns, options.Time, Random.Shared.NextDouble);
        ServerMemory memory = new(options.StateFolder is { } state ? new DiskFolder(state) : null);
        foreach (DnsServerAddress server in options.Servers.Distinct())
        {
            sources.Add(new DnsSource(client, server, new DnsSourceOptions
            {
                Time = options.Time,
                Domain = options.Domain,
                LastGood = memory.AddressesOf(server.Host),
                Resolved = addresses => memory.Note(server.Host, addresses),
            }));
        }
    }

    private static MainlineSource Mainline(SharedPort port, PeerSourcesOptions options) => new(port.Dht, new MainlineSourceOptions
    {
        Node = new MainlineNodeOptions { World = new OverlayOptions { Time = options.Time } },
        Bootstrap = options.Bootstrap ?? MainlineSource.PublicBootstrap,
        NodesPath = options.StateFolder is { } state ? Path.Combine(state, NodesName) : null,
    });

    private static UdpDatagramSocket BindNear(IPEndPoint local)
    {
        foreach (int port in (int[])[local.Port, 0])
        {
            try
            {
                return UdpDatagramSocket.Bind(new IPEndPoint(local.Address, port));
            }
            catch (SocketException failure) when (port == 0)
            {
                throw new DatException(DatError.Io, $"no UDP socket could be opened at {local.Address}: {failure.Message}", failure);
            }
            catch (SocketException)
            {
                // Somebody else has that number: what is sent from another arrives as well.
                continue;
            }
        }

        throw new DatException(DatError.Io, $"no UDP socket could be opened at {local.Address}");
    }
}
