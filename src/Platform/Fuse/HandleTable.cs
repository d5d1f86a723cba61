using System.Diagnostics.CodeAnalysis;

namespace DatMount.Platform.Fuse;

/// <summary>
/// Something the kernel holds open. Uses are counted because the kernel may send RELEASE while the thread that answered the last
/// read still gives its lease back: the handle is disposed after both.
/// </summary>
internal sealed class Opened<T>(T handle, bool append)
    where T : class, IAsyncDisposable
{
    private int _uses = 1;

    public T Handle => handle;

    /// <summary>Every write goes to the end.</summary>
    public bool Append => append;

    public bool TryUse()
    {
        int uses = Volatile.Read(ref _uses);
        while (uses > 0)
        {
            int seen = Interlocked.CompareExchange(ref _uses, uses + 1, uses);
            if (seen == uses) return true;
            uses = seen;
        }

        return false;
    }

    public ValueTask DoneAsync() => Interlocked.Decrement(ref _uses) == 0 ? handle.DisposeAsync() : ValueTask.CompletedTask;
}

/// <summary>File handles (fh) given to the kernel: slots in an array, read without a lock.</summary>
internal sealed class HandleTable<T>
    where T : class, IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Stack<int> _free = new();
    private Opened<T>?[] _slots = new Opened<T>?[64];
    private int _used;

    public int Count
    {
        get
        {
            lock (_gate) return _used - _free.Count;
        }
    }

    public ulong Add(T handle, bool append = false)
    {
        lock (_gate)
        {
            if (!_free.TryPop(out int slot))
            {
                slot = _used++;
                if (slot == _slots.Length)
                {
                    var grown = new Opened<T>?[checked(_slots.Length * 2)];
                    _slots.CopyTo(grown, 0);
                    Volatile.Write(ref _slots, grown);
                }
            }

            Volatile.Write(ref _slots[slot], new Opened<T>(handle, append));
            return (ulong)slot;
        }
    }

    /// <summary>Finds a handle and counts one use; give it back with <see cref="Opened{T}.DoneAsync"/>.</summary>
    public bool TryUse(ulong number, [NotNullWhen(true)] out Opened<T>? opened)
    {
        Opened<T>?[] slots = Volatile.Read(ref _slots);
        opened = number < (ulong)slots.Length ? Volatile.Read(ref slots[(int)number]) : null;
        return opened is not null && opened.TryUse();
    }

    /// <summary>Forgets a handle; it is disposed when its last use ends.</summary>
    public ValueTask RemoveAsync(ulong number)
    {
        Opened<T>? opened;
        lock (_gate)
        {
            if (number >= (ulong)_slots.Length || _slots[(int)number] is not { } found) return ValueTask.CompletedTask;
            opened = found;
            _slots[(int)number] = null;
            _free.Push((int)number);
        }

        return opened.DoneAsync();
    }

    public async ValueTask CloseAllAsync()
    {
        for (int slot = 0; slot < _used; slot++) await RemoveAsync((ulong)slot);
    }
}
