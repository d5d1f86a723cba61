using System.Globalization;
using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.CrashPoints;

/// <summary>
/// Something that happens to two feeds on one disk, an own one and the copy of another's, with every call to the disk written down and, for
/// every moment between two calls, what had been promised by then.
/// </summary>
internal sealed class Story : IFeedObserver, IAsyncDisposable
{
    public const string OwnFolder = "own";
    public const string CopyFolder = "copy";

    /// <summary>Names of the operations, in the order of their numbers.</summary>
    public static readonly string[] Operations =
    [
        "append", "append-batch", "append-large", "append-group", "clear-own", "reopen",
        "fetch-newest", "fetch-some", "fetch-hashes", "fetch-all", "flush", "clear-copy",
    ];

    private readonly Rng _rng;
    private readonly int _scale;
    private readonly List<(int At, Promise Promise)> _promises = [];
    private readonly HashSet<long> _ownCleared = [];
    private readonly FeedKey _remoteKey;
    private readonly byte[] _restoredSecret = new byte[SecretKey.Size];
    private bool _restored;
    private bool _fetching;
    private Feed? _own;
    private Feed? _copy;

    private Story(string name, ulong seed, int scale)
    {
        Name = name;
        Seed = seed;
        _scale = scale;
        _rng = Rng.For(seed, 1);
        using SecretKey secret = SecretKey.FromSeed(Bytes(SecretKey.SeedSize));
        secret.CopyTo(_restoredSecret);
        EntrySize = _rng.Chance(0.2) ? SleepHeader.OldBitfieldEntry : SleepHeader.BitfieldEntry;
        Remote = FeedUse.InMemory(FeedUse.Options with { CreateKeyPair = true });
        _remoteKey = Remote.Key;
        Disk = new RecordingDisk(new DiskModel());
    }

    /// <summary>What it is made of: "append,flush" or "long".</summary>
    public string Name { get; }

    public ulong Seed { get; }

    public RecordingDisk Disk { get; }

    /// <summary>Whom the copy copies.</summary>
    public Feed Remote { get; }

    /// <summary>Who has what the owner had before they came back to an empty disk.</summary>
    public Feed? OwnPeer { get; private set; }

    /// <summary>Blocks of the own feed in the order in which they were appended.</summary>
    public List<byte[]> OwnBlocks { get; } = [];

    public List<byte[]> RemoteBlocks { get; } = [];

    /// <summary>Calls up to here are the same in all stories: crashes in them are looked at in one that does nothing else.</summary>
    public int Beginning { get; private set; }

    public int EntrySize { get; }

    public IReadOnlyList<Call> Calls => Disk.Calls;

    /// <summary>Lets a list of operations happen to small feeds.</summary>
    public static async Task<Story> TellAsync(ulong seed, params string[] operations)
    {
        Story story = new(string.Join(',', operations), seed, scale: 1);
        await story.BeginAsync(3);
        foreach (string operation in operations) await story.DoAsync(operation);
        await story.CloseAsync();
        return story;
    }

    /// <summary>Lets many operations happen to larger feeds: beyond the sectors of a page of bits, or beyond the page.</summary>
    public static async Task<Story> TellLongAsync(ulong seed)
    {
        Rng rng = Rng.For(seed, 2);
        int scale = rng.Pick<int>([1, 3, 60, 400]);
        Story story = new("long", seed, scale);
        await story.BeginAsync(scale < 10 ? 5 : rng.Pick<int>([1900, 4080, 8185]));
        for (int i = 0, count = 4 + rng.Below(scale < 10 ? 20 : 8); i < count; i++) await story.DoAsync(rng.Pick<string>(Operations));
        await story.CloseAsync();
        return story;
    }

    /// <summary>The copy begins in memory and is moved to the disk when it is known what it is.</summary>
    public static async Task<Story> TellMoveAsync(ulong seed)
    {
        Story story = new("move", seed, scale: 1);
        story._own = story.OpenOwn(story.Disk);
        story._own.Observe(story);
        await story.GrowRemoteAsync(1 + story._rng.Below(20));
        story._copy = FeedUse.InMemory(FeedUse.Options with { Key = story._remoteKey, BitfieldEntrySize = story.EntrySize });
        await story.FetchSomeAsync();
        await story.MoveAsync();
        for (int i = 0; i < 2; i++) await story.DoAsync(story._rng.Pick<string>(Operations));
        await story.CloseAsync();
        return story;
    }

