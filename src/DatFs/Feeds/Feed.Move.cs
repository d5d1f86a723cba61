using System.Buffers;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>Moving an open feed: from memory to disk when its kind, and with it its folder, becomes known (hypercore.md §20).</summary>
public sealed partial class Feed
{
    private readonly List<FeedStore> _retired = [];

    /// <summary>
    /// Writes everything that is held to another place, durably, and goes on there. Connections, observers and readers notice nothing.
    /// </summary>
    /// <exception cref="DatException">Invalid: a feed is stored there already. Locked, Io.</exception>
    public async ValueTask RehomeAsync(FeedFiles target, CancellationToken ct)
    {
        await _turn.WaitAsync(ct);
        try
        {
            await _flushTurn.WaitAsync(ct);
            try
            {
                CheckChangeable();
                FeedStore old = _tree.Store;
                FeedStore moved = CopyTo(target);
                _retired.Add(old);
                InOneMoment(moved, static (feed, store) => feed._tree.Store = store);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw DiskError("moved", e);
            }
            finally
            {
                _flushTurn.Release();
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private FeedStore CopyTo(FeedFiles target)
    {
        if (target.HasKey || target.Data is not null) throw new DatException(DatError.Invalid, $"A feed is stored in {target.Folder.DisplayName} already.");
        IRandomAccessFile bitfield = target.Open(FeedFiles.BitfieldName, FileUse.Exclusive)!;
        FeedStore? store = null;
        try
        {
            // A secret first, as in any creation; the key last, when all it stands for is there.
            if (_secret is not null && _options.SecretKey is null) FeedStore.WriteSecret(target, _secret);
            bitfield.SetLength(0);
            foreach (string name in (string[])[FeedFiles.TreeName, FeedFiles.SignaturesName, FeedFiles.DataName]) Empty(target, name);
            store = FeedStore.Open(target, readOnly: false, bitfield);
            store.LoadBits(_bits.EntrySize);

            // Headers first: after a crash a file without one could not be told from a foreign file.
            store.SyncContents();
            store.SyncBits();
            CopyBlocks(store);
            CopyNodes(store);
            store.SyncContents();
            _bits.DirtyAll();
            store.WriteBits(_bits, _bits.TakeDirty());
            store.WriteKey(Key);
            return store;
        }
        catch
        {
            _bits.DirtyAll();
            if (store is null) bitfield.Dispose();
            store?.Dispose();
            throw;
        }
    }

    // Without a key, what lies there is what an earlier move left when the power failed: half of it may be missing.
    private static void Empty(FeedFiles target, string name)
    {
        if (!target.Exists(name)) return;
        using IRandomAccessFile file = target.Open(name, FileUse.ReadWrite)!;
        file.SetLength(0);
    }

    private void CopyBlocks(FeedStore to)
    {
        if (_tree.Store.Data is not { } data) return;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(WriteBuffer);
        try
        {
            foreach (ClearedRun run in RunsHeld(0, Length))
            {
                for (long done = 0; done < run.Bytes;)
                {
                    Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, run.Bytes - done));
                    part = part[..data.Read(run.Offset + done, part)];
                    if (part.IsEmpty) break;
                    to.DataForWrite().Write(run.Offset + done, part);
                    done += part.Length;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void CopyNodes(FeedStore to)
    {
        foreach (long node in _bits.Nodes())
        {
            if (_tree.TryGet(node, out TreeNode value)) to.Tree.Write(value);
        }

        Span<byte> signature = stackalloc byte[Crypto.Ed25519.SignatureSize];
        SignatureFile signatures = _tree.Store.Signatures;
        for (long length = signatures.NextAfter(0); length != 0; length = signatures.NextAfter(length))
        {
            if (signatures.TryRead(length, signature)) to.Signatures.Write(length, signature);
        }
    }
}
