using System.Buffers.Binary;
using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>The opened files of one feed. Knows how they are laid out and in which order they are created, not what may be believed.</summary>
internal sealed class FeedStore : IDisposable
{
    private readonly Lock _dataLock = new();
    private readonly IRandomAccessFile? _bitfield;
    private IRandomAccessFile? _data;

    private FeedStore(FeedFiles files, bool readOnly, IRandomAccessFile? bitfield, IRandomAccessFile? tree, IRandomAccessFile? signatures, IRandomAccessFile? data)
    {
        Files = files;
        ReadOnly = readOnly;
        _bitfield = bitfield;
        _data = data;
        Tree = new TreeFile(tree);
        Signatures = new SignatureFile(signatures);
    }

    /// <summary>Where they lie.</summary>
    public FeedFiles Files { get; }

    /// <summary>Nothing is ever written.</summary>
    public bool ReadOnly { get; }

    /// <summary>Block bytes come from elsewhere and cannot be written.</summary>
    public bool HasForeignData => Files.Data is not null;

    /// <summary>The nodes.</summary>
    public TreeFile Tree { get; }

    /// <summary>The signatures.</summary>
    public SignatureFile Signatures { get; }

    /// <summary>The block bytes; null when there are none yet.</summary>
    public IRandomAccessFile? Data => Volatile.Read(ref _data);

    /// <summary>Opens what is there. The bitfield, already opened and thereby locked, is handed over.</summary>
    public static FeedStore Open(FeedFiles files, bool readOnly, IRandomAccessFile? bitfield)
    {
        FileUse use = readOnly ? FileUse.Read : FileUse.ReadWrite;
        IRandomAccessFile? tree = null;
        IRandomAccessFile? signatures = null;
        try
        {
            tree = OpenSleep(files, FeedFiles.TreeName, use, SleepHeader.FileType.Tree, SleepHeader.TreeEntry);
            signatures = OpenSleep(files, FeedFiles.SignaturesName, use, SleepHeader.FileType.Signatures, SleepHeader.SignatureEntry);

            // The format has no data file until there is a byte to keep.
            IRandomAccessFile? data = files.Data ?? (files.Exists(FeedFiles.DataName) ? files.Open(FeedFiles.DataName, use) : null);
            return new FeedStore(files, readOnly, bitfield, tree, signatures, data);
        }
        catch
        {
            tree?.Dispose();
            signatures?.Dispose();
            throw;
        }
    }

    /// <summary>Reads the bits, or makes new ones; a new file gets its header.</summary>
    public Bitfield LoadBits(int newEntrySize)
    {
        string describe = Files.Describe(FeedFiles.BitfieldName);
        if (_bitfield is null) return new Bitfield(newEntrySize);
        if (SleepHeader.Read(_bitfield, SleepHeader.FileType.Bitfield, describe) is { } entrySize) return Bitfield.Load(_bitfield, entrySize, describe, findStale: !ReadOnly);
        if (!ReadOnly) WriteHeader(_bitfield, SleepHeader.FileType.Bitfield, newEntrySize);
        return new Bitfield(newEntrySize);
    }

    /// <summary>Writes the secret key for the first time, durably.</summary>
    public static void WriteSecret(FeedFiles files, SecretKey secret)
    {
        using IRandomAccessFile file = files.Open(FeedFiles.SecretKeyName, FileUse.Secret)!;
        Span<byte> bytes = stackalloc byte[SecretKey.Size];
        try
        {
            secret.CopyTo(bytes);
            file.Write(0, bytes);
            file.SetLength(SecretKey.Size);
            file.Sync();
        }
        finally
        {
            System.Security.Cryptography.CryptographicOperations.ZeroMemory(bytes);
        }
    }

    /// <summary>Ends the creation of a feed: the key is written when everything it stands for is there (§10).</summary>
    public void WriteKey(FeedKey key)
    {
        // With all names: a key without its secret would be a feed that nobody can ever continue.
        SyncFound();
        using IRandomAccessFile file = Files.Open(FeedFiles.KeyName, FileUse.ReadWrite)!;
        Span<byte> bytes = stackalloc byte[FeedKey.Size];
        key.CopyTo(bytes);
        file.Write(0, bytes);
        file.Sync();
        Files.Folder.Sync();
    }

