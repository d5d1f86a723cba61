using System.Buffers;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>Requests about open directories.</summary>
internal sealed partial class FuseSession
{
    /// <summary>More than this is not filled at once, whatever the kernel has room for.</summary>
    private const int MaxListing = 256 * 1024;

    private async ValueTask OpenDirAsync(FuseRequest request)
    {
        Result<IDirHandle> opened = await _fs.OpenDirAsync(request.Node, request.Token);
        if (!opened.Ok)
        {
            _reply.Fail(request, Errno.From(opened.Error));
            return;
        }

        OpenFlags flags = opened.Value.Immutable ? OpenFlags.CacheDir | OpenFlags.KeepCache : OpenFlags.None;
        OpenOut open = new() { Handle = _directories.Add(opened.Value), Flags = flags };
        if (!_reply.Send(request, open)) await _directories.RemoveAsync(open.Handle);
    }

    private async ValueTask ReadDirAsync(FuseRequest request, bool plus)
    {
        ReadIn body = request.Body<ReadIn>();
        if (!_directories.TryUse(body.Handle, out Opened<IDirHandle>? directory))
        {
            _reply.Fail(request, Errno.EBADF);
            return;
        }

        int room = (int)Math.Min(body.Size, MaxListing);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(room);
        try
        {
            var listing = new Listing(buffer.AsMemory(0, room), plus ? _attributes : null, request.Node, Notifier);
            Result<bool> read;
            try
            {
                read = await directory.Handle.ReadAsync(body.Offset, listing.Add, plus, request.Token);
            }
            catch (Exception) when (plus)
            {
                listing.ForgetAll(_fs);
                throw;
            }

            // What was already taken goes out; the kernel meets the error when it asks for the rest.
            if (!read.Ok && listing.Written.IsEmpty) _reply.Fail(request, Errno.From(read.Error, reading: true));
            else if (!_reply.SendBytes(request, listing.Written) && plus) listing.ForgetAll(_fs);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            await directory.DoneAsync();
        }
    }

    private async ValueTask ReleaseDirAsync(FuseRequest request)
    {
        await _directories.RemoveAsync(request.Body<ReleaseIn>().Handle);
        _reply.Done(request);
    }
}
