using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace DatMount.Discovery;

/// <summary>An HTTP proxy that leads every host to one port of this machine.</summary>
internal sealed class ConnectProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentQueue<string> _asked = [];
    private readonly int _to;
    private readonly Task _accepting;

    public ConnectProxy(int to)
    {
        _to = to;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public string Port => ((IPEndPoint)_listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);

    /// <summary>Hosts that were asked for, with their ports.</summary>
    public IReadOnlyCollection<string> Asked => _asked;

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _accepting;
        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                _ = LeadAsync(await _listener.AcceptTcpClientAsync());
            }
            catch (Exception over) when (over is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }
        }
    }

    private async Task LeadAsync(TcpClient client)
    {
        using TcpClient one = client, other = new();
        try
        {
            using StreamReader reader = new(one.GetStream(), Encoding.Latin1, false, 1, leaveOpen: true);
            string[] words = (await reader.ReadLineAsync() ?? "").Split(' ');
            while (!string.IsNullOrEmpty(await reader.ReadLineAsync())) continue;
            _asked.Enqueue(words[1]);
            await other.ConnectAsync(IPAddress.Loopback, _to);
            await one.GetStream().WriteAsync("HTTP/1.1 200 OK\r\n\r\n"u8.ToArray());
            await Task.WhenAny(one.GetStream().CopyToAsync(other.GetStream()), other.GetStream().CopyToAsync(one.GetStream()));
        }
        catch (Exception over) when (over is IOException or SocketException)
        {
            // One side has hung up.
            return;
        }
    }
}
