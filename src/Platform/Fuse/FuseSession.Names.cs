using System.Buffers;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>Requests about nodes and names.</summary>
internal sealed partial class FuseSession
{
    /// <summary>The kernel's own bound on attribute values and lists.</summary>
    private const int MaxXattr = 65536;

    private async ValueTask LookupAsync(FuseRequest request)
    {
        ReadOnlyMemory<byte> name = request.Name(0);
        if (Refused(request, name)) return;
        Result<NodeInfo> found = await _fs.LookupAsync(request.Node, name, request.Token);
        if (found.Ok) SendEntry(request, name, found.Value);
        else if (found.Error == FsError.NotFound && _caps.NegativeTtl > TimeSpan.Zero) _reply.Send(request, _attributes.NoEntry());
        else _reply.Fail(request, Errno.From(found.Error));
    }

    private async ValueTask GetAttrAsync(FuseRequest request)
    {
        GetAttrIn body = request.Body<GetAttrIn>();
        Opened<IFileHandle>? file = null;
        if ((body.Flags & GetAttrIn.HandleValid) != 0) _files.TryUse(body.Handle, out file);
        try
        {
            SendAttributes(request, await _fs.GetAsync(request.Node, file?.Handle, request.Token));
        }
        finally
        {
            if (file is not null) await file.DoneAsync();
        }
    }

    private async ValueTask SetAttrAsync(FuseRequest request)
    {
        SetAttrIn body = request.Body<SetAttrIn>();
        NodeChange change = Change(body);
        Opened<IFileHandle>? file = null;
        if ((body.Valid & SetAttrFields.Handle) != 0) _files.TryUse(body.Handle, out file);
        try
        {
            SendAttributes(request, await _fs.SetAsync(request.Node, file?.Handle, change, request.Token));
        }
        finally
        {
            if (file is not null) await file.DoneAsync();
        }
    }

