using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatFs.Unit;

/// <summary>A feed of vectors/hypercore/feeds.json: what it is made of, and its files where they are stored raw.</summary>
internal sealed class RecordedFeed
{
    private static readonly JsonElement s_all = Vectors.Json("hypercore/feeds.json").GetProperty("feeds");

    private readonly JsonElement _row;

    private RecordedFeed(JsonElement row) => _row = row;

    public static readonly string[] FileNames = ["key", "secret_key", "data", "tree", "signatures", "bitfield"];

    public static IEnumerable<RecordedFeed> All => s_all.EnumerateArray().Select(row => new RecordedFeed(row));

    public static RecordedFeed Named(string name) => All.Single(feed => feed.Name == name);

    public string Name => _row.GetProperty("name").GetString()!;
    public bool IsRaw => _row.GetProperty("raw").GetBoolean();
    public bool IsOld => Name.StartsWith("v6", StringComparison.Ordinal);
    public bool IsWriter => _row.GetProperty("role").GetString() == "writer";
    public bool IsStatic => _row.GetProperty("role").GetString()!.StartsWith("static", StringComparison.Ordinal);
    public long Length => _row.GetProperty("length").GetInt64();
    public long ByteLength => _row.GetProperty("byteLength").GetInt64();
    public JsonElement Row => _row;

    public byte[] SecretKey
    {
        get
        {
            byte[] secret = new byte[Crypto.SecretKey.Size];
            using SecretKey key = Crypto.SecretKey.FromSeed(_row.Hex("keySeed"));
            key.CopyTo(secret);
            return secret;
        }
    }

    public FeedKey Key => _row.Hex("key") is { } key ? FeedKey.From(key) : FeedKey.From(SecretKey.AsSpan(32));

    /// <summary>Lengths of the batches, in order.</summary>
    public IEnumerable<int> Batches
    {
        get
        {
            JsonElement batches = _row.GetProperty("batches");
            return batches.ValueKind == JsonValueKind.Array
                ? batches.EnumerateArray().Select(batch => batch.GetInt32())
                : Enumerable.Repeat(batches.GetProperty("of").GetInt32(), batches.GetProperty("repeat").GetInt32());
        }
    }

    public IEnumerable<(long Start, long End)> Cleared =>
        _row.TryGetProperty("after", out JsonElement after) && after.ValueKind == JsonValueKind.Object && after.TryGetProperty("cleared", out JsonElement ranges)
            ? ranges.EnumerateArray().Select(range => (range[0].GetInt64(), range[1].GetInt64()))
            : [];

    public byte[] Block(long index) => FormulaBlocks.Of(_row.GetProperty("blocks"), index);

    public ReadOnlyMemory<byte>[] Blocks(long first, int count) => [.. Enumerable.Range(0, count).Select(i => (ReadOnlyMemory<byte>)Block(first + i))];

    /// <summary>A copy of the raw files in memory.</summary>
    public MemoryFolder Copy()
    {
        MemoryFolder folder = new(Name);
        foreach (string name in FileNames)
        {
            string path = Vectors.PathOf($"hypercore/feeds/{Name}/{name}");
            if (File.Exists(path)) Write(folder, name, File.ReadAllBytes(path));
        }

        return folder;
    }

    /// <summary>An empty folder with nothing but the secret key, as another program would leave it.</summary>
    public MemoryFolder WithSecretOnly()
    {
        MemoryFolder folder = new(Name);
        Write(folder, FeedFiles.SecretKeyName, SecretKey);
        return folder;
    }

    public static void Write(IStorageFolder folder, string name, byte[] content)
    {
        using IRandomAccessFile file = folder.Open(name, FileUse.ReadWrite)!;
        file.SetLength(0);
        file.Write(0, content);
    }

    public static byte[]? Read(IStorageFolder folder, string name)
    {
        using IRandomAccessFile? file = folder.Open(name, FileUse.Read);
        if (file is null) return null;
        byte[] content = new byte[file.Length];
        file.Read(0, content);
        return content;
    }
}
