using System.Net;

namespace DatFs.Wire;

/// <summary>
/// How many accepted connections may exist whose peer has not shown that it has the key (wire-protocol.md §9.1). Shared by all
/// acceptors of a process; safe from any thread.
/// </summary>
public sealed class StrangerLimits
{
    /// <summary>Over all addresses.</summary>
    public const int MaxTotal = 64;

    /// <summary>From one address. Loopback is exempt: local programs share one.</summary>
    public const int MaxPerAddress = 4;

    private readonly Lock _gate = new();
    private readonly Dictionary<IPAddress, int> _byAddress = [];
    private int _total;
    private int _peak;
    private long _refused;

    /// <summary>How many there are, the most there were, the most from one address now, and how many were refused.</summary>
    internal (int Now, int Peak, int FromOne, long Refused) Use
    {
        get
        {
            lock (_gate) return (_total, _peak, _byAddress.Values.DefaultIfEmpty().Max(), _refused);
        }
    }

    /// <summary>Admits a stranger, to be released by disposing once; null when there are too many.</summary>
    internal IDisposable? TryAdmit(IPAddress address)
    {
        IPAddress plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        lock (_gate)
        {
            int here = _byAddress.GetValueOrDefault(plain);
            if (_total >= MaxTotal || (here >= MaxPerAddress && !IPAddress.IsLoopback(plain)))
            {
                _refused++;
                return null;
            }

            _peak = Math.Max(_peak, ++_total);
            _byAddress[plain] = here + 1;
            return new Admission(this, plain);
        }
    }

    private void Release(IPAddress address)
    {
        lock (_gate)
        {
            _total--;
            if (--_byAddress[address] == 0) _byAddress.Remove(address);
        }
    }

    private sealed class Admission(StrangerLimits limits, IPAddress address) : IDisposable
    {
        private bool _released;

        public void Dispose()
        {
            if (!Interlocked.Exchange(ref _released, true)) limits.Release(address);
        }
    }
}
