using DatFs.Replication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace DatMount.Hosting;

/// <summary>
/// The control endpoint of this process: HTTP with JSON on a Unix socket of mode 0600 in the user's runtime folder.
/// GET /status answers a <see cref="DriveReport"/>, POST /peers connects to one more address, POST /unmount ends the activity.
/// </summary>
internal static class ControlEndpoint
{
    public static string Configure(WebApplicationBuilder builder)
    {
        RuntimeFolder.Ensure();
        string socket = RuntimeFolder.SocketOf(Environment.ProcessId);
        File.Delete(socket);
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, ControlJson.Default));
        builder.Services.Configure<KestrelServerOptions>(kestrel => kestrel.ListenUnixSocket(socket));
        return socket;
    }

    /// <summary>Only this user may talk to the process. The folder is closed to others already; this holds where it is a shared one.</summary>
    public static void Protect(string socket)
    {
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    public static void Map(WebApplication web, IActivity activity)
    {
        web.MapGet("/status", activity.Report);
        web.MapPost("/peers", (AddPeerRequest request) => PeerAddress.TryParse(request.Address, out PeerAddress address) && activity.AddPeer(address)
            ? Results.Ok()
            : Results.BadRequest("no drive is open yet, or the address is not host:port"));
        DriveEndpoint.Map(web, activity);
        web.MapPost("/unmount", (UnmountRequest request, CancellationToken ct) => activity.StopAsync(request.Lazy, ct));
    }
}
