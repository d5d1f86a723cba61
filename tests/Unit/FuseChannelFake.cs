using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Threading.Channels;
using DatMount.Platform.Fuse;
using Microsoft.Extensions.Logging;

namespace DatFs.Unit;

/// <summary>Stands for the kernel: a test puts request bytes in and gets reply bytes out.</summary>
internal sealed class FuseChannelFake : IFuseChannel
{
    private readonly BlockingCollection<byte[]> _requests = [];
    private readonly Channel<byte[]> _replies = Channel.CreateUnbounded<byte[]>();

    /// <summary>What a write answers; 0 = took it.</summary>
    public Func<byte[], int> Refuse { get; set; } = static _ => 0;

    public int MostParts { get; private set; }

    public bool Disposed { get; private set; }

    public void Send(byte[] request) => _requests.Add(request);

    /// <summary>What read(2) says instead of a request.</summary>
    public void SendError(int errno) => _requests.Add(BitConverter.GetBytes(errno));

    public void Unmount() => _requests.CompleteAdding();

    public async Task<byte[]> NextAsync() =>
        await _replies.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(20));

    public bool TryNext(out byte[]? reply) => _replies.Reader.TryRead(out reply);

    public int Read(Span<byte> into)
    {
        foreach (byte[] request in _requests.GetConsumingEnumerable())
        {
            if (request.Length == 4) return -BitConverter.ToInt32(request);
            request.CopyTo(into);
            return request.Length;
        }

        return -Errno.ENODEV;
    }

    public unsafe int Write(ReadOnlySpan<IoVec> parts)
    {
        var all = new List<byte>();
        foreach (IoVec part in parts) all.AddRange(new ReadOnlySpan<byte>((void*)part.Start, (int)part.Length));
        lock (this) MostParts = Math.Max(MostParts, parts.Length);
        byte[] reply = [.. all];
        int refused = Refuse(reply);
        if (refused != 0) return -refused;
        _replies.Writer.TryWrite(reply);
        return reply.Length;
    }

    public void Dispose() => Disposed = true;
}

/// <summary>Request bytes, written field by field as platform.md §3 lists them (and not by the structs under test).</summary>
internal sealed class FuseBytes
{
    private readonly List<byte> _bytes = [];

    public static byte[] Request(Opcode opcode, ulong unique, ulong node, Action<FuseBytes>? body = null, uint uid = 1000, uint gid = 1001, uint pid = 77)
    {
        var wire = new FuseBytes();
        body?.Invoke(wire);
        var head = new FuseBytes();
        head.U32((uint)(40 + wire._bytes.Count)).U32((uint)opcode).U64(unique).U64(node).U32(uid).U32(gid).U32(pid).U32(0);
        return [.. head._bytes, .. wire._bytes];
    }

    public static byte[] Init(uint major, uint minor, uint readAhead, uint flags, uint? flags2) =>
        Request(Opcode.Init, 2, 0, w =>
        {
            w.U32(major).U32(minor).U32(readAhead).U32(flags);
            if (flags2 is not { } high) return;
            w.U32(high);
            for (int i = 0; i < 11; i++) w.U32(0);
        });

    public FuseBytes U16(ushort value) => Add(2, b => BinaryPrimitives.WriteUInt16LittleEndian(b, value));

    public FuseBytes U32(uint value) => Add(4, b => BinaryPrimitives.WriteUInt32LittleEndian(b, value));

    public FuseBytes U64(ulong value) => Add(8, b => BinaryPrimitives.WriteUInt64LittleEndian(b, value));

    public FuseBytes I64(long value) => U64((ulong)value);

    /// <summary>UTF-8 and a NUL.</summary>
    public FuseBytes Name(string name) => Raw([.. System.Text.Encoding.UTF8.GetBytes(name), 0]);

    public FuseBytes Raw(byte[] bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public byte[] ToArray() => [.. _bytes];

    private FuseBytes Add(int size, Action<byte[]> write)
    {
        byte[] field = new byte[size];
        write(field);
        return Raw(field);
    }
}

/// <summary>A reply's bytes.</summary>
internal static class FuseReply
{
    public static uint Length(this byte[] reply) => reply.U32(0);

    public static int Error(this byte[] reply) => (int)reply.U32(4);

    public static ulong Unique(this byte[] reply) => reply.U64(8);

    public static byte[] Payload(this byte[] reply) => reply[16..];

    public static ushort U16(this byte[] bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));

    public static uint U32(this byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    public static ulong U64(this byte[] bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));

    public static string Text(this byte[] bytes) => System.Text.Encoding.UTF8.GetString(bytes);
}

/// <summary>Log lines, kept.</summary>
internal sealed class FuseLogLines : ILogger
{
    private readonly ConcurrentQueue<string> _lines = new();

    public LogLevel Lowest { get; init; } = LogLevel.Debug;

    public IReadOnlyCollection<string> Lines => _lines;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= Lowest;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue($"{logLevel}: {formatter(state, exception)}");
}
