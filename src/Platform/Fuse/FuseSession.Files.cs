using System.Buffers;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>Requests about open files.</summary>
internal sealed partial class FuseSession
{
    private const uint AccessMask = 3;
    private const uint WriteOnly = 1;
    private const uint ReadWrite = 2;
    private const uint Exclusive = 0x80;
    private const uint Truncate = 0x200;
    private const uint Append = 0x400;

    private async ValueTask OpenAsync(FuseRequest request)
    {
        OpenMode mode = Mode(request.Body<OpenIn>().Flags) & ~OpenMode.Exclusive;
        Result<IFileHandle> opened = await _fs.OpenAsync(request.Node, mode, request.Token);
        if (!opened.Ok)
        {
            _reply.Fail(request, Errno.From(opened.Error));
            return;
        }

        OpenOut open = Grant(opened.Value, mode);
        if (!_reply.Send(request, open)) await _files.RemoveAsync(open.Handle);
    }

    private async ValueTask CreateAsync(FuseRequest request)
    {
        CreateIn body = request.Body<CreateIn>();
        OpenMode mode = Mode(body.Flags);
        ReadOnlyMemory<byte> name = request.Name(16);
        if (Refused(request, name)) return;
        Result<(NodeInfo Info, IFileHandle Handle)> created =
            await _fs.CreateAsync(request.Node, name, mode, Permissions(body.Mode, body.Umask), request.Caller, request.Token);
        if (!created.Ok)
        {
            _reply.Fail(request, Errno.From(created.Error));
            return;
        }

        CreateOut answer = new() { Entry = _attributes.Entry(created.Value.Info), Open = Grant(created.Value.Handle, mode) };
        if (!Notifier.Remember(request.Node, name.Span)) (answer.Entry.EntryValid, answer.Entry.EntryValidNsec) = (0, 0);
        if (_reply.Send(request, answer)) return;
        _fs.Forget(created.Value.Info.Id, 1);
        await _files.RemoveAsync(answer.Open.Handle);
    }

    private OpenOut Grant(IFileHandle handle, OpenMode mode)
    {
        // Content changes are announced, so pages outlive the handle; NOFLUSH saves a round trip at each close (platform.md §3).
        OpenFlags flags = handle.DirectIo ? OpenFlags.DirectIo : OpenFlags.KeepCache;
        if ((mode & OpenMode.Write) == 0) flags |= OpenFlags.NoFlush;
        return new OpenOut { Handle = _files.Add(handle, (mode & OpenMode.Append) != 0), Flags = flags };
    }

    private static OpenMode Mode(uint flags)
    {
        OpenMode mode = (flags & AccessMask) switch
        {
            0 => OpenMode.Read,
            WriteOnly => OpenMode.Write,
            _ => OpenMode.Read | OpenMode.Write,
        };
        if ((flags & Append) != 0) mode |= OpenMode.Append;
        if ((flags & Truncate) != 0) mode |= OpenMode.Truncate;
        if ((flags & Exclusive) != 0) mode |= OpenMode.Exclusive;
        return mode;
    }

    private async ValueTask ReadAsync(FuseRequest request)
    {
        ReadIn body = request.Body<ReadIn>();
        if (body.Offset > long.MaxValue || body.Size > int.MaxValue)
        {
            _reply.Fail(request, Errno.EINVAL);
            return;
        }

        if (!_files.TryUse(body.Handle, out Opened<IFileHandle>? file))
        {
            _reply.Fail(request, Errno.EBADF);
            return;
        }

        try
        {
            Result<ReadLease> read = await file.Handle.ReadAsync((long)body.Offset, (int)body.Size, request.Token);
            if (!read.Ok)
            {
                _reply.Fail(request, Errno.From(read.Error, reading: true));
                return;
            }

            using ReadLease lease = read.Value;
            ReadOnlySequence<byte> data = lease.Data.Length > body.Size ? lease.Data.Slice(0, body.Size) : lease.Data;
            // Before the reader can go on: it may look at the count next.
            _counts.Read(data.Length);
            if (!_reply.SendContent(request, data)) _counts.Read(-data.Length);
        }
        finally
        {
            await file.DoneAsync();
        }
    }

    private async ValueTask WriteAsync(FuseRequest request)
    {
        ReadIn body = request.Body<ReadIn>();
        ReadOnlyMemory<byte> data = request.After(ReadIn.Length);
        if (body.Offset > long.MaxValue || body.Size > data.Length)
        {
            _reply.Fail(request, Errno.EINVAL);
            return;
        }

        if (!_files.TryUse(body.Handle, out Opened<IFileHandle>? file))
        {
            _reply.Fail(request, Errno.EBADF);
            return;
        }

        try
        {
            long offset = file.Append ? -1 : (long)body.Offset;
            Result<int> written = await file.Handle.WriteAsync(offset, data[..(int)body.Size], request.Token);
            if (!written.Ok) _reply.Fail(request, Errno.From(written.Error));
            else if (_reply.Send(request, new SizeOut { Size = (uint)written.Value })) _counts.Written(written.Value);
        }
        finally
        {
            await file.DoneAsync();
        }
    }

    private async ValueTask FlushAsync(FuseRequest request)
    {
        if (_caps.ReadOnly)
        {
            // For good: the kernel stops asking. Only right where nothing can ever be written.
            _reply.Fail(request, Errno.ENOSYS);
            return;
        }

        if (!_files.TryUse(request.Body<ulong>(), out Opened<IFileHandle>? file))
        {
            _reply.Fail(request, Errno.EBADF);
            return;
        }

        try
        {
            SendOutcome(request, await file.Handle.FlushAsync(request.Token));
        }
        finally
        {
            await file.DoneAsync();
        }
    }

    private async ValueTask FSyncAsync(FuseRequest request)
    {
        bool dataOnly = (request.Body<FSyncIn>().Flags & FSyncIn.DataOnly) != 0;
        SendOutcome(request, await _fs.SyncAsync(request.Node, dataOnly, request.Token));
    }

    private async ValueTask ReleaseAsync(FuseRequest request)
    {
        await _files.RemoveAsync(request.Body<ReleaseIn>().Handle);
        _reply.Done(request);
    }
}
