using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Discovery.Names;

/// <summary>A name in the file.</summary>
/// <param name="Name">Its ASCII form.</param>
/// <param name="Key">The drive's key in base64; null = it stands for nothing.</param>
/// <param name="LearntAt">When that was said.</param>
/// <param name="Expires">Until when it holds.</param>
internal sealed record CachedName(string Name, string? Key, DateTimeOffset LearntAt, DateTimeOffset Expires)
{
    public FeedKey? FeedKey
    {
        get
        {
            Span<byte> bytes = stackalloc byte[Crypto.FeedKey.Size];
            return Key is not null && Convert.TryFromBase64String(Key, bytes, out int count) && count == bytes.Length ? Crypto.FeedKey.From(bytes) : null;
        }
    }
}

/// <summary>The file.</summary>
internal sealed record CachedNames(IReadOnlyList<CachedName>? Names);

/// <summary>Names looked up before, in "names.json", read by its owner only. A file that is damaged or cannot be written costs nothing but the memory.</summary>
internal sealed class NameCache
{
    /// <summary>Names kept; those learnt longest ago go first.</summary>
    public const int MaxNames = 200;

    internal const string FileName = "names.json";

    private readonly IStorageFolder? _folder;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, CachedName> _names = [];

    public NameCache(IStorageFolder? folder)
    {
        _folder = folder;
        if (folder is null) return;
        foreach (CachedName name in JsonFile.Read(folder, FileName, NameJson.Default.CachedNames)?.Names ?? [])
            if (name?.Name is { Length: <= NameResolver.MaxName } && _names.Count < MaxNames) _names[name.Name] = name;
    }

    /// <summary>The form in which a key is kept.</summary>
    public static string Text(FeedKey key)
    {
        Span<byte> bytes = stackalloc byte[FeedKey.Size];
        key.CopyTo(bytes);
        return Convert.ToBase64String(bytes);
    }

    public CachedName? Find(string name)
    {
        lock (_gate) return _names.GetValueOrDefault(name);
    }

    public void Put(CachedName name)
    {
        lock (_gate)
        {
            _names[name.Name] = name;
            if (_names.Count > MaxNames) _names.Remove(_names.MinBy(one => one.Value.LearntAt).Key);
            if (_folder is null) return;
            try
            {
                JsonFile.Write(_folder, FileName, new CachedNames([.. _names.Values]), NameJson.Default.CachedNames);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or DatException)
            {
                // A full or read-only disk: the next start asks again.
                return;
            }
        }
    }
}
