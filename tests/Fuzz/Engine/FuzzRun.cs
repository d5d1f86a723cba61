using System.Diagnostics;

namespace DatMount.Fuzz.Engine;

/// <summary>An input that a target did not take, and why.</summary>
internal sealed record FuzzFailure(byte[] Input, Exception Reason);

/// <summary>
/// Runs one target on one thread: first its corpus, then mutations of it, until told to stop or until an input fails. Which inputs come in
/// which order is decided by the seed alone; only how many of them depends on the machine.
/// </summary>
internal sealed class FuzzRun
{
    /// <summary>One input may take this long; all of them take microseconds.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly IFuzzTarget _target;
    private readonly byte[][] _corpus;
    private readonly Mutator _mutator;
    private readonly Coverage? _coverage;
    private readonly List<byte[]> _kept = [];

    public FuzzRun(IFuzzTarget target, ulong seed, int worker, Coverage? coverage = null, IEnumerable<byte[]>? more = null)
    {
        _target = target;
        _coverage = coverage;
        _corpus = [.. target.Corpus(), .. more ?? []];
        _mutator = new Mutator(new Dice(seed, target.Name, worker), _corpus, target.Dictionary, target.MaxLength);
    }

    /// <summary>Inputs run so far.</summary>
    public long Cases { get; private set; }

    /// <summary>The input that ended the run; null = none failed.</summary>
    public FuzzFailure? Failure { get; private set; }

    /// <summary>Inputs that went where none had gone before, in this run.</summary>
    public IReadOnlyList<byte[]> Kept => _kept;

    public void Run(Func<bool> goesOn)
    {
        foreach (byte[] input in _corpus)
        {
            if (Fails(input)) return;
        }

        while (goesOn() && !Fails(_mutator.Next()))
        {
        }
    }

    /// <summary>One input against all promises; throws what it breaks.</summary>
    public static void Check(IFuzzTarget target, ReadOnlySpan<byte> input)
    {
        if (Cost(target, input) is not { } first) return;

        // What is made once and kept (tables, pools, compiled code) is nobody's fault; what costs again is.
        if (Cost(target, input) is { } again && first.GetType() == again.GetType()) throw again;
    }

    private static BrokenPromiseException? Cost(IFuzzTarget target, ReadOnlySpan<byte> input)
    {
        long started = Stopwatch.GetTimestamp();
        long before = GC.GetAllocatedBytesForCurrentThread();
        target.Run(input);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        TimeSpan taken = Stopwatch.GetElapsedTime(started);
        if (taken > s_patience) return new BrokenPromiseException($"{input.Length} bytes took {taken.TotalSeconds:0.0} s");
        long limit = target.AllocationLimit(input.Length);
        return allocated > limit ? new BrokenPromiseException($"{input.Length} bytes cost {allocated} bytes of memory, {limit} are allowed") : null;
    }

    private bool Fails(ReadOnlySpan<byte> input)
    {
        Cases++;
        try
        {
            _coverage?.Begin();
            Check(_target, input);
            if (_coverage?.IsNew() != true) return false;
            if (Cases <= _corpus.Length) return false;
            _kept.Add(input.ToArray());
            _mutator.Keep(input);
            return false;
        }
        catch (Exception reason)
        {
            Failure = new FuzzFailure(input.ToArray(), reason);
            return true;
        }
    }
}
