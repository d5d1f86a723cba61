using System.IO.Pipelines;
using DatFs.Wire;

namespace DatMount.Simulation;

/// <summary>A connection as the library gets it, made over a socket exactly as that of production is.</summary>
internal sealed class SimTransport(SimSocket socket, string remoteName, bool initiator) : ITransport
{
    private const int ReadSize = 64 * 1024;

    public PipeReader Input { get; } = PipeReader.Create(socket, new StreamPipeReaderOptions(socket.Machine.Buffers, ReadSize, leaveOpen: true));

    public PipeWriter Output { get; } = PipeWriter.Create(new SendingHalf(socket), new StreamPipeWriterOptions(socket.Machine.Buffers));

    public string RemoteName { get; } = remoteName;

    public bool Initiator { get; } = initiator;

    /// <inheritdoc cref="SimSocket.Garble"/>
    public double Garble
    {
        set => socket.Garble = value;
    }

    public void Abort() => socket.Abort();

    public async ValueTask DisposeAsync()
    {
        await Output.CompleteAsync();
        await Input.CompleteAsync();
        await socket.DisposeAsync();
    }

    private sealed class SendingHalf(SimSocket socket) : Stream
    {
        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => socket.WriteAsync(buffer, cancellationToken);
        public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            base.Dispose(disposing);
            socket.Shutdown();
        }
    }
}
