using DatFs.FileSystem;
using Microsoft.Extensions.Logging;

namespace DatMount.Platform.Fuse;

/// <summary>How a session serves; the mount's part is <see cref="FuseMountOptions"/>.</summary>
internal sealed record SessionOptions
{
    public int Threads { get; init; } = 2;
    public int MaxBackground { get; init; } = FuseMountOptions.DefaultMaxBackground;
    public uint Uid { get; init; }
    public uint Gid { get; init; }

    /// <summary>Others than this user and root are turned away (allow_root).</summary>
    public uint? OnlyFor { get; init; }

    /// <summary>Where the <see cref="Announcer"/> makes its calls; null = it makes none.</summary>
    public string? AnnounceAt { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// Serves one FUSE connection: reader threads take requests off the channel, decode them and call the file system (platform.md §3).
/// What is complete at once is answered by the same thread; the rest is parked with a token of its own. Every request gets exactly
/// one answer, whatever the file system throws. Ends when the channel says ENODEV: then all that waits is cancelled and awaited,
/// handles are given back, and only then the channel is closed. Holds no file system logic.
/// </summary>
internal sealed partial class FuseSession
{
    private readonly IMountFs _fs;
    private readonly MountCapabilities _caps;
    private readonly IFuseChannel _channel;
    private readonly SessionOptions _options;
    private readonly ILogger _log;
    private readonly FuseCounts _counts = new();
    private readonly RequestPool _pool = new();
    private readonly PendingTable _pending;
    private readonly ReplyWriter _reply;
    private readonly Attributes _attributes;
    private readonly Announcer? _announcer;
    private readonly HandleTable<IFileHandle> _files = new();
    private readonly HandleTable<IDirHandle> _directories = new();
    private readonly Func<FuseRequest, ValueTask>?[] _handlers;
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _readers;
    private IDisposable? _subscription;

    public FuseSession(IMountFs fs, IFuseChannel channel, SessionOptions options, ILogger log)
    {
        _fs = fs;
        _caps = fs.Capabilities;
        _channel = channel;
        _options = options;
        _log = log;
        _pending = new PendingTable(_pool);
        _reply = new ReplyWriter(channel, _counts, log);
        _attributes = new Attributes(_caps, options.Uid, options.Gid);
        if (options.AnnounceAt is { } mountPoint) _announcer = new Announcer(fs, mountPoint);
        Notifier = new FuseNotifier(channel, _announcer, _counts, log);
        _handlers = Handlers();
        _readers = Math.Max(1, options.Threads);
    }

    /// <summary>Ends when INIT was answered; fails when the kernel is too old.</summary>
    public Task Ready => _ready.Task;

    /// <summary>Ends when the connection is gone and everything in flight is over.</summary>
    public Task Completion => _ended.Task;

    public FuseNotifier Notifier { get; }

    public FuseCounters Counters => _counts.Snapshot(_pending.Count, _files.Count);

    public void Start()
    {
        for (int i = _readers; i > 0; i--)
            new Thread(Run) { IsBackground = true, Name = "fuse reader " + i }.Start();
    }

    /// <summary>What each reader thread does; with one reader a caller may do it instead of <see cref="Start"/>.</summary>
    internal void Run()
    {
        byte[] buffer = _pool.RentBuffer();
        while (true)
        {
            int length = _channel.Read(buffer);
            if (length >= InHeader.Length)
            {
                FuseRequest request = _pool.Rent();
                if (request.Begin(buffer, length)) buffer = _pool.RentBuffer();
                Serve(request);
                continue;
            }

            // ENOENT: the request was aborted before we had it.
            if (-length is Errno.ENOENT or Errno.EINTR or Errno.EAGAIN) continue;
            if (-length != Errno.ENODEV) FuseLog.ReadFailed(_log, -length);
            break;
        }

        if (Interlocked.Decrement(ref _readers) == 0) _ = EndAsync();
    }

    private void Serve(FuseRequest request)
    {
        _counts.Received();
        if (_log.IsEnabled(LogLevel.Trace))
            FuseLog.Received(_log, request.Header.Unique, request.Header.Opcode, request.Header.Node, request.Bytes.Length, request.Header.Pid);
        ValueTask work;
        try
        {
            work = Dispatch(request);
        }
        catch (Exception failure)
        {
            work = ValueTask.FromException(failure);
        }

        if (work.IsCompletedSuccessfully)
        {
            work.GetAwaiter().GetResult();
            EnsureAnswered(request);
            if (request.LetGo()) _pool.Return(request);
            return;
        }

        _pending.Add(request);
        _ = AwaitAsync(work, request);
    }

    private ValueTask Dispatch(FuseRequest request)
    {
        if (_options.OnlyFor is { } owner && request.Header.Uid != owner && request.Header.Uid != 0 && NeedsNoHandle(request.Header.Opcode))
        {
            _reply.Fail(request, Errno.EACCES);
            return ValueTask.CompletedTask;
        }

        if (_announcer is not null && Announced(request, _announcer) is { } announced) return announced(request);
        uint opcode = (uint)request.Header.Opcode;
        if (opcode < (uint)_handlers.Length && _handlers[opcode] is { } handler) return handler(request);
        _reply.Fail(request, Errno.ENOSYS);
        return ValueTask.CompletedTask;
    }

    /// <summary>What a handle leads to was decided when it was opened, and who reads then may be the kernel itself.</summary>
    private static bool NeedsNoHandle(Opcode opcode) => opcode is
        Opcode.Lookup or Opcode.GetAttr or Opcode.SetAttr or Opcode.ReadLink or Opcode.SymLink or Opcode.MkNod or Opcode.MkDir
        or Opcode.Unlink or Opcode.RmDir or Opcode.Rename or Opcode.Rename2 or Opcode.Link or Opcode.Open or Opcode.OpenDir
        or Opcode.Create or Opcode.StatFs or Opcode.GetXattr or Opcode.SetXattr or Opcode.ListXattr or Opcode.RemoveXattr;

    private async Task AwaitAsync(ValueTask work, FuseRequest request)
    {
        try
        {
            await work.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (request.Token.IsCancellationRequested)
        {
            if (!request.Answered) _reply.Fail(request, Errno.EINTR);
        }
        catch (InvalidDataException malformed)
        {
            FuseLog.HandlerFailed(_log, malformed, request.Header.Opcode, request.Header.Node);
            if (!request.Answered) _reply.Fail(request, Errno.EINVAL);
        }
        catch (Exception failure)
        {
            FuseLog.HandlerFailed(_log, failure, request.Header.Opcode, request.Header.Node);
            if (!request.Answered) _reply.Fail(request, Errno.EIO);
        }

        EnsureAnswered(request);
        _pending.Remove(request.Header.Unique);
        if (request.LetGo()) _pool.Return(request);
    }

    private void EnsureAnswered(FuseRequest request)
    {
        if (request.Answered) return;
        FuseLog.Unanswered(_log, request.Header.Opcode, request.Header.Unique);
        _reply.Fail(request, Errno.EIO);
    }

    private async Task EndAsync()
    {
        _ready.TrySetException(new MountException(MountFailure.Ended, "the mount ended before it was ready"));
        try
        {
            await _pending.CloseAsync();
            _subscription?.Dispose();
            await Notifier.StopAsync();
            await _files.CloseAllAsync();
            await _directories.CloseAllAsync();
        }
        catch (Exception failure)
        {
            FuseLog.CloseFailed(_log, failure);
        }

        _channel.Dispose();
        _ended.TrySetResult();
    }

    private Func<FuseRequest, ValueTask>?[] Handlers()
    {
        var table = new Func<FuseRequest, ValueTask>?[64];
        void On(Opcode opcode, Func<FuseRequest, ValueTask> handler) => table[(int)opcode] = handler;
        On(Opcode.Init, Init);
        On(Opcode.Destroy, Succeed);
        On(Opcode.Interrupt, Interrupt);
        On(Opcode.Lookup, LookupAsync);
        On(Opcode.Forget, Forget);
        On(Opcode.BatchForget, BatchForget);
        On(Opcode.GetAttr, GetAttrAsync);
        On(Opcode.SetAttr, SetAttrAsync);
        On(Opcode.ReadLink, ReadLinkAsync);
        On(Opcode.SymLink, SymLinkAsync);
        On(Opcode.MkNod, MkNodAsync);
        On(Opcode.MkDir, MkDirAsync);
        On(Opcode.Unlink, r => RemoveAsync(r, directory: false));
        On(Opcode.RmDir, r => RemoveAsync(r, directory: true));
        On(Opcode.Rename, RenameAsync);
        On(Opcode.Rename2, Rename2Async);
        On(Opcode.Link, Link);
        On(Opcode.StatFs, StatFsAsync);
        On(Opcode.GetXattr, GetXattrAsync);
        On(Opcode.ListXattr, ListXattrAsync);
        On(Opcode.SetXattr, SetXattrAsync);
        On(Opcode.RemoveXattr, RemoveXattrAsync);
        On(Opcode.Open, OpenAsync);
        On(Opcode.Create, CreateAsync);
        On(Opcode.Read, ReadAsync);
        On(Opcode.Write, WriteAsync);
        On(Opcode.Flush, FlushAsync);
        On(Opcode.FSync, FSyncAsync);
        On(Opcode.Release, ReleaseAsync);
        On(Opcode.OpenDir, OpenDirAsync);
        On(Opcode.ReadDir, r => ReadDirAsync(r, plus: false));
        On(Opcode.ReadDirPlus, r => ReadDirAsync(r, plus: true));
        On(Opcode.FSyncDir, FSyncAsync);
        On(Opcode.ReleaseDir, ReleaseDirAsync);
        On(Opcode.IoCtl, NoIoCtl);
        return table;
    }
}
