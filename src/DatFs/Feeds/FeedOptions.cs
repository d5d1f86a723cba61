using System.Buffers;
using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>How a feed is opened.</summary>
public sealed record FeedOptions
{
    /// <summary>The key expected; null = whatever is stored, or a new pair when <see cref="CreateKeyPair"/>.</summary>
    public FeedKey? Key { get; init; }
    /// <summary>Create a key pair where nothing is stored.</summary>
    public bool CreateKeyPair { get; init; }
    /// <summary>The 64-byte secret key, where it is kept elsewhere (hyperdrive content, the dat tool).</summary>
    public byte[]? SecretKey { get; init; }
    /// <summary>Never write to the files (someone else's folder).</summary>
    public bool ReadOnly { get; init; }
    /// <summary>Check each block against its leaf hash when it is read (dat folders: files change under us).</summary>
    public bool VerifyReads { get; init; }
    /// <summary>Append although the storage once held more signed blocks than could be recovered and no peer gave them back (§16): the feed may fork.</summary>
    public bool AppendAfterLoss { get; init; }
    /// <summary>Bytes of a bitfield page of a new feed: 3584, or 3328 for folders shared with programs older than hypercore 6.22.1 (§6).</summary>
    public int BitfieldEntrySize { get; init; } = SleepHeader.BitfieldEntry;
    /// <summary>Where the memory of blocks that are read comes from.</summary>
    public MemoryPool<byte> Memory { get; init; } = MemoryPool<byte>.Shared;
    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