    private NodeChange Change(in SetAttrIn body)
    {
        SetAttrFields valid = body.Valid;
        bool Has(SetAttrFields field) => (valid & field) != 0;
        long Now() => (_options.Time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100;
        return new NodeChange(
            Has(SetAttrFields.Mode) ? body.Mode & ~Attributes.FormatMask : null,
            Has(SetAttrFields.Uid) ? body.Uid : null,
            Has(SetAttrFields.Gid) ? body.Gid : null,
            Has(SetAttrFields.Size) ? body.Size : null,
            Has(SetAttrFields.MtimeNow) ? Now() : Has(SetAttrFields.Mtime) ? Attributes.Join(body.Mtime, body.MtimeNsec) : null,
            Has(SetAttrFields.AtimeNow) ? Now() : Has(SetAttrFields.Atime) ? Attributes.Join(body.Atime, body.AtimeNsec) : null,
            Has(SetAttrFields.Ctime) ? Attributes.Join(body.Ctime, body.CtimeNsec) : null);
    }

    private async ValueTask ReadLinkAsync(FuseRequest request)
    {
        Result<ReadOnlyMemory<byte>> target = await _fs.ReadLinkAsync(request.Node, request.Token);
        if (target.Ok) _reply.SendBytes(request, target.Value.Span);
        else _reply.Fail(request, Errno.From(target.Error, reading: true));
    }

    private ValueTask SymLinkAsync(FuseRequest request)
    {
        (ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> target) = request.Names(0);
        return MakeAsync(request, name, NodeKind.Symlink, 0x1FF, target);
    }

    private ValueTask MkDirAsync(FuseRequest request)
    {
        MkDirIn body = request.Body<MkDirIn>();
        return MakeAsync(request, request.Name(8), NodeKind.Directory, Permissions(body.Mode, body.Umask), default);
    }

    private ValueTask MkNodAsync(FuseRequest request)
    {
        MkNodIn body = request.Body<MkNodIn>();
        if ((body.Mode & Attributes.FormatMask) is Attributes.RegularFile or 0)
            return MakeAsync(request, request.Name(16), NodeKind.File, Permissions(body.Mode, body.Umask), default);

        // Archives have no devices, pipes or sockets.
        _reply.Fail(request, Errno.EPERM);
        return ValueTask.CompletedTask;
    }

    private async ValueTask MakeAsync(FuseRequest request, ReadOnlyMemory<byte> name, NodeKind kind, uint mode, ReadOnlyMemory<byte> target)
    {
        if (Refused(request, name)) return;
        Result<NodeInfo> made = await _fs.MakeAsync(request.Node, name, kind, mode, target, request.Caller, request.Token);
        if (made.Ok) SendEntry(request, name, made.Value);
        else _reply.Fail(request, Errno.From(made.Error));
    }

    private async ValueTask RemoveAsync(FuseRequest request, bool directory) =>
        SendOutcome(request, await _fs.RemoveAsync(request.Node, request.Name(0), directory, request.Token));

    private ValueTask RenameAsync(FuseRequest request)
    {
        (ReadOnlyMemory<byte> from, ReadOnlyMemory<byte> to) = request.Names(8);
        return RenameAsync(request, from, new NodeId(request.Body<ulong>()), to, RenameMode.Replace);
    }

    private ValueTask Rename2Async(FuseRequest request)
    {
        Rename2In body = request.Body<Rename2In>();
        (ReadOnlyMemory<byte> from, ReadOnlyMemory<byte> to) = request.Names(16);
        RenameMode? mode = body.Flags switch
        {
            0 => RenameMode.Replace,
            Rename2In.NoReplace => RenameMode.NoReplace,
            Rename2In.Exchange => RenameMode.Exchange,
            _ => null,
        };
        if (mode is { } known) return RenameAsync(request, from, new NodeId(body.NewDirectory), to, known);
        _reply.Fail(request, Errno.EINVAL);
        return ValueTask.CompletedTask;
    }

    private async ValueTask RenameAsync(FuseRequest request, ReadOnlyMemory<byte> from, NodeId toDirectory, ReadOnlyMemory<byte> to, RenameMode mode)
    {
        if (!Refused(request, to)) SendOutcome(request, await _fs.RenameAsync(request.Node, from, toDirectory, to, mode, request.Token));
    }

    private async ValueTask StatFsAsync(FuseRequest request)
    {
        Result<VolumeInfo> volume = await _fs.StatAsync(request.Token);
        if (!volume.Ok)
        {
            _reply.Fail(request, Errno.From(volume.Error));
            return;
        }

        _reply.Send(request, new StatFsOut
        {
            Blocks = volume.Value.Blocks,
            FreeBlocks = volume.Value.FreeBlocks,
            AvailableBlocks = volume.Value.FreeBlocks,
            Files = volume.Value.Files,
            FreeFiles = volume.Value.FreeFiles,
            BlockSize = volume.Value.BlockSize,
            FragmentSize = volume.Value.BlockSize,
            NameLength = volume.Value.MaxName,
        });
    }

    private ValueTask GetXattrAsync(FuseRequest request) => XattrAsync(request, request.Name(XattrIn.Length));

    private ValueTask ListXattrAsync(FuseRequest request) => XattrAsync(request, null);

    /// <summary>A value by name, or all names. ENOSYS where there are none: the kernel then stops asking.</summary>
    private async ValueTask XattrAsync(FuseRequest request, ReadOnlyMemory<byte>? name)
    {
        if (!_caps.Xattrs)
        {
            _reply.Fail(request, Errno.ENOSYS);
            return;
        }

        uint room = request.Body<XattrIn>().Size;
        byte[] rented = ArrayPool<byte>.Shared.Rent((int)Math.Min(room, MaxXattr));
        try
        {
            Memory<byte> into = room == 0 ? default : rented.AsMemory(0, (int)Math.Min(room, MaxXattr));
            Result<int> size = name is { } one
                ? await _fs.GetXattrAsync(request.Node, one, into, request.Token)
                : await _fs.ListXattrAsync(request.Node, into, request.Token);
            if (!size.Ok) _reply.Fail(request, Errno.From(size.Error));
            else if (room == 0) _reply.Send(request, new SizeOut { Size = (uint)size.Value });
            else if ((uint)size.Value > (uint)into.Length) _reply.Fail(request, Errno.ERANGE);
            else _reply.SendBytes(request, into.Span[..size.Value]);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private async ValueTask SetXattrAsync(FuseRequest request)
    {
        XattrIn body = request.Body<XattrIn>();
        (ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value) = request.NameAndValue(XattrIn.Length, body.Size);
        if (body.Flags != 0)
        {
            Result<int> present = await _fs.GetXattrAsync(request.Node, name, default, request.Token);
            if ((body.Flags & XattrIn.CreateOnly) != 0 && present.Ok)
            {
                _reply.Fail(request, Errno.EEXIST);
                return;
            }

            if ((body.Flags & XattrIn.ReplaceOnly) != 0 && !present.Ok)
            {
                _reply.Fail(request, Errno.From(present.Error));
                return;
            }
        }

        SendOutcome(request, await _fs.SetXattrAsync(request.Node, name, value, request.Token));
    }

    private async ValueTask RemoveXattrAsync(FuseRequest request) =>
        SendOutcome(request, await _fs.RemoveXattrAsync(request.Node, request.Name(0), request.Token));

    /// <summary>The kernel lets names of up to 1024 bytes through.</summary>
    private bool Refused(FuseRequest request, ReadOnlyMemory<byte> name)
    {
        if (name.Length <= _caps.MaxName) return false;
        _reply.Fail(request, Errno.ENAMETOOLONG);
        return true;
    }

    private void SendEntry(FuseRequest request, ReadOnlyMemory<byte> name, in NodeInfo info)
    {
        EntryOut entry = _attributes.Entry(info);
        if (!Notifier.Remember(request.Node, name.Span)) (entry.EntryValid, entry.EntryValidNsec) = (0, 0);
        // A reply nobody took counts no lookup in the kernel.
        if (!_reply.Send(request, entry)) _fs.Forget(info.Id, 1);
    }

    private void SendAttributes(FuseRequest request, in Result<NodeInfo> info)
    {
        if (info.Ok) _reply.Send(request, _attributes.Answer(info.Value));
        else _reply.Fail(request, Errno.From(info.Error));
    }

    private void SendOutcome(FuseRequest request, FsError outcome)
    {
        if (outcome == FsError.None) _reply.Done(request);
        else _reply.Fail(request, Errno.From(outcome));
    }

    /// <summary>We asked for DONT_MASK: the caller's umask is ours to apply.</summary>
    private static uint Permissions(uint mode, uint umask) => mode & ~Attributes.FormatMask & ~umask;
}
