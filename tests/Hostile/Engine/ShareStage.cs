using System.Globalization;
using DatFs.Crypto;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Hostile;

/// <summary>
/// "datmount share" of an honest drive as the victim of one family of scripts. While a script plays, a reader in a process of its own fetches
/// the whole drive from the same victim; then the victim must be alive and its memory within the script's bound.
/// </summary>
public sealed class ShareStage(Report report) : IAsyncLifetime
{
    private readonly TempFolder _home = TempFolder.Create("hostile");
    private HonestDrive _drive = null!;
    private Datmount _victim = null!;

    internal FeedKey Key => _drive.Key;

    internal FeedKey ContentKey => _drive.ContentKey;

    internal int Port { get; private set; }

    public async ValueTask InitializeAsync()
    {
        _drive = await HonestDrive.CreateAsync();
        _victim = Datmount.Start(_home, "share", _drive.Folder, "--listen", "127.0.0.1:0", "--no-discovery");
        string line = await _victim.LineAsync("sharing dat://");
        Port = int.Parse(line[(line.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);
        // What the first transfers leave in the program's pools is no script's doing.
        await Task.WhenAll(_drive.FetchAsync(Port), _drive.FetchAsync(Port));
    }

    internal Task<Raider> DialAsync(byte[]? id = null) => Raider.DialAsync(Port, Key, id);

    /// <summary>The program ends the attacker's connection and its log says why.</summary>
    internal async Task ClosedAsync(Raider raider, string cause, TimeSpan? within = null)
    {
        await raider.ClosedAsync(within);
        await LoggedAsync(raider.Name, cause);
    }

    /// <summary>The log has a line with all of these.</summary>
    internal Task LoggedAsync(params string[] parts) => _victim.LoggedAsync(Raider.Patience, parts);

    internal async Task PlayAsync(string family, Script script)
    {
        long before = ProcessMemory.Now(_victim.Id);
        ProcessMemory.ForgetPeak(_victim.Id);
        Task<TimeSpan> honest = _drive.FetchAsync(Port);
        int times = 0;
        do
        {
            await script.Attack(this);
            times++;
        }
        while (!honest.IsCompleted);

        TimeSpan took = await honest;
        _victim.IsAlive.Should().BeTrue(_victim.Errors);
        long grown = Math.Max(0, ProcessMemory.Peak(_victim.Id) - before);
        (grown / 1024.0).Should().BeLessThan(script.MaxGrowthMiB, "so many MiB are the most that this attack may cost");
        report.Add(family, script.Name, script.What, times, grown, script.MaxGrowthMiB, took);
    }

    public async ValueTask DisposeAsync()
    {
        await _victim.DisposeAsync();
        _drive.Dispose();
        _home.Dispose();
    }
}
