using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>
/// Which blocks are held and which tree nodes are trusted (hypercore.md §7), wholly in memory. Anybody may read at any time without waiting;
/// changes come one at a time. While a stage is open, changes gather on copies: they can be written to disk before anyone sees them.
/// </summary>
internal sealed class Bitfield
{
    /// <summary>Pages of the longest feed accepted.</summary>
    public const long MaxPages = ProofVerifier.MaxLength / BitfieldPage.Blocks;

    private const int ShelfPages = 1024;

    // Levels of the index above a page: log2 of MaxPages, and one to be sure of the last.
    private const int IndexDepth = 28;
    private const int PagesPerRead = 256;

    private readonly Lock _lock = new();
    private readonly SortedSet<long> _dirty = [];
    private BitfieldPage?[]?[] _shelves = [];
    private Dictionary<long, BitfieldPage>? _stage;
    private long _pageCount;
    private long _held;
    private long _stageHeld;

    /// <summary>An empty bitfield whose pages have the size on disk.</summary>
    public Bitfield(int entrySize) => EntrySize = entrySize;

    /// <summary>Bytes of a page on disk.</summary>
    public int EntrySize { get; }

    /// <summary>Number of the highest page in use, plus one.</summary>
    public long PageCount => Volatile.Read(ref _pageCount);

    /// <summary>No node at or above this is held.</summary>
    public long NodeLimit => PageCount * BitfieldPage.Nodes;

    /// <summary>Blocks held.</summary>
    public long Held => Volatile.Read(ref _held);

    /// <summary>True when there are changes to write.</summary>
    public bool IsDirty
    {
        get
        {
            lock (_lock) return _dirty.Count > 0;
        }
    }

    /// <summary>
    /// Reads all pages of a file; a short last page counts as zero from its end on. With <paramref name="findStale"/> pages count as changed
    /// that promise on disk what they should not: blocks without leaves, or an index that hides blocks from other programs (§7.2).
    /// </summary>
    /// <exception cref="DatException">Corrupt: more pages than any feed has.</exception>
    public static Bitfield Load(IRandomAccessFile file, int entrySize, string describe, bool findStale = false)
    {
        Bitfield bits = new(entrySize);
        long body = Math.Max(0, file.Length - SleepHeader.Size);
        if ((body + entrySize - 1) / entrySize > MaxPages) throw new DatException(DatError.Corrupt, $"{describe} is larger than that of any feed.");
        byte[] buffer = new byte[(int)Math.Min(body, (long)PagesPerRead * entrySize)];
        for (long done = 0; done < body; done += buffer.Length)
        {
            Span<byte> read = buffer.AsSpan(0, file.Read(SleepHeader.Size + done, buffer));
            for (int at = 0; at < read.Length; at += entrySize)
            {
                ReadOnlySpan<byte> entry = read[at..Math.Min(read.Length, at + entrySize)];
                if (entry.Length > BitfieldPage.Size) entry = entry[..BitfieldPage.Size];
                if (!entry.ContainsAnyExcept((byte)0)) continue;
                BitfieldPage page = bits.PageForWrite((done + at) / entrySize);
                page.Load(entry);
                bits._held += page.CountBlocks();
            }
        }

        bits._dirty.Clear();
        if (entrySize == SleepHeader.BitfieldEntry) bits.IndexAll();
        if (findStale) bits.FindStale(file, body, buffer);
        return bits;
    }

    /// <summary>True when the bytes of the block are held.</summary>
    public bool HasBlock(long block) => block >= 0 && Find(block / BitfieldPage.Blocks)?.HasBlock(block) == true;

    /// <summary>True when the node is trusted.</summary>
    public bool HasNode(long node) => node >= 0 && Find(node / BitfieldPage.Nodes)?.HasNode(node) == true;

    /// <summary>First block in [start, end) that is not held, or end.</summary>
    public long FirstMissing(long start, long end)
    {
        while (start < end)
        {
            long page = start / BitfieldPage.Blocks;
            if (Find(page) is not { } bits) return start;
            int hit = Next(bits, start, end, false);
            if (hit >= 0) return page * BitfieldPage.Blocks + hit;
            start = (page + 1) * BitfieldPage.Blocks;
        }

        return end;
    }

    /// <summary>First block in [start, end) that is held, or end.</summary>
    public long FirstHeld(long start, long end)
    {
        long last = Math.Min(end, PageCount * BitfieldPage.Blocks);
        while (start < last)
        {
            long page = start / BitfieldPage.Blocks;
            int hit = Find(page) is { } bits ? Next(bits, start, last, true) : -1;
            if (hit >= 0) return page * BitfieldPage.Blocks + hit;
            start = (page + 1) * BitfieldPage.Blocks;
        }

        return end;
    }

