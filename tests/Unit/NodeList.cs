using System.Text.Json;
using DatFs.Feeds;

namespace DatFs.Unit;

/// <summary>Tree nodes and index lists as the vectors write them.</summary>
internal static class NodeList
{
    public static long[] Indexes(JsonElement row, string member) => [.. row.GetProperty(member).EnumerateArray().Select(value => value.GetInt64())];

    public static TreeNode[] Nodes(JsonElement row, string member) => [.. row.GetProperty(member).EnumerateArray().Select(Node)];

    public static TreeNode Node(JsonElement row) => new(
        row.GetProperty("index").GetInt64(),
        NodeHash.From(Convert.FromHexString(row.GetProperty("hash").GetString()!)),
        row.GetProperty("size").GetInt64());
}
