using System.Runtime.InteropServices;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>Requests about the connection itself: INIT, INTERRUPT, FORGET, and what we only answer.</summary>
internal sealed partial class FuseSession
{
    private ValueTask Init(FuseRequest request)
    {
        InitIn init = request.Body<InitIn>();
        if (init.Major > Negotiation.Major)
        {
            // The kernel asks again with the major number we name.
            _reply.Send(request, new InitOut { Major = Negotiation.Major, Minor = Negotiation.MaxMinor });
            return ValueTask.CompletedTask;
        }

        if (init.Major < Negotiation.Major || init.Minor < Negotiation.MinMinor)
        {
            _reply.Fail(request, Errno.EPROTO);
            _ready.TrySetException(new MountException(MountFailure.KernelTooOld,
                $"this kernel speaks FUSE {init.Major}.{init.Minor}, but 7.{Negotiation.MinMinor} is needed; use Linux 5.4 or newer"));
            return ValueTask.CompletedTask;
        }

        InitFlags offered = Negotiation.Offered(init, request.After(16).Span);
        InitOut answer = Negotiation.Answer(init, offered, _caps, _options.MaxBackground);
        Notifier.Start(init.Minor);
        FuseLog.Negotiated(_log, answer.Minor, answer.Flags | ((ulong)answer.Flags2 << 32), answer.MaxWrite);
        if (!_reply.Send(request, answer)) return ValueTask.CompletedTask;
        _subscription ??= _fs.Subscribe(Notifier);
        _ready.TrySetResult();
        return ValueTask.CompletedTask;
    }

    private ValueTask Succeed(FuseRequest request)
    {
        _reply.Done(request);
        return ValueTask.CompletedTask;
    }

    private ValueTask NoIoCtl(FuseRequest request)
    {
        _reply.Fail(request, Errno.ENOTTY);
        return ValueTask.CompletedTask;
    }

    private ValueTask Link(FuseRequest request)
    {
        // EPERM, not ENOSYS: git and rsync then fall back to copies (platform.md §3).
        _reply.Fail(request, Errno.EPERM);
        return ValueTask.CompletedTask;
    }

    private ValueTask Interrupt(FuseRequest request)
    {
        request.Answered = true;
        // It may overtake the request it means when two threads read: EAGAIN has the kernel send it again.
        if (!_pending.TryCancel(request.Body<InterruptIn>().Unique)) _reply.Fail(request, Errno.EAGAIN);
        return ValueTask.CompletedTask;
    }

    private ValueTask Forget(FuseRequest request)
    {
        request.Answered = true;
        if (request.Header.Node != Announcer.Ghost) _fs.Forget(request.Node, request.Body<ForgetIn>().Count);
        return ValueTask.CompletedTask;
    }

    private ValueTask BatchForget(FuseRequest request)
    {
        request.Answered = true;
        uint count = request.Body<BatchForgetIn>().Count;
        ReadOnlySpan<byte> entries = request.After(BatchForgetIn.Length).Span;
        for (; count > 0 && entries.Length >= ForgetOne.Length; count--, entries = entries[ForgetOne.Length..])
        {
            ForgetOne one = MemoryMarshal.Read<ForgetOne>(entries);
            if (one.Node != Announcer.Ghost) _fs.Forget(new NodeId(one.Node), one.Count);
        }

        return ValueTask.CompletedTask;
    }
}
