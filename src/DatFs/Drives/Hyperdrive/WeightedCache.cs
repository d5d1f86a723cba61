using System.Diagnostics.CodeAnalysis;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// The most recently used values, up to a total weight: for values of very different size. One that is heavier than everything allowed
/// stays until the next one comes. Any thread may call.
/// </summary>
internal sealed class WeightedCache<TKey, TValue>(long capacity)
    where TKey : notnull
    where TValue : class
{
    // An empty value costs something too.
    private const long Overhead = 8;

    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, LinkedListNode<Item>> _items = [];
    private readonly LinkedList<Item> _order = new();
    private long _total;

    /// <summary>Weight of all that is kept.</summary>
    public long Total => Volatile.Read(ref _total);

    public bool TryGet(TKey key, [NotNullWhen(true)] out TValue? value)
    {
        lock (_gate)
        {
            value = null;
            if (!_items.TryGetValue(key, out LinkedListNode<Item>? found)) return false;
            if (_order.First != found)
            {
                _order.Remove(found);
                _order.AddFirst(found);
            }

            value = found.Value.Value;
            return true;
        }
    }

    public void Add(TKey key, TValue value, long weight)
    {
        lock (_gate)
        {
            if (_items.ContainsKey(key)) return;
            _items.Add(key, _order.AddFirst(new Item(key, value, weight + Overhead)));
            _total += weight + Overhead;
            while (_total > capacity && _order.Last is { } oldest && oldest != _order.First)
            {
                _order.RemoveLast();
                _items.Remove(oldest.Value.Key);
                _total -= oldest.Value.Weight;
            }
        }
    }

    private readonly record struct Item(TKey Key, TValue Value, long Weight);
}
