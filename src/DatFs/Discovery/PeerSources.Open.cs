using System.Net;
using System.Net.Sockets;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Lan;

namespace DatFs.Discovery;

public sealed partial class PeerSources
{
    /// <summary>Opens the sources that a user asked for. Nothing is sent before something is joined.</summary>
    /// <exception cref="DatException">Io: this machine gives no UDP socket at all.</exception>
    public static PeerSources Open(PeerSourcesOptions options)
    {
        SystemLocalNetwork network = new(options.Time);
        List<IPeerSource> sources = [];
        List<IAsyncDisposable> owned = [];
        if (options.Lan) sources.Add(new LanSource(new MulticastSocket(network), network, new LanSourceOptions { Time = options.Time, Domain = options.Domain }));
        if (options.Servers.Count > 0)
        {
            SharedPort port = new(BindNear(options.Local));
            owned.Add(port);
            AddServers(sources, port, options);
        }

        return new PeerSources(sources, network, options.Time) { _owned = owned };
    }

    private static void AddServers(List<IPeerSource> sources, SharedPort port, PeerSourcesOptions options)
    {
        DnsClient client = new(port.Dns, options.Time, Random.Shared.NextDouble);
        ServerMemory memory = new(options.State);
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