    /// <summary>
    /// Makes everything that was found durable: a process that died before may have left it to the system's memory, and what an owner tells
    /// peers now must outlive the computer too.
    /// </summary>
    public void SyncFound()
    {
        SyncContents();
        SyncBits();
        foreach (string name in (string[])[FeedFiles.SecretKeyName, FeedFiles.KeyName])
        {
            using IRandomAccessFile? file = Files.Open(name, FileUse.Read);
            file?.Sync();
        }

        Files.Folder.Sync();
    }

    /// <summary>How many blocks were signed here once, when some of them were lost; 0 when none were, as far as was written down.</summary>
    public long ReadClaim()
    {
        using IRandomAccessFile? file = Files.Open(FeedFiles.LostName, FileUse.Read);
        Span<byte> claim = stackalloc byte[sizeof(long)];
        return file?.Read(0, claim) == claim.Length ? Math.Clamp(BinaryPrimitives.ReadInt64BigEndian(claim), 0, ProofVerifier.MaxLength) : 0;
    }

    /// <summary>Writes down, durably, how many blocks were signed here once.</summary>
    public void WriteClaim(long length)
    {
        using IRandomAccessFile file = Files.Open(FeedFiles.LostName, FileUse.ReadWrite)!;
        Span<byte> claim = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64BigEndian(claim, length);
        file.Write(0, claim);
        file.Sync();
        Files.Folder.Sync();
    }

    /// <summary>Nothing is lost any more, or the owner gave it up.</summary>
    public void DeleteClaim()
    {
        Files.Delete(FeedFiles.LostName);
        Files.Folder.Sync();
    }

    /// <summary>The data file, created when it is needed first.</summary>
    public IRandomAccessFile DataForWrite()
    {
        if (ReadOnly || HasForeignData) throw new DatException(DatError.NotWritable, $"{Files.Describe(FeedFiles.DataName)} is only read.");
        lock (_dataLock)
        {
            if (_data is { } data) return data;
            data = Files.Open(FeedFiles.DataName, FileUse.ReadWrite)!;
            try
            {
                Files.Folder.Sync();
            }
            catch
            {
                data.Dispose();
                throw;
            }

            Volatile.Write(ref _data, data);
            return data;
        }
    }

    /// <summary>Makes data, nodes and signatures durable.</summary>
    public void SyncContents()
    {
        SyncData();
        Tree.Sync();
        Signatures.Sync();
    }

    /// <summary>Makes the block bytes durable.</summary>
    public void SyncData()
    {
        if (!HasForeignData) Data?.Sync();
    }

    /// <summary>Writes pages of the bitfield, ascending, and makes them durable. What they speak of must be durable before.</summary>
    public void WriteBits(Bitfield bits, List<(long Page, byte[] Entry)> entries)
    {
        if (entries.Count == 0) return;
        foreach ((long page, byte[] entry) in entries) _bitfield!.Write(bits.OffsetOf(page), entry);
        _bitfield!.Sync();
    }

    /// <summary>Makes the bitfield durable.</summary>
    public void SyncBits() => _bitfield!.Sync();

    /// <inheritdoc/>
    public void Dispose()
    {
        Tree.Dispose();
        Signatures.Dispose();
        Data?.Dispose();
        _bitfield?.Dispose();
    }

    private static IRandomAccessFile? OpenSleep(FeedFiles files, string name, FileUse use, SleepHeader.FileType type, int entrySize)
    {
        IRandomAccessFile? file = files.Open(name, use);
        if (file is null) return null;
        try
        {
            if (SleepHeader.Read(file, type, files.Describe(name)) is null && use != FileUse.Read) WriteHeader(file, type, entrySize);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static void WriteHeader(IRandomAccessFile file, SleepHeader.FileType type, int entrySize)
    {
        file.SetLength(0);
        SleepHeader.Write(file, type, entrySize);
    }
}