    /// <summary>The owner comes back to an empty disk with nothing but the secret key, and takes the blocks from a peer before going on.</summary>
    public static async Task<Story> TellRestoredAsync(ulong seed)
    {
        Story story = new("restored", seed, scale: 1) { _restored = true };
        story.Open();
        await story.RestoreAsync(1 + story._rng.Below(30));
        await story.GrowRemoteAsync(5);
        for (int i = 0; i < 4; i++) await story.DoAsync(story._rng.Pick<string>(Operations));
        await story.CloseAsync();
        return story;
    }

    /// <summary>What had been promised when the disk had been called so many times.</summary>
    public Promise PromisedAt(int calls)
    {
        int at = _promises.FindLastIndex(promise => promise.At <= calls);
        return at < 0 ? new Promise() : _promises[at].Promise;
    }

    public Feed OpenOwn(RecordingDisk disk) =>
        Feed.Open(new FeedFiles(disk.Folder(OwnFolder)), FeedUse.Options with { CreateKeyPair = !_restored, SecretKey = _restored ? _restoredSecret : null, BitfieldEntrySize = EntrySize });

    public Feed OpenCopy(RecordingDisk disk) =>
        Feed.Open(new FeedFiles(disk.Folder(CopyFolder)), FeedUse.Options with { Key = _remoteKey, BitfieldEntrySize = EntrySize });

    public async ValueTask DisposeAsync()
    {
        await Remote.DisposeAsync();
        if (OwnPeer is not null) await OwnPeer.DisposeAsync();
    }

    void IFeedObserver.LengthChanged(Feed feed, long oldLength, long newLength)
    {
        if (feed == _own && !_fetching) Promised(now => now with { OwnAnnounced = newLength });
    }

    void IFeedObserver.BlocksAdded(Feed feed, long start, long count)
    {
    }

    void IFeedObserver.BlocksCleared(Feed feed, long start, long count)
    {
    }

    private async Task BeginAsync(int blocks)
    {
        Open();
        Beginning = Calls.Count;
        await AppendAsync(Sizes(blocks));
        await GrowRemoteAsync(2 * blocks);
        for (int block = 0; block < blocks; block++) await FeedUse.FetchAsync(Remote, _copy!, block * 2 % (2 * blocks - 1));
        await FlushAsync();
        if (_scale == 1) Beginning = Calls.Count;
    }

    private void Open()
    {
        _own = OpenOwn(Disk);
        _own.Observe(this);
        Promised(now => now with { OwnKey = _own.Key });
        _copy = OpenCopy(Disk);
        _copy.Observe(this);
    }

    private async Task CloseAsync()
    {
        await _own!.DisposeAsync();
        await _copy!.DisposeAsync();
        CopyIsDurable();
    }

    private Task DoAsync(string operation) => operation switch
    {
        "append" => AppendAsync(Sizes(1)),
        "append-batch" => AppendAsync([0, 3, 700, 0, 41, .. Sizes(_scale)]),
        "append-large" => AppendAsync([9000]),
        "append-group" => AppendGroupAsync(),
        "clear-own" => ClearOwnAsync(),
        "reopen" => ReopenAsync(),
        "fetch-newest" => FetchNewestAsync(),
        "fetch-some" => FetchSomeAsync(),
        "fetch-hashes" => FetchHashesAsync(),
        "fetch-all" => FetchAllAsync(),
        "flush" => FlushAsync(),
        "clear-copy" => ClearCopyAsync(),
        _ => throw new ArgumentException(operation, nameof(operation)),
    };

    private async Task ReopenAsync()
    {
        await CloseAsync();
        Open();
    }

    private async Task MoveAsync()
    {
        await _copy!.RehomeAsync(new FeedFiles(Disk.Folder(CopyFolder)), CancellationToken.None);
        CopyIsDurable();
    }

    // What was fetched and not made durable may be lost again. Not everything needs to be fetched.
    private async Task RestoreAsync(int blocks)
    {
        Feed peer = OwnPeer = FeedUse.InMemory(FeedUse.Options with { SecretKey = _restoredSecret });
        OwnBlocks.AddRange(Sizes(blocks).Select(Bytes));
        foreach (byte[][] batch in OwnBlocks.Chunk(7)) await peer.AppendAsync([.. batch.Select(block => (ReadOnlyMemory<byte>)block)], CancellationToken.None);
        for (int block = 0; block < blocks; block++) _ownCleared.Add(block);
        HashSet<long> lacking = [.. _ownCleared];
        Promised(now => now with { OwnBegun = blocks, OwnCleared = lacking });
        _fetching = true;
        foreach (int block in Enumerable.Range(0, blocks).Reverse())
        {
            if (_rng.Chance(0.8) || block == blocks - 1) await FeedUse.FetchAsync(peer, _own!, block);
        }

        _fetching = false;
        await AppendAsync(Sizes(2));
    }

    private Task AppendAsync(params int[] sizes) => Begin(sizes).AsTask();