    /// <summary>First block in [start, end) whose leaf is not trusted, or end.</summary>
    public long FirstWithoutLeaf(long start, long end)
    {
        while (start < end)
        {
            (long page, long from) = Math.DivRem(start, BitfieldPage.Blocks);
            if (Find(page) is not { } bits) return start;
            int hit = bits.NextWithoutLeaf((int)from);
            if (hit >= 0) return Math.Min(end, page * BitfieldPage.Blocks + hit);
            start = (page + 1) * BitfieldPage.Blocks;
        }

        return end;
    }

    /// <summary>Copies the bits of blocks from <paramref name="start"/>, a multiple of 8, on.</summary>
    public void CopyBlocks(long start, Span<byte> into)
    {
        if (start < 0 || start % 8 != 0) throw new ArgumentOutOfRangeException(nameof(start), start, "a multiple of 8 is needed");
        while (!into.IsEmpty)
        {
            (long page, long bit) = Math.DivRem(start, BitfieldPage.Blocks);
            int count = Math.Min(into.Length, (BitfieldPage.Blocks - (int)bit) / 8);
            if (Find(page) is { } bits) bits.Data.Slice((int)bit / 8, count).CopyTo(into);
            else into[..count].Clear();
            into = into[count..];
            start += 8L * count;
        }
    }

    /// <summary>All trusted nodes, ascending.</summary>
    public IEnumerable<long> Nodes()
    {
        for (long page = 0; page < PageCount; page++)
        {
            if (Find(page) is not { } bits) continue;
            for (int node = 0; node < BitfieldPage.Nodes; node++)
            {
                if (bits.HasNode(node)) yield return page * BitfieldPage.Nodes + node;
            }
        }
    }

    /// <summary>Marks a block as held.</summary>
    public bool SetBlock(long block)
    {
        lock (_lock)
        {
            if (!PageForWrite(block / BitfieldPage.Blocks).SetBlock(block, true)) return false;
            Count(1);
            return true;
        }
    }

    /// <summary>True when the block counts as held although its bytes lie in someone else's files.</summary>
    public bool IsLent(long block) => block >= 0 && Find(block / BitfieldPage.Blocks)?.IsLent(block) == true;

    /// <summary>Marks a block that is not held as lent: held for everyone who asks, but never on disk.</summary>
    public bool Lend(long block)
    {
        lock (_lock)
        {
            if (Find(block / BitfieldPage.Blocks) is not { } page || !page.Lend(block)) return false;
            _held++;
            return true;
        }
    }

    /// <summary>Marks a block as not held, if it is lent, or stored here, as the caller has seen it; false when nothing was changed.</summary>
    public bool ClearBlock(long block, bool lent = false)
    {
        lock (_lock)
        {
            if (IsLent(block) != lent) return false;
            if (_stage?.TryGetValue(block / BitfieldPage.Blocks, out BitfieldPage? staged) == true && staged.SetBlock(block, false)) _stageHeld--;
            if (Find(block / BitfieldPage.Blocks) is not { } page || !page.SetBlock(block, false)) return false;
            if (lent) page.Return(block);
            _dirty.Add(block / BitfieldPage.Blocks);
            _held--;
            if (_stage?.ContainsKey(block / BitfieldPage.Blocks) == true) _stageHeld++;
            return true;
        }
    }

    /// <summary>Marks the blocks [start, end).</summary>
    public void SetBlocks(long start, long end, bool held)
    {
        lock (_lock)
        {
            while (start < end)
            {
                (long page, long from) = Math.DivRem(start, BitfieldPage.Blocks);
                int to = (int)Math.Min(BitfieldPage.Blocks, end - page * BitfieldPage.Blocks);
                start = (page + 1) * BitfieldPage.Blocks;
                if (!held && View(page) is null) continue;
                Count(PageForWrite(page).SetBlocks((int)from, to, held));
            }
        }
    }

    /// <summary>Marks a node as trusted, and its parents as far as both children are (§7.1); false when it was already.</summary>
    public bool SetNode(long node)
    {
        lock (_lock)
        {
            if (!SetOneNode(node)) return false;
            while (FlatTree.Depth(node) < FlatTree.MaxRoots - 2 && View(FlatTree.Sibling(node) / BitfieldPage.Nodes)?.HasNode(FlatTree.Sibling(node)) == true)
            {
                node = FlatTree.Parent(node);
                if (!SetOneNode(node)) break;
            }

            return true;
        }
    }

