
namespace DatFs.Feeds;

/// <summary>
/// What one peer has told us it has of a feed's tree, for the life of its channel (hypercore.md §11.2: R). Only ever grows, except that it is
/// forgotten as a whole when it would become too large: knowing less is always correct and merely makes answers longer.
/// </summary>
internal sealed class RemoteTree
{
    /// <summary>Nodes that share a page.</summary>
    public const int PageNodes = 2048;

    /// <summary>Most pages kept, about 1.3 MiB: what a feed of four million blocks needs when all of it was claimed.</summary>
    public const int MaxPages = 4096;

    private const int WordBits = 64;

    private readonly Dictionary<long, ulong[]> _pages = [];

    /// <summary>Pages in use.</summary>
    public int PageCount => _pages.Count;

    /// <summary>True when the peer is known to have the node.</summary>
    public bool Has(long node) =>
        _pages.TryGetValue(node / PageNodes, out ulong[]? page) && (page[WordOf(node)] & BitOf(node)) != 0;

    /// <summary>Marks a node, and its parents as far as both children are marked; false when it was marked before.</summary>
    public bool Set(long node)
    {
        if (!SetOne(node)) return false;
        while (FlatTree.Depth(node) < FlatTree.MaxRoots && Has(FlatTree.Sibling(node)))
        {
            node = FlatTree.Parent(node);
            if (!SetOne(node)) break;
        }

        return true;
    }

    private bool SetOne(long node)
    {
        if (!_pages.TryGetValue(node / PageNodes, out ulong[]? page))
        {
            if (_pages.Count >= MaxPages) _pages.Clear();
            _pages.Add(node / PageNodes, page = new ulong[PageNodes / WordBits]);
        }

        ref ulong word = ref page[WordOf(node)];
        ulong before = word;
        word |= BitOf(node);
        return word != before;
    }

    private static int WordOf(long node) => (int)(node % PageNodes) / WordBits;

    private static ulong BitOf(long node) => 1UL << (int)(node % WordBits);
}
