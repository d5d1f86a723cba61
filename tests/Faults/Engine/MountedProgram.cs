using System.Diagnostics;
using DatFs.Evidence;

namespace DatMount.Faults;

/// <summary>"datmount mount" in a process of its own, with its own home.</summary>
internal sealed class MountedProgram : IAsyncDisposable
{
    private readonly Datmount _program;

    private MountedProgram(Datmount program, string folder) => (_program, Folder) = (program, folder);

    public string Folder { get; }

    public int Id => _program.Id;

    public string Log => _program.Errors;

    public bool IsAlive => _program.IsAlive;

    public static MountedProgram Start(TempFolder home, string key, IEnumerable<string> peers, string timeout)
    {
        string folder = home.Folder("mnt");
        string[] named = [.. peers.SelectMany(peer => (string[])["--peer", peer])];
        return new MountedProgram(Datmount.Start(home, ["mount", "dat://" + key, folder, "--no-discovery", "--io-timeout", timeout, .. named]), folder);
    }

    public Task MountedAsync() => _program.LineAsync("mounted");

    public Task LoggedAsync(TimeSpan patience, params string[] parts) => _program.LoggedAsync(patience, parts);

    /// <summary>SIGKILL; what it leaves behind is the next one's business.</summary>
    public Task KillAsync()
    {
        if (_program.IsAlive) _program.Signal(9);
        return _program.ExitAsync();
    }

    /// <summary>Asks it to end in order, without waiting for that.</summary>
    public void Terminate() => _program.Signal(15);

    public Task<int> ExitAsync() => _program.ExitAsync();

    public async ValueTask DisposeAsync()
    {
        await _program.DisposeAsync();
        if (!File.ReadLines("/proc/self/mountinfo").Any(line => line.Split(' ')[4] == Folder)) return;
        using Process unmount = Process.Start("umount", ["-l", Folder]);
        await unmount.WaitForExitAsync();
    }
}
