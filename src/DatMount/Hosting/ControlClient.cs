using System.Globalization;
using System.Net.Http.Json;
using System.Net.Sockets;
using DatFs.Replication;
using DatMount.Commands;

namespace DatMount.Hosting;

/// <summary>Asks this user's other processes, through their control sockets, what they do and to stop.</summary>
internal static class ControlClient
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    /// <summary>The reports of all running processes; a socket nobody answers on is a leftover and removed.</summary>
    public static async Task<List<(string Socket, DriveReport Report)>> ReportsAsync(CancellationToken ct)
    {
        List<(string, DriveReport)> found = [];
        foreach (string socket in RuntimeFolder.Sockets())
        {
            DriveReport? report = await ReportAsync(socket, ct);
            if (report is not null) found.Add((socket, report));
            else if (!IsRunning(socket)) File.Delete(socket);
        }

        return found;
    }

    public static async Task<UnmountReply> UnmountAsync(string socket, bool lazy, CancellationToken ct)
    {
        using HttpClient http = Connect(socket, TimeSpan.FromSeconds(60));
        using HttpResponseMessage answer = await http.PostAsJsonAsync("http://datmount/unmount", new UnmountRequest(lazy), ControlJson.Default.UnmountRequest, ct);
        return await answer.Content.ReadFromJsonAsync(ControlJson.Default.UnmountReply, ct) ?? new UnmountReply(false, "the process gave no answer");
    }

    /// <summary>Makes a process connect to one more address.</summary>
    public static async Task AddPeerAsync(string socket, PeerAddress peer, CancellationToken ct)
    {
        using HttpClient http = Connect(socket, s_patience);
        using HttpResponseMessage answer = await http.PostAsJsonAsync("http://datmount/peers", new AddPeerRequest(peer.ToString()), ControlJson.Default.AddPeerRequest, ct);
        if (!answer.IsSuccessStatusCode) throw new CommandException(ExitCode.Failed, $"the process did not take {peer}: {await answer.Content.ReadAsStringAsync(ct)}");
    }

    private static async Task<DriveReport?> ReportAsync(string socket, CancellationToken ct)
    {
        using HttpClient http = Connect(socket, s_patience);
        try
        {
            return await http.GetFromJsonAsync("http://datmount/status", ControlJson.Default.DriveReport, ct);
        }
        catch (HttpRequestException)
        {
            return null;
        }
        catch (TaskCanceledException) when (!ct.IsCancellationRequested)
        {
            return null;
        }
    }

    private static bool IsRunning(string socket)
    {
        string name = Path.GetFileNameWithoutExtension(socket);
        return int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) && Directory.Exists("/proc/" + id.ToString(CultureInfo.InvariantCulture));
    }

    internal static HttpClient Connect(string socket, TimeSpan timeout) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, ct) =>
        {
            Socket connection = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), ct);
                return new NetworkStream(connection, ownsSocket: true);
            }
            catch
            {
                connection.Dispose();
                throw;
            }
        },
    })
    { Timeout = timeout };
}
