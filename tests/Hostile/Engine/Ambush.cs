using System.Net;
using System.Net.Sockets;
using DatFs.Crypto;
using DatFs.Evidence;
using FluentAssertions;

namespace DatMount.Hostile;

/// <summary>
/// A mount as the victim of one script. It knows two addresses: the attacker's, and one behind which an honest process shares the drive. The
/// honest one is held back until the script says so, so that the attacker is believed first.
/// </summary>
internal sealed class Ambush : IAsyncDisposable
{
    // A peer is who it says it is and where it is: the honest one is not to suffer for what comes from here.
    private static readonly IPAddress s_elsewhere = IPAddress.Parse("127.0.0.2");

    private readonly TempFolder _home = TempFolder.Create("hostile-mount");
    private readonly TcpListener? _listener;
    private readonly Relay? _middle;
    private readonly FeedKey _key;
    private readonly Datmount _victim;

    /// <param name="key">The drive.</param>
    /// <param name="honestPort">Where an honest process shares it.</param>
    /// <param name="flips">The attacker is not a peer but stands on a line to the honest process, and changes what passes.</param>
    /// <param name="options">More of the command line.</param>
    public Ambush(FeedKey key, int honestPort, BitFlips? flips = null, params string[] options)
    {
        (_key, Flips) = (key, flips);
        if (flips is null)
        {
            _listener = new TcpListener(s_elsewhere, 0);
            _listener.Start();
            Address = _listener.LocalEndpoint.ToString()!;
        }
        else
        {
            _middle = Relay.At(s_elsewhere, honestPort);
            _middle.Tamper = flips.Apply;
            Address = $"{s_elsewhere}:{_middle.Port}";
        }

        Honest = Relay.To(honestPort);
        Honest.Pause();
        Mountpoint = _home.Folder("mnt");
        _victim = Datmount.Start(_home, ["mount", "dat://" + key.ToHex(), Mountpoint, "--peer", Address, "--peer", $"127.0.0.1:{Honest.Port}", "--no-discovery", "--io-timeout", "25s", .. options]);
    }

    public string Mountpoint { get; }

    /// <summary>The attacker's address, as the victim's log names it.</summary>
    public string Address { get; }

    /// <summary>The line to the honest process; nothing passes before <see cref="Relay.Resume"/>.</summary>
    public Relay Honest { get; }

    /// <summary>What it does to the line, when it is no peer.</summary>
    public BitFlips? Flips { get; }

    public string DataFolder => _home.File("data");

    /// <summary>KiB that the victim holds when the attacker is first met or, where nobody meets it, when it has mounted.</summary>
    public long MemoryBefore { get; private set; }

    /// <summary>KiB it held at most since it began.</summary>
    public long MemoryPeak => ProcessMemory.Peak(_victim.Id);

    /// <summary>The next connection that the victim makes to the attacker.</summary>
    public async Task<Raider> MeetAsync(byte[]? id = null)
    {
        Raider raider = await Raider.TakeAsync(_listener!, _key, id).WaitAsync(Raider.Patience);
        if (MemoryBefore == 0) MemoryBefore = ProcessMemory.Now(_victim.Id);
        return raider;
    }

    /// <summary>The victim does not find the attacker again.</summary>
    public void Leave() => _listener?.Stop();

    public string Log => _victim.Errors;

    public async Task MountedAsync()
    {
        await _victim.LineAsync("mounted");
        if (MemoryBefore == 0) MemoryBefore = ProcessMemory.Now(_victim.Id);
    }

    /// <summary>Reads a whole file through the kernel.</summary>
    public Task<byte[]> ReadAsync(string name) => Task.Run(() => File.ReadAllBytes(Path.Combine(Mountpoint, name)));

    public Task LoggedAsync(params string[] parts) => _victim.LoggedAsync(Raider.Patience, parts);

    /// <summary>The victim ends a connection with the attacker, and its log says why.</summary>
    public async Task EndedAsync(Raider raider, string cause)
    {
        await raider.ClosedAsync();
        await LoggedAsync($"Connection to {Address} is over", cause);
    }

    public void ShouldLive() => _victim.IsAlive.Should().BeTrue(_victim.Errors);

    public async ValueTask DisposeAsync()
    {
        _listener?.Dispose();
        await _victim.DisposeAsync();
        if (_middle is not null) await _middle.DisposeAsync();
        await Honest.DisposeAsync();
        _home.Dispose();
    }
}
