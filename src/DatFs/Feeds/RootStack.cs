namespace DatFs.Feeds;

/// <summary>The full roots of a growing tree (hypercore.md §9): two of equal height become one.</summary>
internal sealed class RootStack
{
    private readonly TreeNode[] _roots = new TreeNode[FlatTree.MaxRoots + 1];
    private int _count;

    /// <summary>Begins with the roots of a length, ascending.</summary>
    public RootStack(ReadOnlySpan<TreeNode> roots)
    {
        roots.CopyTo(_roots);
        _count = roots.Length;
    }

    /// <summary>The roots now, ascending.</summary>
    public ReadOnlySpan<TreeNode> Roots => _roots.AsSpan(0, _count);

    /// <summary>Adds the next leaf, and to <paramref name="created"/> the leaf and every parent that is complete now.</summary>
    public void Push(in TreeNode leaf, List<TreeNode> created)
    {
        _roots[_count++] = leaf;
        created.Add(leaf);
        while (_count > 1 && FlatTree.Sibling(_roots[_count - 1].Index) == _roots[_count - 2].Index)
        {
            TreeNode parent = TreeHash.Parent(_roots[_count - 2], _roots[_count - 1]);
            _count--;
            _roots[_count - 1] = parent;
            created.Add(parent);
        }
    }
}
