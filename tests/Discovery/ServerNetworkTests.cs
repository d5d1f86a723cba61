using DatFs.Evidence;
using FluentAssertions;
using Xunit;
using static DatMount.Discovery.OurServer;

namespace DatMount.Discovery;

/// <summary>Three servers as processes of their own, of which one after the other is killed without warning, and real clients that use them.</summary>
public sealed class ServerNetworkTests : IDisposable
{
    private const int SigKill = 9;
    private readonly TempFolder _home = TempFolder.Create("discovery");
    private readonly string[] _addresses = ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"];
    private readonly Datmount[] _servers = new Datmount[3];

    public ServerNetworkTests() => File.WriteAllText(_home.File("secret"), "known to these three only\n");

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task Clients_find_each_other_while_one_of_three_servers_is_killed_and_restarted_over_and_over()
    {
        for (int i = 0; i < 3; i++) await StartAsync(i);
        try
        {
            await using DnsPeer a = await DnsPeer.AskAsync(_addresses), b = await DnsPeer.AskAsync(_addresses);
            for (int round = 0; round < 6; round++)
            {
                int victim = round % 3;
                _servers[victim].Signal(SigKill);
                await _servers[victim].ExitAsync();

                string name = NewName().Name;
                // Real clients wait for the dead server before they call it done, but not before they tell of peers.
                Task lookup = b.LookupAsync(name), announce = a.AnnounceAsync(name, 3000 + round);
                await b.HearAsync(name, 3000 + round).WaitAsync(TimeSpan.FromSeconds(5));

                await StartAsync(victim);
                await using DnsPeer late = await DnsPeer.AskAsync(_addresses[victim]);
                await HearLateAsync(late, name, 3000 + round);
                await Task.WhenAll(lookup, announce);
            }
        }
        finally
        {
            foreach (Datmount server in _servers) await server.DisposeAsync();
        }
    }

    /// <summary>Starts a server where it was before, which then has to copy what it missed from the others.</summary>
    private async Task StartAsync(int number)
    {
        string[] others = [.. _addresses.Where((address, i) => i != number && !address.EndsWith(":0", StringComparison.Ordinal)).SelectMany(address => new[] { "--peer", address })];
        _servers[number] = Datmount.Start(_home, ["discovery-server", "--listen", _addresses[number], "--secret-file", _home.File("secret"), "--state", _home.File("state" + number), .. others]);
        _addresses[number] = (await _servers[number].LineAsync("discovery server on udp")).Split(' ')[^1];
    }

    private static async Task HearLateAsync(DnsPeer client, string name, int port)
    {
        // A copy takes a moment; whoever asked before it arrived is pushed what comes.
        await client.LookupAsync(name);
        await client.HearAsync(name, port).WaitAsync(TimeSpan.FromSeconds(5));
    }
}
