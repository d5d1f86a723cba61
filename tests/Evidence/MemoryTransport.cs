using System.Buffers;
using System.IO.Pipelines;
using DatFs.Wire;

namespace DatFs.Evidence;

/// <summary>
/// One end of a byte stream inside the process. A fragmented pair hands every byte over in pieces of 1 to 97 bytes, each of which the
/// reader sees alone; the seed decides their sizes.
/// </summary>
public sealed class MemoryTransport : ITransport
{
    private const int LargestPiece = 97;

    private MemoryTransport(PipeReader input, PipeWriter output, string remoteName, bool initiator)
    {
        Input = input;
        Output = output;
        RemoteName = remoteName;
        Initiator = initiator;
    }

    public PipeReader Input { get; }

    public PipeWriter Output { get; }

    public string RemoteName { get; }

    public bool Initiator { get; }

    /// <summary>Whether the owner proved itself to be no stranger.</summary>
    public bool Authenticated { get; private set; }

    /// <summary>Two connected ends; the first is the initiator. Both sides see the other at a port of <paramref name="host"/>.</summary>
    public static (MemoryTransport Initiator, MemoryTransport Acceptor) CreatePair(int? fragmentSeed = null, string host = "memory")
    {
        (PipeReader toAcceptor, PipeWriter fromInitiator) = CreateLink(fragmentSeed);
        (PipeReader toInitiator, PipeWriter fromAcceptor) = CreateLink(fragmentSeed + 1);
        return (new(toInitiator, fromInitiator, $"{host}:1", true), new(toAcceptor, fromAcceptor, $"{host}:2", false));
    }

    /// <summary>Two connected ends; the first is the initiator. Each sees the other under its name.</summary>
    public static (MemoryTransport Initiator, MemoryTransport Acceptor) CreatePair(string initiator, string acceptor)
    {
        (PipeReader toAcceptor, PipeWriter fromInitiator) = CreateLink(null);
        (PipeReader toInitiator, PipeWriter fromAcceptor) = CreateLink(null);
        return (new(toInitiator, fromInitiator, acceptor, true), new(toAcceptor, fromAcceptor, initiator, false));
    }

    public void Abort() => Output.Complete(new IOException("the stream was torn down"));

    public void MarkAuthenticated() => Authenticated = true;

    public ValueTask DisposeAsync()
    {
        Output.Complete();
        Input.Complete();
        return ValueTask.CompletedTask;
    }

    private static (PipeReader Reader, PipeWriter Writer) CreateLink(int? fragmentSeed)
    {
        Pipe sent = new();
        if (fragmentSeed is not { } seed) return (sent.Reader, sent.Writer);
        Pipe received = new(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        _ = Task.Run(() => FragmentAsync(sent.Reader, received.Writer, new Random(seed)));
        return (received.Reader, sent.Writer);
    }

    private static async Task FragmentAsync(PipeReader from, PipeWriter to, Random random)
    {
        Exception? end = null;
        try
        {
            while (true)
            {
                ReadResult read = await from.ReadAsync();
                ReadOnlySequence<byte> rest = read.Buffer;
                while (!rest.IsEmpty)
                {
                    ReadOnlySequence<byte> piece = rest.Slice(0, Math.Min(rest.Length, random.Next(1, LargestPiece + 1)));
                    foreach (ReadOnlyMemory<byte> part in piece) to.Write(part.Span);
                    FlushResult flushed = await to.FlushAsync();
                    if (flushed.IsCompleted) return;
                    rest = rest.Slice(piece.Length);
                }

                from.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }
        catch (Exception e)
        {
            end = e;
        }
        finally
        {
            await from.CompleteAsync();
            await to.CompleteAsync(end);
        }
    }
}
