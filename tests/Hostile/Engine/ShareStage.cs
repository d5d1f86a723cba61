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
    private readonly List<(Raider Raider, int Since)> _raiders = [];
    private HonestDrive _drive = null!;
    private Datmount _victim = null!;

    internal FeedKey Key => _drive.Key;

    internal FeedKey ContentKey => _drive.ContentKey;

    internal int Port { get; private set; }

    public async ValueTask InitializeAsync()
    {
        _drive = await HonestDrive.CreateAsync();
        (_victim, Port) = await Sharing.StartAsync(_home, _drive.Folder);
        // What the first transfers leave in the program's pools is no script's doing.
        await Task.WhenAll(_drive.FetchAsync(Port), _drive.FetchAsync(Port));
    }

    internal Task<Raider> DialAsync(byte[]? id = null) => DialAsync(Key, id);

    internal async Task<Raider> DialAsync(FeedKey key, byte[]? id = null)
    {
        int since = _victim.Position;
        Raider raider = await Raider.DialAsync(Port, key, id);
        _raiders.Add((raider, since));
        return raider;
    }

    /// <summary>The program ends the attacker's connection and its log says why.</summary>
    internal async Task ClosedAsync(Raider raider, string cause, TimeSpan? within = null)
    {
        await raider.ClosedAsync(within);
        await LoggedAsync(raider, cause);
    }

    /// <summary>The log has a line about an attacker with all of these.</summary>
    internal Task LoggedAsync(Raider raider, params string[] parts) =>
        _victim.LoggedAsync(_raiders.Find(known => known.Raider == raider).Since, Raider.Patience, [raider.Name, .. parts]);

    internal async Task PlayAsync(string family, Script script)
    {
        _raiders.Clear();
        long before = ProcessMemory.Now(_victim.Id);
        ProcessMemory.ForgetPeak(_victim.Id);
        Task<TimeSpan> honest = _drive.FetchAsync(Port);
        int times = 0;
        do
        {
            await script.Attack(this);
            await LeftAsync();
            times++;
        }
        while (!honest.IsCompleted);

        TimeSpan took = await honest;
        _victim.IsAlive.Should().BeTrue(_victim.Errors);
        long grown = Math.Max(0, ProcessMemory.Peak(_victim.Id) - before);
        (grown / 1024.0).Should().BeLessThan(script.MaxGrowthMiB, "so many MiB are the most that this attack may cost");
        report.Add(family, script.Name, script.What, times, grown, script.MaxGrowthMiB, took);
    }

    // What a round cost is given back before the next begins, however slow the machine is: memory is what this many attackers hold.
    private async Task LeftAsync()
    {
        foreach ((Raider raider, _) in _raiders) await LoggedAsync(raider, "is over");
        _raiders.Clear();
    }

    public async ValueTask DisposeAsync()
    {
        await _victim.DisposeAsync();
        _drive.Dispose();
        _home.Dispose();
    }
}
