using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace DatMount.Simulation;

/// <summary>What happened, one line an event: virtual time, who, what. Two runs of one seed must agree in every byte of it.</summary>
internal sealed class Trace
{
    /// <summary>Longest trace kept; the hash goes on.</summary>
    public const int MaxKept = 256 << 20;

    private const int Piece = 1 << 16;

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly MemoryStream _kept = new();
    private readonly StringBuilder _open = new(2 * Piece);

    /// <summary>Lines so far.</summary>
    public long Events { get; private set; }

    public void Line(long ticks, string who, string what)
    {
        Events++;
        _open.Append(CultureInfo.InvariantCulture, $"{ticks / 10_000_000}.{ticks % 10_000_000:D7} {who} {what}\n");
        if (_open.Length >= Piece) Seal();
    }

    /// <summary>Hash of all lines.</summary>
    public string Hash()
    {
        Seal();
        return Convert.ToHexStringLower(_hash.GetCurrentHash());
    }

    public void Save(string path)
    {
        Seal();
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, _kept.ToArray());
    }

    private void Seal()
    {
        byte[] bytes = Encoding.UTF8.GetBytes(_open.ToString());
        _open.Clear();
        _hash.AppendData(bytes);
        if (_kept.Length < MaxKept) _kept.Write(bytes);
    }
}