    /// <summary>Takes back the trust in the nodes [start, end), and the blocks whose leaves they are; false when there was nothing.</summary>
    public bool CutNodes(long start, long end)
    {
        bool any = false;
        lock (_lock)
        {
            end = Math.Min(end, _pageCount * BitfieldPage.Nodes);
            while (start < end)
            {
                (long page, long from) = Math.DivRem(start, BitfieldPage.Nodes);
                int to = (int)Math.Min(BitfieldPage.Nodes, end - page * BitfieldPage.Nodes);
                start = (page + 1) * BitfieldPage.Nodes;
                if (Find(page) is not { } bits) continue;
                int held = bits.SetBlocks((int)(from + 1) / 2, (to + 1) / 2, false);
                if (!bits.ClearNodes((int)from, to) && held == 0) continue;
                Count(held);
                _dirty.Add(page);
                any = true;
            }
        }

        return any;
    }

    /// <summary>Takes back everything that is not part of a tree of so many blocks; false when there was nothing.</summary>
    public bool CutAfter(long length)
    {
        bool any = false;
        lock (_lock)
        {
            for (long page = length / BitfieldPage.Blocks; page < _pageCount; page++)
            {
                if (Find(page) is not { } bits) continue;
                int from = (int)Math.Max(0, length - page * BitfieldPage.Blocks);
                int held = bits.SetBlocks(from, BitfieldPage.Blocks, false);
                bool cut = bits.ClearNodes(2 * from, BitfieldPage.Nodes) | held != 0;
                Count(held);
                if (!cut) continue;
                _dirty.Add(page);
                any = true;
            }

            // Left of 2·length lie some nodes that reach beyond it: those above the block that follows.
            for (int depth = 1; depth < FlatTree.MaxRoots - 1; depth++)
            {
                long node = FlatTree.Index(depth, length >> depth);
                if (node >= 2 * length || Find(node / BitfieldPage.Nodes) is not { } bits || !bits.SetNode(node, false)) continue;
                _dirty.Add(node / BitfieldPage.Nodes);
                any = true;
            }
        }

        return any;
    }

    /// <summary>From here until <see cref="Publish"/> or <see cref="Discard"/> nobody sees what is changed.</summary>
    public void BeginStage()
    {
        lock (_lock)
        {
            if (_stage is not null) throw new InvalidOperationException("a stage is open");
            _stage = [];
            _stageHeld = 0;
        }
    }

    /// <summary>Shows the staged changes.</summary>
    public void Publish()
    {
        lock (_lock)
        {
            foreach ((long number, BitfieldPage page) in _stage!) Put(number, page);
            _stage = null;
            _held += _stageHeld;
        }
    }

    /// <summary>Forgets the staged changes.</summary>
    public void Discard()
    {
        lock (_lock) _stage = null;
    }

    /// <summary>The changed pages as they belong on disk, ascending; from here on they count as written. Staged changes are included.</summary>
    public List<(long Page, byte[] Entry)> TakeDirty()
    {
        lock (_lock)
        {
            foreach (long page in _stage?.Keys ?? Enumerable.Empty<long>()) _dirty.Add(page);
            if (EntrySize == SleepHeader.BitfieldEntry)
            {
                foreach (long page in _dirty.ToArray()) ClimbIndex(page);
            }

            List<(long, byte[])> entries = new(_dirty.Count);
            foreach (long page in _dirty) entries.Add((page, Entry(page, View(page)!)));
            _dirty.Clear();
            return entries;
        }
    }

    /// <summary>Counts pages as changed again, when writing them failed.</summary>
    public void ReturnDirty(IEnumerable<long> pages)
    {
        lock (_lock) _dirty.UnionWith(pages.Where(page => Find(page) is not null));
    }

    /// <summary>Counts every page as changed: for a file that has none of them.</summary>
    public void DirtyAll()
    {
        lock (_lock)
        {
            for (long page = 0; page < _pageCount; page++)
            {
                if (Find(page) is not null) _dirty.Add(page);
            }
        }
    }

    /// <summary>Where a page lies in the file.</summary>
    public long OffsetOf(long page) => SleepHeader.Size + page * EntrySize;

    /// <summary>The page, or null when none of its bits was ever set.</summary>
    public BitfieldPage? Find(long page)
    {
        BitfieldPage?[]?[] shelves = Volatile.Read(ref _shelves);
        long shelf = page / ShelfPages;
        return shelf < shelves.Length && Volatile.Read(ref shelves[shelf]) is { } pages ? Volatile.Read(ref pages[page % ShelfPages]) : null;
    }

