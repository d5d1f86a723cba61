using System.Buffers;
using System.IO.Pipelines;
using DatFs.Wire;

namespace DatMount.Fuzz.Engine;

/// <summary>
/// A stream whose bytes are all here already and come in pieces of chosen sizes; what is sent is swallowed. Nothing ever waits, so a connection
/// over it runs to its end on the thread that started it.
/// </summary>
internal sealed class FragmentTransport : ITransport
{
    private readonly Pieces _input;

    public FragmentTransport(byte[] bytes, int seed, bool initiator)
    {
        _input = new Pieces(bytes, seed);
        Initiator = initiator;
    }

    public PipeReader Input => _input;

    public PipeWriter Output { get; } = new Sink();

    public string RemoteName => "remote:1";

    public bool Initiator { get; }

    public void Abort() => _input.Aborted = true;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private sealed class Pieces(byte[] bytes, int seed) : PipeReader
    {
        private uint _state = (uint)seed + 1;
        private int _consumed;
        private int _examined;
        private int _shown;
        private bool _canceled;

        public bool Aborted { get; set; }

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            TryRead(out ReadResult result);
            return ValueTask.FromResult(result);
        }

        public override bool TryRead(out ReadResult result)
        {
            if (Aborted) throw new IOException("the stream was torn down");
            bool canceled = _canceled;
            _canceled = false;
            if (!canceled && _examined == _shown)
            {
                _state = _state * 1664525 + 1013904223;
                int count = seed == int.MaxValue ? bytes.Length : 1 + (int)(_state >> 16) % (1 + seed * seed / 4);
                _shown += Math.Min(count, bytes.Length - _shown);
            }

            result = new ReadResult(new ReadOnlySequence<byte>(bytes, _consumed, _shown - _consumed), canceled, !canceled && _shown == bytes.Length);
            return true;
        }

        public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) =>
            (_consumed, _examined) = (consumed.GetInteger(), examined.GetInteger());

        public override void CancelPendingRead() => _canceled = true;

        public override void Complete(Exception? exception = null)
        {
        }
    }

    private sealed class Sink : PipeWriter
    {
        private byte[] _room = [];

        public override void Advance(int bytes)
        {
        }

        public override Memory<byte> GetMemory(int sizeHint = 0) => _room.Length >= Math.Max(1, sizeHint) ? _room : _room = new byte[Math.Max(256, sizeHint)];

        public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default) => default;

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => default;

        public override void CancelPendingFlush()
        {
        }

        public override void Complete(Exception? exception = null)
        {
        }
    }
}