    private ValueTask<long> Begin(int[] sizes)
    {
        ReadOnlyMemory<byte>[] blocks = [.. sizes.Select(size => (ReadOnlyMemory<byte>)Bytes(size))];
        OwnBlocks.AddRange(blocks.Select(block => block.ToArray()));
        Promised(now => now with { OwnBegun = OwnBlocks.Count });
        return _own!.AppendAsync(blocks, CancellationToken.None);
    }

    // The others come while the first one is being made durable, and share what follows.
    private async Task AppendGroupAsync()
    {
        List<Task> waiting = [];
        Disk.InNextSync = () =>
        {
            waiting.Add(Begin([5, 6]).AsTask());
            waiting.Add(Begin([0]).AsTask());
            waiting.Add(Begin(Sizes(_scale)).AsTask());
        };
        await AppendAsync(4);
        await Task.WhenAll(waiting);
    }

    private async Task ClearOwnAsync()
    {
        long start = _own!.Length / 3;
        long end = start + Math.Max(1, _own.Length / 3);
        for (long block = start; block < end; block++) _ownCleared.Add(block);
        HashSet<long> cleared = [.. _ownCleared];
        Promised(now => now with { OwnCleared = cleared });
        await _own.ClearAsync(start, end, CancellationToken.None);
    }

    private async Task FetchNewestAsync()
    {
        await GrowRemoteAsync(3 * _scale);
        await FeedUse.FetchAsync(Remote, _copy!, Remote.Length - 1 - _rng.Below(2));
    }

    private async Task FetchSomeAsync()
    {
        for (int i = 0; i < 3 * _scale; i++)
        {
            long block = _copy!.FirstMissing(_rng.Below((int)Remote.Length), Remote.Length);
            if (block < Remote.Length) await FeedUse.FetchAsync(Remote, _copy, block);
        }
    }

    // A peer may tell wrong sizes where no hash forbids it (hypercore.md §12.6).
    private async Task FetchHashesAsync()
    {
        long block = _rng.Below((int)Remote.Length);
        while (block < Remote.Length && _copy!.HasNode(2 * block)) block++;
        if (block == Remote.Length) await GrowRemoteAsync(3);
        await FeedUse.FetchAsync(Remote, _copy!, block, hash: true, proof =>
        {
            if (proof.Nodes.Count < 2 || proof.Nodes[1].Index != FlatTree.Sibling(2 * block) || proof.Nodes[1].Size == 0) return proof;
            TreeNode[] nodes = [.. proof.Nodes];
            nodes[0] = nodes[0] with { Size = nodes[0].Size + 1 };
            nodes[1] = nodes[1] with { Size = nodes[1].Size - 1 };
            return proof with { Nodes = nodes };
        });
    }

    private async Task FetchAllAsync()
    {
        await GrowRemoteAsync(_scale);
        for (long block = Remote.Length - 1; block >= 0; block--)
        {
            if (!_copy!.HasBlock(block)) await FeedUse.FetchAsync(Remote, _copy, block);
        }
    }

    private async Task FlushAsync()
    {
        await _copy!.FlushAsync(CancellationToken.None);
        CopyIsDurable();
    }

    private async Task ClearCopyAsync()
    {
        long start = _copy!.FirstHeld(0, _copy.Length);
        long end = start + _copy.Length / 2;
        Promised(now => now with { CopyHeld = now.CopyHeld.Where(block => block < start || block >= end).ToHashSet() });
        await _copy.ClearAsync(start, end, CancellationToken.None);
    }

    private async Task GrowRemoteAsync(int blocks)
    {
        byte[][] added = [.. Sizes(blocks).Select(Bytes)];
        RemoteBlocks.AddRange(added);
        await Remote.AppendAsync([.. added.Select(block => (ReadOnlyMemory<byte>)block)], CancellationToken.None);
    }

    private void CopyIsDurable()
    {
        HashSet<long> held = [];
        for (long block = _copy!.FirstHeld(0, _copy.Length); block < _copy.Length; block = _copy.FirstHeld(block + 1, _copy.Length)) held.Add(block);
        long length = _copy.Length;
        Promised(now => now with { CopyHeld = held, CopyLength = length });
    }

    private void Promised(Func<Promise, Promise> change)
    {
        Promise now = _promises.Count == 0 ? new Promise() : _promises[^1].Promise;
        _promises.Add((Calls.Count, change(now)));
    }

    private int[] Sizes(int blocks) => [.. Enumerable.Range(0, blocks).Select(_ => blocks > 50 ? _rng.Below(4) : _rng.Below(60))];

    private byte[] Bytes(int size)
    {
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) bytes[i] = (byte)_rng.Next();
        return bytes;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name}:{Seed}");
}
