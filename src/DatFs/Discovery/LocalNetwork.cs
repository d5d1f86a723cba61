using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace DatFs.Discovery;

/// <summary>One address of this machine.</summary>
/// <param name="Address">The address.</param>
/// <param name="PrefixLength">Leading bits that all hosts of its link share.</param>
/// <param name="Interface">Index of its interface, as sockets name it.</param>
/// <param name="Multicast">The interface takes multicast.</param>
public readonly record struct LocalAddress(IPAddress Address, int PrefixLength, int Interface, bool Multicast);

/// <summary>The addresses that this machine has now. Safe for use by any thread; throws nothing.</summary>
public interface ILocalNetwork
{
    /// <summary>All addresses of the interfaces that are up.</summary>
    IReadOnlyList<LocalAddress> Addresses { get; }

    /// <summary>Raised on any thread after addresses came or went.</summary>
    event Action? Changed;
}

/// <summary>What is worked out from the addresses of this machine.</summary>
internal static class LocalNetworkRules
{
    /// <summary>True for an address of this machine.</summary>
    public static bool IsOurs(this ILocalNetwork network, IPAddress address)
    {
        IPAddress plain = AddressRules.Plain(address);
        return IPAddress.IsLoopback(plain) || network.Addresses.Any(own => own.Address.Equals(plain));
    }

    /// <summary>True for an address that is reached without a router.</summary>
    public static bool IsOnLink(this ILocalNetwork network, IPAddress address)
    {
        IPAddress plain = AddressRules.Plain(address);
        if (IPAddress.IsLoopback(plain) || plain.IsIPv6LinkLocal) return true;
        return network.Addresses.Any(own => own.Address.AddressFamily == plain.AddressFamily && own.PrefixLength > 0
            && new IPNetwork(Network(own), own.PrefixLength).Contains(plain));
    }

    private static IPAddress Network(LocalAddress own)
    {
        byte[] bytes = own.Address.GetAddressBytes();
        for (int i = 0; i < bytes.Length; i++)
        {
            int kept = Math.Clamp(own.PrefixLength - 8 * i, 0, 8);
            bytes[i] &= (byte)(0xff << (8 - kept));
        }

        return new IPAddress(bytes);
    }
}

/// <summary>The interfaces of the machine as the system lists them. Looked at again after a change, and when the last look is old.</summary>
public sealed class SystemLocalNetwork : ILocalNetwork, IDisposable
{
    // Not every system tells of every change.
    private static readonly TimeSpan s_fresh = TimeSpan.FromSeconds(5);

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private IReadOnlyList<LocalAddress> _addresses = [];
    private long? _lookedAt;

    /// <summary>Begins to watch the machine's interfaces.</summary>
    public SystemLocalNetwork(TimeProvider time)
    {
        _time = time;
        NetworkChange.NetworkAddressChanged += OnChanged;
    }

    /// <inheritdoc/>
    public event Action? Changed;

    /// <inheritdoc/>
    public IReadOnlyList<LocalAddress> Addresses
    {
        get
        {
            lock (_gate)
            {
                if (_lookedAt is { } at && _time.GetElapsedTime(at) < s_fresh) return _addresses;
                _lookedAt = _time.GetTimestamp();
                return _addresses = Look();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => NetworkChange.NetworkAddressChanged -= OnChanged;

    private void OnChanged(object? sender, EventArgs change)
    {
        lock (_gate) _lookedAt = null;
        Changed?.Invoke();
    }

    private static List<LocalAddress> Look()
    {
        List<LocalAddress> found = [];
        try
        {
            foreach (NetworkInterface card in NetworkInterface.GetAllNetworkInterfaces())
            {
                // The state of a loopback or a virtual interface is often "unknown" although it works.
                if (card.OperationalStatus is OperationalStatus.Down or OperationalStatus.NotPresent or OperationalStatus.LowerLayerDown) continue;
                IPInterfaceProperties properties = card.GetIPProperties();
                foreach (UnicastIPAddressInformation own in properties.UnicastAddresses)
                    found.Add(new LocalAddress(AddressRules.Plain(own.Address), own.PrefixLength, IndexOf(properties, own.Address), card.SupportsMulticast));
            }
        }
        catch (Exception gone) when (gone is NetworkInformationException or SocketException or IOException)
        {
            // An interface went while it was looked at; the change brings another look.
            return found;
        }

        return found;
    }

    private static int IndexOf(IPInterfaceProperties properties, IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork
        ? properties.GetIPv4Properties()?.Index ?? 0
        : properties.GetIPv6Properties()?.Index ?? 0;
}
