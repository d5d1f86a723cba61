using System.Buffers.Binary;
using System.Runtime.InteropServices;
using DatFs.Evidence;
using DatFs.FileSystem;
using DatFs.Unit;
using DatMount.Fuzz.Engine;
using DatMount.Platform.Fuse;
using Microsoft.Extensions.Logging;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// A row of requests as the kernel could never have written them: each gets exactly one reply that is well formed, what waits or is held open is given back at
/// the end, and no handler fails for another reason than that its arguments are too short. The first byte says how the session is; each request is a chunk.
/// </summary>
internal sealed class FuseTarget : IFuzzTarget
{
    private const int ReadOnly = 1;
    private const int NoXattrs = 2;
    private const int OnlyForOwner = 4;
    private const int Pieces = 8;
    private const int Refusing = 16;
    private const int Announcing = 32;
    private const int OfDrive = 64;
    private const int MostRequests = 32;

    public string Name => "fuse";

    public int MaxLength => 16 * 1024;

    public long AllocationLimit(int inputLength) => 8 * 1024 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
        [[1, 0, 0, 0, 0, 0, 0, 0], [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "a\0"u8.ToArray(), "user.x\0"u8.ToArray(), ".dat\0"u8.ToArray(), "versions\0"u8.ToArray(), "@2h-ago\0"u8.ToArray(), "status.json\0"u8.ToArray(), [0, 0, 0x10, 0], [0xFF, 0xFF, 0xFF, 0xFF], [0]];

    public IEnumerable<byte[]> Corpus()
    {
        yield return Row(0,
            FuseBytes.Init(7, 45, 131072, uint.MaxValue, uint.MaxValue),
            FuseBytes.Request(Opcode.Lookup, 4, 1, w => w.Name("a")),
            FuseBytes.Request(Opcode.Open, 6, 2, w => w.U32(0).U32(0)),
            FuseBytes.Request(Opcode.Read, 8, 2, w => w.U64(0).U64(0).U32(4096).U32(0).U64(0).U32(0).U32(0)),
            FuseBytes.Request(Opcode.Release, 10, 2, w => w.U64(0).U32(0).U32(0).U64(0)),
            FuseBytes.Request(Opcode.Forget, 12, 2, w => w.U64(1)));
        yield return Row(Announcing,
            FuseBytes.Request(Opcode.OpenDir, 4, 1, w => w.U32(0).U32(0)),
            FuseBytes.Request(Opcode.ReadDirPlus, 6, 1, w => w.U64(0).U64(0).U32(4096).U32(0).U64(0).U32(0).U32(0)),
            FuseBytes.Request(Opcode.ReadDir, 8, 1, w => w.U64(0).U64(2).U32(300).U32(0).U64(0).U32(0).U32(0)),
            FuseBytes.Request(Opcode.BatchForget, 10, 0, w => w.U32(2).U32(0).U64(2).U64(1).U64(3).U64(1)),
            FuseBytes.Request(Opcode.ReleaseDir, 12, 1, w => w.U64(0).U32(0).U32(0).U64(0)),
            FuseBytes.Request(Opcode.Flush, 14, 1, w => w.U64(ulong.MaxValue - 1).U32(0).U32(0).U64(0)));
        yield return Row(Pieces,
            FuseBytes.Request(Opcode.Create, 4, 1, w => w.U32(0x241).U32(0x81A4).U32(18).U32(0).Name("new")),
            FuseBytes.Request(Opcode.Write, 6, 6, w => w.U64(0).U64(0).U32(5).U32(0).U64(0).U32(0).U32(0).Raw([1, 2, 3, 4, 5])),
            FuseBytes.Request(Opcode.SetAttr, 8, 6, w => w.U32(0x1FF).U32(0).U64(0).U64(3).U64(0).U64(1).U64(1).U64(1).U32(1).U32(1).U32(1).U32(0x81FF).U32(0).U32(1).U32(1).U32(0)),
            FuseBytes.Request(Opcode.Rename2, 10, 1, w => w.U64(3).U32(1).U32(0).Name("new").Name("old")),
            FuseBytes.Request(Opcode.SetXattr, 12, 2, w => w.U32(3).U32(0).Name("user.x").Raw([1, 2, 3])),
            FuseBytes.Request(Opcode.GetXattr, 14, 2, w => w.U32(100).U32(0).Name("user.x")),
            FuseBytes.Request(Opcode.ListXattr, 16, 2, w => w.U32(100).U32(0)),
            FuseBytes.Request(Opcode.Read, 18, 6, w => w.U64(0).U64(0).U32(4096).U32(0).U64(0).U32(0).U32(0)));
        yield return Row(Refusing | ReadOnly,
            FuseBytes.Request(Opcode.MkDir, 4, 1, w => w.U32(0x1ED).U32(18).Name("d")),
            FuseBytes.Request(Opcode.SymLink, 6, 1, w => w.Name("l").Name("target")),
            FuseBytes.Request(Opcode.MkNod, 8, 1, w => w.U32(0x81A4).U32(0).U32(18).U32(0).Name("n")),
            FuseBytes.Request(Opcode.ReadLink, 10, 5),
            FuseBytes.Request(Opcode.Unlink, 12, 1, w => w.Name("a")),
            FuseBytes.Request(Opcode.RmDir, 14, 1, w => w.Name("folder")),
            FuseBytes.Request(Opcode.Rename, 16, 1, w => w.U64(1).Name("a").Name("z")),
            FuseBytes.Request(Opcode.StatFs, 18, 1));
        yield return Row(OnlyForOwner | NoXattrs,
            FuseBytes.Request(Opcode.GetAttr, 4, 1, w => w.U32(1).U32(0).U64(0)),
            FuseBytes.Request(Opcode.Interrupt, 6, 0, w => w.U64(4)),
            FuseBytes.Request(Opcode.FSync, 8, 2, w => w.U64(0).U32(1).U32(0)),
            FuseBytes.Request(Opcode.IoCtl, 10, 2, w => w.U64(0).U32(0).U32(0).U64(0).U32(0).U32(0)),
            FuseBytes.Request(Opcode.Link, 12, 1, w => w.U64(2).Name("b")),
            FuseBytes.Request(Opcode.RemoveXattr, 14, 2, w => w.Name("user.x")),
            FuseBytes.Request(Opcode.Destroy, 16, 0));
        yield return Row(OfDrive,
            FuseBytes.Request(Opcode.Lookup, 4, 1, w => w.Name(".dat")),
            FuseBytes.Request(Opcode.Lookup, 6, 2, w => w.Name("versions")),
            FuseBytes.Request(Opcode.Lookup, 8, 3, w => w.Name("1")),
            FuseBytes.Request(Opcode.Lookup, 10, 3, w => w.Name("@yesterday")),
            FuseBytes.Request(Opcode.Lookup, 12, 4, w => w.Name("a")),
            FuseBytes.Request(Opcode.Open, 14, 5, w => w.U32(0).U32(0)),
            FuseBytes.Request(Opcode.Read, 16, 5, w => w.U64(0).U64(0).U32(4096).U32(0).U64(0).U32(0).U32(0)),
            FuseBytes.Request(Opcode.OpenDir, 18, 3, w => w.U32(0).U32(0)),
            FuseBytes.Request(Opcode.ReadDirPlus, 20, 3, w => w.U64(0).U64(0).U32(4096).U32(0).U64(0).U32(0).U32(0)),
            FuseBytes.Request(Opcode.Forget, 22, 5, w => w.U64(1)));
        yield return Row(OfDrive | ReadOnly,
            FuseBytes.Request(Opcode.Lookup, 4, 1, w => w.Name("link")),
            FuseBytes.Request(Opcode.ReadLink, 6, 2),
            FuseBytes.Request(Opcode.Lookup, 8, 1, w => w.Name("out")),
            FuseBytes.Request(Opcode.ReadLink, 10, 3),
            FuseBytes.Request(Opcode.Lookup, 12, 1, w => w.Name("a")),
            FuseBytes.Request(Opcode.GetXattr, 14, 4, w => w.U32(64).U32(0).Name("user.dat.seq")),
            FuseBytes.Request(Opcode.ListXattr, 16, 4, w => w.U32(512).U32(0)),
            FuseBytes.Request(Opcode.SetAttr, 18, 4, w => w.U32(0x1FF).U32(0).U64(0).U64(3).U64(0).U64(1).U64(1).U64(1).U32(1).U32(1).U32(1).U32(0x81FF).U32(0).U32(1).U32(1).U32(0)),
            FuseBytes.Request(Opcode.BatchForget, 20, 0, w => w.U32(2).U32(0).U64(2).U64(ulong.MaxValue).U64(3).U64(1)));
        for (int opcode = 1; opcode < 60; opcode += 2)
            yield return Row(0, FuseBytes.Request((Opcode)opcode, 4, 1, w => w.Raw(new byte[72]).Name("a")), FuseBytes.Request((Opcode)(opcode + 1), 6, 2, w => w.Name("a").Name("b")));
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int mode = reader.Byte();
        List<byte[]> requests = [];
        while (requests.Count < MostRequests && !reader.IsEmpty)
        {
            ReadOnlySpan<byte> request = reader.Chunk();
            if (request.Length >= 40) requests.Add(request.ToArray());
        }

        TreeFs? tree = (mode & OfDrive) == 0 ? Tree(mode) : null;
        FakeDrive? drive = tree is null ? Drive() : null;
        IMountFs fs = tree is null ? new DatFileSystem(drive!, new MountFsOptions { ReadOnly = (mode & ReadOnly) != 0, Time = new FrozenTime() }) : tree;
        Kernel kernel = new(requests, (mode & Refusing) != 0);
        Failures log = new();
        SessionOptions options = new()
        {
            Threads = 1,
            Uid = 500,
            Gid = 501,
            OnlyFor = (mode & OnlyForOwner) != 0 ? 1000 : null,
            AnnounceAt = (mode & Announcing) != 0 ? "/nowhere" : null,
            Time = new FrozenTime(),
        };
        FuseSession session = new(fs, kernel, options, log);
        session.Run();
        Oracle.That(session.Completion.Wait(TimeSpan.FromSeconds(20)), "the session ends");
        Oracle.That(log.First is null, $"handlers do not fail: {log.First}");
        Oracle.That(kernel.Closed, "the channel is closed");
        Oracle.Equal(tree?.OpenHandles ?? 0, 0, "handles still open");
        Oracle.Equal(tree?.LeasesOut ?? drive!.OpenLeases, 0, "leases still out");
        kernel.CheckReplies();
    }

    private static TreeFs Tree(int mode)
    {
        TreeFs fs = new(new MountCapabilities
        {
            ReadOnly = (mode & ReadOnly) != 0,
            CaseSensitive = true,
            Symlinks = true,
            HardLinks = false,
            Xattrs = (mode & NoXattrs) == 0,
            LiveChanges = true,
        })
        { MaxFileSize = 4096 };
        fs.File("a", [.. Enumerable.Range(0, 200).Select(i => (byte)i)]);
        fs.Folder("folder");
        fs.File("folder/b", "text");
        fs.Symlink("link", "a");
        if ((mode & Pieces) != 0) fs.Segment = 7;
        return fs;
    }

    private static FakeDrive Drive()
    {
        FakeDrive drive = new();
        drive.Publish(("/a", FakeEntry.File("one")), ("/folder/b", FakeEntry.File("two")), ("/link", FakeEntry.Link("a")));
        drive.Publish(("/a", FakeEntry.File("changed")), ("/out", FakeEntry.Link("../x")));
        return drive;
    }

    private static byte[] Row(int mode, params byte[][] requests)
    {
        InputWriter row = new InputWriter().Byte(mode);
        foreach (byte[] request in requests) row.Chunk(request);
        return row.ToArray();
    }

    /// <summary>Hands out the requests one by one and keeps account of replies.</summary>
    private sealed class Kernel(List<byte[]> requests, bool refusing) : IFuseChannel
    {
        private readonly Dictionary<ulong, (int Least, int Most)> _due = [];
        private readonly Dictionary<ulong, int> _replies = [];
        private int _next;
        private int _written;

        public bool Closed { get; private set; }

        public int Read(Span<byte> into)
        {
            if (_next == requests.Count) return -Errno.ENODEV;
            byte[] request = requests[_next++];
            request.CopyTo(into);
            ulong unique = BinaryPrimitives.ReadUInt64LittleEndian(request.AsSpan(8));
            (int least, int most) = _due.GetValueOrDefault(unique);
            Opcode opcode = (Opcode)BinaryPrimitives.ReadUInt32LittleEndian(request.AsSpan(4));
            bool none = opcode is Opcode.Forget or Opcode.BatchForget, perhaps = opcode == Opcode.Interrupt;

            // Too short to be understood, these are answered with an error.
            _due[unique] = (least + (none || perhaps ? 0 : 1), most + 1);
            return request.Length;
        }

        public unsafe int Write(ReadOnlySpan<IoVec> parts)
        {
            lock (_replies)
            {
                Oracle.That(!Closed && parts.Length is > 0 and <= ReplyWriter.MaxSegments + 1, "a reply in few enough parts");
                OutHeader header = MemoryMarshal.Read<OutHeader>(new ReadOnlySpan<byte>((void*)parts[0].Start, (int)parts[0].Length));
                long length = 0;
                foreach (IoVec part in parts) length += part.Length;
                Oracle.Equal(header.Len, length, "the length of a reply");
                if (header.Unique == 0 && header.Error > 0) return (int)length;
                Oracle.That(header.Error is <= 0 and > -4096, "an errno");
                Oracle.That(header.Error == 0 || length == 16, "nothing behind an error");

                // The reply of a request that was aborted meanwhile; it counts as given.
                bool refused = refusing && _written++ % 3 == 0;
                _replies[header.Unique] = _replies.GetValueOrDefault(header.Unique) + 1;
                return refused ? -Errno.ENOENT : (int)length;
            }
        }

        public void Dispose() => Closed = true;

        public void CheckReplies()
        {
            foreach ((ulong unique, int replies) in _replies) Oracle.That(_due.ContainsKey(unique), $"{replies} replies to {unique}, which was asked");
            foreach ((ulong unique, (int least, int most)) in _due)
            {
                int replies = _replies.GetValueOrDefault(unique);
                Oracle.That(replies >= least && replies <= most, $"{replies} replies to {unique}, which expects {least} to {most}");
            }
        }
    }

    /// <summary>Keeps the first failure of a handler that is not the request's own fault, nor that of the tree the session serves.</summary>
    private sealed class Failures : ILogger
    {
        public Exception? First { get; private set; }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Error && exception is not (null or InvalidDataException or MisusedTreeException)) First ??= exception;
        }
    }
}
