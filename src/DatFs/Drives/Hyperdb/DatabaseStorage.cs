using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// Where the feeds of a database lie (hyperdb-multiwriter.md §12), as the reference has them: source/, local/ for our own where we are not the
/// source, peers/ and content/ by discovery keys of the writers.
/// </summary>
internal sealed class DatabaseStorage(IStorageFolder folder, DatabaseOptions options)
{
    private const string SourceName = "source";
    private const string LocalName = "local";

    public bool HasContent => options.ContentFeeds;

    public Feed CreateSource(SecretKey? key)
    {
        FeedFiles files = new(folder.Folder(SourceName));
        try
        {
            if (key is not null && !files.HasKey && !HoldsSecret(files)) FeedStore.WriteSecret(files, key);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatException(DatError.Io, $"The secret key in {files.Folder.DisplayName} could not be written: {e.Message}", e);
        }

        return Feed.Open(files, options.Feeds with { Key = key?.PublicKey, CreateKeyPair = true });
    }

    public Feed OpenSource(FeedKey? key) => Feed.Open(new FeedFiles(folder.Folder(SourceName)), options.Feeds with { Key = key });

    /// <summary>Our own feed; null where there is none and none may be made. It is kept for ever: an authorized key cannot be made again.</summary>
    public Feed? OpenLocal(bool create)
    {
        FeedFiles files = new(folder.Folder(LocalName));
        if (!files.HasKey && !create) return null;
        return Feed.Open(files, options.Feeds with { Key = null, CreateKeyPair = create });
    }

    public Feed OpenPeer(FeedKey key) => Feed.Open(new FeedFiles(folder.Folder("peers").Folder(key.ToDiscoveryKey().ToHex())), options.Feeds with { Key = key });

    /// <summary>The content feed of a writer (§13); its secret follows from the writer's and is not stored.</summary>
    public Feed OpenContent(Writer writer, FeedKey content)
    {
        FeedFiles files = new(folder.Folder("content").Folder(writer.Feed.DiscoveryKey.ToHex()));
        using SecretKey? secret = ContentSecret(writer.Feed);
        if (secret is null || secret.PublicKey != content) return Feed.Open(files, options.Feeds with { Key = content });
        byte[] bytes = new byte[SecretKey.Size];
        try
        {
            secret.CopyTo(bytes);
            return Feed.Open(files, options.Feeds with { Key = content, SecretKey = bytes });
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
        }
    }

    /// <summary>The secret of the content feed that belongs to a feed of our own; null for a feed of somebody else.</summary>
    /// <exception cref="DatException">Io.</exception>
    public static SecretKey? ContentSecret(Feed own)
    {
        if (!own.Writable) return null;
        using SecretKey? secret = ReadSecret(own.Files);
        return secret?.DeriveDatabaseContent();
    }

    // One that was half written when the power went off is none: nobody has ever seen its key.
    private static bool HoldsSecret(FeedFiles files)
    {
        using SecretKey? secret = ReadSecret(files);
        return secret is not null;
    }

    private static SecretKey? ReadSecret(FeedFiles files)
    {
        Span<byte> bytes = stackalloc byte[SecretKey.Size];
        try
        {
            using IRandomAccessFile? file = files.Open(FeedFiles.SecretKeyName, FileUse.Read);
            return file?.Read(0, bytes) == bytes.Length && SecretKey.TryFrom(bytes, out SecretKey? secret) ? secret : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatException(DatError.Io, $"The secret key in {files.Folder.DisplayName} could not be read: {e.Message}", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
        }
    }
}
