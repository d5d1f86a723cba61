namespace DatMount.Platform.Fuse;

/// <summary>Calls the <see cref="Announcer"/> made through our own mount: answered from what is already so, nothing is changed.</summary>
internal sealed partial class FuseSession
{
    /// <summary>Null = an ordinary request.</summary>
    private Func<FuseRequest, ValueTask>? Announced(FuseRequest request, Announcer announcer)
    {
        Opcode opcode = request.Header.Opcode;
        if (opcode is Opcode.Flush or Opcode.FSync or Opcode.Release or Opcode.ReleaseDir)
            return request.Body<ulong>() == Announcer.Handle ? Succeed : null;
        if (request.Header.Pid != announcer.Thread) return null;
        Announcement? now = announcer.Now;
        return opcode switch
        {
            Opcode.Open => r => Answer(r, new OpenOut { Handle = Announcer.Handle, Flags = OpenFlags.KeepCache | OpenFlags.NoFlush }),
            Opcode.OpenDir => r => Answer(r, new OpenOut { Handle = Announcer.Handle }),
            Opcode.SetAttr => AttributesAsync,
            Opcode.Unlink or Opcode.RmDir => Succeed,
            Opcode.GetAttr when request.Header.Node == Announcer.Ghost && now is not null => r => Answer(r, _attributes.Answer(now.Info)),
            Opcode.Lookup when now is not null && now.IsAbout(request.Node, request.Name(0).Span) => r => LookupAnnounced(r, now),
            Opcode.Create when now is { Added: true } => r => Give(r, now, new CreateOut
            {
                Entry = _attributes.Entry(now.Info),
                Open = new OpenOut { Handle = Announcer.Handle, Flags = OpenFlags.KeepCache | OpenFlags.NoFlush },
            }),
            Opcode.MkDir or Opcode.SymLink when now is { Added: true } => r => Give(r, now, _attributes.Entry(now.Info)),
            _ => null,
        };
    }

    private async ValueTask AttributesAsync(FuseRequest request) =>
        SendAttributes(request, await _fs.GetAsync(request.Node, null, request.Token));

    private ValueTask LookupAnnounced(FuseRequest request, Announcement about)
    {
        if (about.Added)
        {
            // Else the kernel would not create it.
            _reply.Fail(request, Errno.ENOENT);
            return ValueTask.CompletedTask;
        }

        EntryOut ghost = _attributes.Entry(about.Info);
        (ghost.EntryValid, ghost.EntryValidNsec) = (0, 0);
        return Answer(request, ghost);
    }

    private ValueTask Give<T>(FuseRequest request, Announcement made, in T answer)
        where T : unmanaged
    {
        made.ReferenceGiven = true;
        if (!_reply.Send(request, answer)) _fs.Forget(made.Info.Id, 1);
        return ValueTask.CompletedTask;
    }

    private ValueTask Answer<T>(FuseRequest request, in T answer)
        where T : unmanaged
    {
        _reply.Send(request, answer);
        return ValueTask.CompletedTask;
    }
}
