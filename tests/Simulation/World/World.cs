using System.Runtime.CompilerServices;

namespace DatMount.Simulation;

/// <summary>
/// A world on one thread: its time, its chance, and everything that is about to happen. Whatever the machines in it do is one item in a list;
/// of those that are ready one is chosen, run to its end, and the next is chosen. Time passes when nothing is ready, and a little with each item.
/// </summary>
internal sealed class World
{
    /// <summary>Items after which a seed is taken to run for ever.</summary>
    public const long MaxSteps = 5_000_000;

    [ThreadStatic]
    private static World? t_here;

    private readonly PriorityQueue<Timed, (long Due, ulong Order)> _timed = new();
    private readonly List<Item> _ready = [];
    private readonly Rng _turns;
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly bool _inOrder;
    private readonly int _workTicks;
    private readonly double _lateShare;
    private int _readyStart;
    private ulong _order;
    private string? _escape;

    static World() => AppDomain.CurrentDomain.FirstChanceException += static (_, thrown) => t_here?.Thrown(thrown.Exception);

    public World(ulong seed)
    {
        Seed = seed;
        Rng = new Rng(seed);
        _turns = Rng.Fork();
        _inOrder = Rng.Chance(0.3);
        _workTicks = Rng.Chance(0.5) ? 1 + Rng.Below(400) : 0;
        _lateShare = Rng.Chance(0.3) ? Rng.Scaled(0.0005, 0.02) : 0;
    }

    public ulong Seed { get; }

    /// <summary>Chance in what the scenario does; machines and links have their own.</summary>
    public Rng Rng { get; }

    public Trace Trace { get; } = new();

    /// <summary>Ticks of 100 ns since the beginning.</summary>
    public long Now { get; private set; }

    public TimeSpan Time => TimeSpan.FromTicks(Now);

    /// <summary>Items run.</summary>
    public long Steps { get; private set; }

    /// <summary>The first thing that was found wrong; nothing happens after it.</summary>
    public string? Failure { get; private set; }

    public void Say(string who, string what) => Trace.Line(Now, who, what);

    /// <summary>What happened how often, for the summary of all seeds.</summary>
    public SortedDictionary<string, int> Counts { get; } = new(StringComparer.Ordinal);

    public void Count(string what) => Counts[what] = Counts.GetValueOrDefault(what) + 1;

    public void Fail(string what)
    {
        if (Failure is not null) return;
        Failure = what;
        Say("world", "FAILED " + what);
    }

    public void Check(bool right, [InterpolatedStringHandlerArgument("right")] ref FailureText what)
    {
        if (!right) Fail(what.ToString());
    }

    /// <summary>Lets something happen later that belongs to no machine.</summary>
    public void After(TimeSpan delay, Action action) => At(Now + delay.Ticks, action);

    public void At(long due, Action action) => _timed.Enqueue(new Timed(null, 0, action), (due, _order++));

    public void At(long due, MachineTimer timer, long generation) => _timed.Enqueue(new Timed(timer, generation, null), (due, _order++));

    /// <summary>Queues an item of a machine.</summary>
    public void Post(Machine machine, SendOrPostCallback callback, object? state)
    {
        if (Environment.CurrentManagedThreadId != _thread)
        {
            // The library went on in the thread pool: no order there can be repeated.
            Interlocked.CompareExchange(ref _escape, Environment.StackTrace, null);
            return;
        }

        Item item = new(machine, callback, state);
        if (_lateShare > 0 && _turns.Chance(_lateShare)) After(_turns.Span(0.1, 300), () => _ready.Add(item));
        else _ready.Add(item);
    }

    /// <summary>Runs until the condition holds, or nothing is left to happen, or a failure; false in the latter two.</summary>
    public bool Run(Func<bool> until)
    {
        SynchronizationContext? before = SynchronizationContext.Current;
        try
        {
            t_here = this;
            while (!until())
            {
                if (_escape is { } stack) Fail("work escaped to the thread pool:\n" + stack);
                if (Failure is not null) return false;
                if (Steps >= MaxSteps) Fail($"{MaxSteps} steps were not enough");
                Promote();
                if (_readyStart == _ready.Count && !Skip()) return false;
                else if (_readyStart < _ready.Count) Step();
            }

            return true;
        }
        finally
        {
            t_here = null;
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    // Whatever becomes of it: these say that somebody did not think of something.
    private void Thrown(Exception e)
    {
        bool unthought = e is NullReferenceException or ArithmeticException or IndexOutOfRangeException or InvalidCastException or ArgumentException
            or KeyNotFoundException or FormatException or OutOfMemoryException or NotImplementedException or (InvalidOperationException and not ObjectDisposedException);
        if (unthought) Fail($"unexpected {e.GetType().Name}: {e.Message}\n{Stack()}");
    }

    // What the runtime did in between tells nothing.
    private static string Stack() => string.Join('\n', Environment.StackTrace.Split('\n').Where(line => line.Contains(":line", StringComparison.Ordinal)).Skip(2));


    private void Promote()
    {
        while (_timed.TryPeek(out _, out (long Due, ulong Order) at) && at.Due <= Now)
        {
            Timed timed = _timed.Dequeue();
            Steps++;
            if (timed.Timer is { } timer)
            {
                timer.Due(timed.Generation);
                continue;
            }

            SynchronizationContext.SetSynchronizationContext(null);
            timed.Action!();
        }
    }

    private bool Skip()
    {
        if (!_timed.TryPeek(out _, out (long Due, ulong Order) at))
        {
            if (_escape is null) Thread.Yield();
            return false;
        }

        Now = Math.Max(Now, at.Due);
        return true;
    }

    private void Step()
    {
        Steps++;
        Item item = Take();
        if (!item.Machine.Alive) return;
        if (item.Machine.PausedUntil > Now)
        {
            At(item.Machine.PausedUntil, () => _ready.Add(item));
            return;
        }

        SynchronizationContext.SetSynchronizationContext(item.Machine);
        try
        {
            item.Callback(item.State);
        }
        catch (Exception e)
        {
            Fail($"unhandled in {item.Machine.Name}: {e}");
        }

        if (_workTicks > 0) Now += _turns.Below(_workTicks);
    }

    private Item Take()
    {
        int at = _inOrder ? _readyStart : _readyStart + _turns.Below(_ready.Count - _readyStart);
        Item item = _ready[at];
        if (at != _readyStart) _ready[at] = _ready[_readyStart];
        _ready[_readyStart++] = default;
        if (_readyStart == _ready.Count)
        {
            _ready.Clear();
            _readyStart = 0;
        }
        else if (_readyStart > 1024 && _readyStart > _ready.Count / 2)
        {
            _ready.RemoveRange(0, _readyStart);
            _readyStart = 0;
        }

        return item;
    }

    private readonly record struct Item(Machine Machine, SendOrPostCallback Callback, object? State);

    private readonly record struct Timed(MachineTimer? Timer, long Generation, Action? Action);
}

/// <summary>A text that is only made when the check fails.</summary>
[InterpolatedStringHandler]
internal ref struct FailureText
{
    private DefaultInterpolatedStringHandler _text;

    public FailureText(int literalLength, int formattedCount, bool right, out bool wanted)
    {
        wanted = !right;
        _text = wanted ? new DefaultInterpolatedStringHandler(literalLength, formattedCount) : default;
    }

    public void AppendLiteral(string text) => _text.AppendLiteral(text);

    public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

    public override string ToString() => _text.ToStringAndClear();
}
