using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>Creating and opening (hypercore.md §10).</summary>
public sealed partial class Feed
{
    /// <summary>Opens or creates a feed; recovers it after a crash (§10, §16).</summary>
    /// <exception cref="DatException">NotFound, Locked, KeyMismatch, Corrupt, Unsupported, Io.</exception>
    public static Feed Open(FeedFiles files, FeedOptions options)
    {
        try
        {
            return options.ReadOnly ? OpenStored(files, options, null) : OpenLocked(files, options);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatException(DatError.Io, $"The feed in {files.Folder.DisplayName} could not be opened: {e.Message}", e);
        }
    }

    private static Feed OpenLocked(FeedFiles files, FeedOptions options)
    {
        bool makesKey = options.Key is not null || options.SecretKey is not null || options.CreateKeyPair;
        if (!makesKey && !files.HasKey && !files.Exists(FeedFiles.SecretKeyName)) throw NothingStored(files);

        // The lock comes first: what is read from here on is read by its only writer (§16).
        IRandomAccessFile bitfield = files.Open(FeedFiles.BitfieldName, FileUse.Exclusive)!;
        try
        {
            return OpenStored(files, options, bitfield);
        }
        catch
        {
            bitfield.Dispose();
            throw;
        }
    }

    private static Feed OpenStored(FeedFiles files, FeedOptions options, IRandomAccessFile? bitfield)
    {
        FeedKey? stored = ReadKey(files);
        if (stored is { } other && options.Key is { } expected && other != expected)
            throw new DatException(DatError.KeyMismatch, $"Another feed ({other}) is stored in {files.Folder.DisplayName}.");

        SecretKey? secret = ReadSecret(files, options, isNew: stored is null && (bitfield?.Length ?? 0) <= SleepHeader.Size);
        FeedStore? store = null;
        try
        {
            FeedKey? known = stored ?? options.Key ?? secret?.PublicKey;
            if (known is null)
            {
                if (!options.CreateKeyPair || options.ReadOnly) throw NothingStored(files);
                if (bitfield!.Length > SleepHeader.Size) throw new DatException(DatError.Corrupt, $"{files.Folder.DisplayName} holds blocks of a feed but not its key.");
                secret = SecretKey.Generate();
                known = secret.PublicKey;
                FeedStore.WriteSecret(files, secret);
            }

            if (secret is not null && secret.PublicKey != known.Value)
                throw new DatException(DatError.KeyMismatch, $"The secret key for {files.Folder.DisplayName} belongs to another feed.");

            bitfield ??= files.Open(FeedFiles.BitfieldName, FileUse.Read);
            store = FeedStore.Open(files, options.ReadOnly, bitfield);
            Bitfield bits = store.LoadBits(options.BitfieldEntrySize);
            if (stored is null && !options.ReadOnly) store.WriteKey(known.Value);
            else if (secret is not null && !options.ReadOnly) store.SyncFound();

            return Recover(new FeedTree(known.Value, bits, store), secret, options);
        }
        catch
        {
            secret?.Dispose();
            store?.Dispose();
            throw;
        }
    }

    private static Feed Recover(FeedTree tree, SecretKey? secret, FeedOptions options)
    {
        FeedRecovery recovery = FeedRecovery.Run(tree, secret is not null && !options.ReadOnly);
        Feed feed = new(tree, secret, options, secret is null ? 0 : recovery.Claimed);
        try
        {
            feed._forked = tree.Store.Files.Exists(FeedFiles.ForkName);
            if ((recovery.Changed || tree.Bits.IsDirty) && !options.ReadOnly) feed.Write();
            return feed;
        }
        catch
        {
            feed._flushTimer.Dispose();
            throw;
        }
    }

    private static FeedKey? ReadKey(FeedFiles files)
    {
        using IRandomAccessFile? file = files.Open(FeedFiles.KeyName, FileUse.Read);
        if (file is null) return null;
        Span<byte> key = stackalloc byte[FeedKey.Size + 1];
        int size = file.Read(0, key);
        if (size > FeedKey.Size) throw new DatException(DatError.Corrupt, $"{files.Describe(FeedFiles.KeyName)} is not a key of 32 bytes.");

        // Shorter or zeros: the creation was interrupted before the key, its last step, was written.
        return size == FeedKey.Size && key.ContainsAnyExcept((byte)0) ? FeedKey.From(key[..FeedKey.Size]) : null;
    }

    private static SecretKey? ReadSecret(FeedFiles files, FeedOptions options, bool isNew)
    {
        if (options.SecretKey is { } given)
        {
            return SecretKey.TryFrom(given, out SecretKey? key)
                ? key
                : throw new DatException(DatError.KeyMismatch, $"The secret key given for {files.Folder.DisplayName} is not one of 64 bytes whose halves belong together.");
        }

        using IRandomAccessFile? file = files.Open(FeedFiles.SecretKeyName, FileUse.Read);
        if (file is null) return null;
        Span<byte> secret = stackalloc byte[SecretKey.Size];
        try
        {
            if (file.Read(0, secret) < SecretKey.Size) return null;
            if (SecretKey.TryFrom(secret, out SecretKey? key)) return key;

            // Half written when the power went off during the creation: nobody has ever seen its key.
            if (isNew) return null;
            throw new DatException(DatError.KeyMismatch, $"{files.Describe(FeedFiles.SecretKeyName)} is damaged: its halves do not belong together.");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }
    }

    private static DatException NothingStored(FeedFiles files) => new(DatError.NotFound, $"No feed is stored in {files.Folder.DisplayName}.");
}
