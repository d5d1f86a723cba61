namespace DatFs.Feeds;

/// <summary>A node of the Merkle tree: flat-tree index, BLAKE2b-256 hash, and bytes below it (hypercore.md §3, §4).</summary>
/// <param name="Index">Flat-tree index: block i is node 2i.</param>
/// <param name="Hash">32 bytes.</param>
/// <param name="Size">Sum of the sizes of the blocks below, in bytes.</param>
public readonly record struct TreeNode(long Index, NodeHash Hash, long Size);