    private static int Next(BitfieldPage page, long start, long end, bool value)
    {
        (long number, long from) = Math.DivRem(start, BitfieldPage.Blocks);
        return page.NextBlock((int)from, (int)Math.Min(BitfieldPage.Blocks, end - number * BitfieldPage.Blocks), value);
    }

    private bool SetOneNode(long node) => PageForWrite(node / BitfieldPage.Nodes).SetNode(node, true);

    private void Count(int by)
    {
        if (_stage is null) _held += by;
        else _stageHeld += by;
    }

    private BitfieldPage? View(long page) => _stage?.TryGetValue(page, out BitfieldPage? staged) == true ? staged : Find(page);

    private BitfieldPage PageForWrite(long number)
    {
        if (_stage is not null)
        {
            if (!_stage.TryGetValue(number, out BitfieldPage? staged)) _stage.Add(number, staged = Find(number)?.Copy() ?? new BitfieldPage());
            return staged;
        }

        _dirty.Add(number);
        if (Find(number) is { } page) return page;
        Put(number, page = new BitfieldPage());
        return page;
    }

    private void Put(long number, BitfieldPage page)
    {
        if (number is < 0 or >= MaxPages) throw new ArgumentOutOfRangeException(nameof(number), number, "beyond the longest feed");
        int shelf = (int)(number / ShelfPages);
        if (shelf >= _shelves.Length)
        {
            BitfieldPage?[]?[] longer = _shelves;
            Array.Resize(ref longer, Math.Max(shelf + 1, 2 * _shelves.Length));
            Volatile.Write(ref _shelves, longer);
        }

        if (_shelves[shelf] is null) Volatile.Write(ref _shelves[shelf], new BitfieldPage?[ShelfPages]);
        Volatile.Write(ref _shelves[shelf]![number % ShelfPages], page);
        if (number >= _pageCount) Volatile.Write(ref _pageCount, number + 1);
    }

    private byte[] Entry(long number, BitfieldPage page)
    {
        byte[] entry = new byte[EntrySize];
        page.CopyStored(entry);
        page.Tree.CopyTo(entry.AsSpan(BitfieldPage.DataBytes));
        Span<byte> index = entry.AsSpan(BitfieldPage.Size);
        if (EntrySize == SleepHeader.BitfieldEntry)
        {
            page.WriteIndex(index);
            index[^1] = page.IndexTop;
        }
        else if (number == 0)
        {
            // Half the room that is needed: the index of later pages would lie at other places, and zeros only make others search longer (§7.2).
            page.WriteIndex(index);
            index[^1] = BitfieldPage.Combine(index[index.Length / 2 - 1], 0);
        }

        return entry;
    }

    // The index is one flat tree over all pages: each page's own part is a leaf of what this computes, and the parent between pages p and p+1
    // lies on page p.
    private void ClimbIndex(long page)
    {
        for (long at = 2 * page; FlatTree.Depth(at) < IndexDepth;)
        {
            at = FlatTree.Parent(at);
            if (View(at / 2) is not { } holder) continue;
            byte value = BitfieldPage.Combine(IndexOf(FlatTree.LeftChild(at)), IndexOf(FlatTree.RightChild(at)));
            if (holder.IndexTop == value) continue;
            holder.IndexTop = value;
            _dirty.Add(at / 2);
        }
    }

    private void IndexAll()
    {
        for (long page = 0; page < _pageCount; page++)
        {
            if (Find(page) is not null) ClimbIndex(page);
        }

        _dirty.Clear();
    }

    private void FindStale(IRandomAccessFile file, long body, byte[] buffer)
    {
        // The index of older files lies at other places, and is only advice.
        int counts = EntrySize == SleepHeader.BitfieldEntry ? EntrySize : BitfieldPage.Size;
        for (long done = 0; done < body; done += buffer.Length)
        {
            Span<byte> read = buffer.AsSpan(0, file.Read(SleepHeader.Size + done, buffer));
            for (int at = 0; at < read.Length; at += EntrySize)
            {
                ReadOnlySpan<byte> entry = read[at..Math.Min(read.Length, at + counts)];
                long number = (done + at) / EntrySize;
                if (Find(number) is not { } page)
                {
                    if (entry.ContainsAnyExcept((byte)0)) PageForWrite(number);
                }
                else if (!Entry(number, page).AsSpan(0, entry.Length).SequenceEqual(entry)) _dirty.Add(number);
            }
        }
    }

    private byte IndexOf(long at)
    {
        if (View(at / 2) is not { } page) return 0;
        return FlatTree.IsLeaf(at) ? page.WriteIndex([]) : page.IndexTop;
    }
}
