using System.Diagnostics;
using System.Globalization;

namespace DatFs.Evidence;

/// <summary>
/// A network of a test's own: loopback, and links to others that the test makes. Held by a process that ends with this one, and the
/// namespace with it. Needs root, as the tests of real networks do.
/// </summary>
public sealed class NetworkNamespace : IAsyncDisposable
{
    private static int s_links;
    private readonly Process _holder;

    private NetworkNamespace(Process holder) => _holder = holder;

    /// <summary>The words before a command that runs in it.</summary>
    public string[] Enter => ["nsenter", "--net=/proc/" + _holder.Id.ToString(CultureInfo.InvariantCulture) + "/ns/net", "--"];

    /// <summary>Makes one that holds nothing but loopback.</summary>
    public static async Task<NetworkNamespace> CreateAsync()
    {
        ProcessStartInfo start = new("unshare") { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string word in (string[])["--net", "sh", "-c", "ip link set lo up && echo up && exec cat >/dev/null"]) start.ArgumentList.Add(word);
        Process holder = Process.Start(start)!;
        if (await holder.StandardOutput.ReadLineAsync() != "up") throw new InvalidOperationException("no network namespace; these tests run as root");
        return new NetworkNamespace(holder);
    }

    /// <summary>Connects two by a cable; addresses are written "10.77.0.1/24".</summary>
    public static async Task LinkAsync(NetworkNamespace one, string oneAddress, NetworkNamespace other, string otherAddress)
    {
        int number = Interlocked.Increment(ref s_links);
        string a = string.Create(CultureInfo.InvariantCulture, $"dat{number}a"), b = string.Create(CultureInfo.InvariantCulture, $"dat{number}b");
        await one.RunAsync("ip", "link", "add", a, "type", "veth", "peer", "name", b, "netns", other._holder.Id.ToString(CultureInfo.InvariantCulture));
        await one.UpAsync(a, oneAddress);
        await other.UpAsync(b, otherAddress);
    }

    /// <summary>Runs a command in it to its end.</summary>
    public async Task RunAsync(params string[] command)
    {
        string[] words = [.. Enter, .. command];
        ProcessStartInfo start = new(words[0]) { RedirectStandardError = true };
        foreach (string word in words[1..]) start.ArgumentList.Add(word);
        using Process process = Process.Start(start)!;
        string errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{string.Join(' ', command)}: {errors}");
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // It waits for more on its input, and ends when there is none.
        _holder.StandardInput.Close();
        await _holder.WaitForExitAsync();
        _holder.Dispose();
    }

    private async Task UpAsync(string device, string address)
    {
        await RunAsync("ip", "address", "add", address, "dev", device);
        await RunAsync("ip", "link", "set", device, "up");
        // What real peers send to a group goes where the default route would lead.
        await RunAsync("ip", "route", "add", "224.0.0.0/4", "dev", device);
    }
}
