using System.Diagnostics;
using System.Net;
using DatFs.Discovery.Server;

namespace DatMount.Discovery;

/// <summary>Our discovery server on loopback, in this process.</summary>
internal static class OurServer
{
    public static DiscoveryServer Start(string listen = "127.0.0.1:0", string? state = null, byte[]? secret = null, params IPEndPoint[] peers) =>
        DiscoveryServer.Open(new DiscoveryServerSettings { Listen = [IPEndPoint.Parse(listen)], StateFolder = state, Secret = secret, Peers = peers });

    public static string Address(this DiscoveryServer server) => server.Listening[0].ToString();

    /// <summary>Waits for a condition, and fails when it does not come true.</summary>
    public static async Task UntilAsync(Func<bool> condition, string what, double seconds = 20)
    {
        long started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(started).TotalSeconds > seconds) throw new TimeoutException($"not within {seconds} s: {what}");
            await Task.Delay(10);
        }
    }

    /// <summary>A name nobody else uses, 64 hex digits, and its first 40.</summary>
    public static (string Key, string Name) NewName()
    {
        string key = Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32));
        return (key, key[..40]);
    }
}
