using System.Globalization;
using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// The numbers under which this machine shows the versions of a multi-writer drive (hyperdb-multiwriter.md §11): from 1, in the order in which
/// they were first shown. A number is on the disk before it is shown and never means anything else; elsewhere it means nothing. One line a
/// version: its time in milliseconds since 1970, then its bytes in hex. A last line cut short by a crash is not there.
/// </summary>
internal sealed class VersionTable : IDisposable
{
    private const string Name = "versions";
    private const int AliasBytes = 8;

    /// <summary>Longest file read: some hundred thousand versions.</summary>
    public const long MaxFileSize = 64L << 20;

    private readonly Lock _gate = new();
    private readonly List<byte[]> _versions = [];
    private readonly Dictionary<string, long> _numbers = [];
    private readonly Dictionary<string, long> _aliases = [];
    private readonly IRandomAccessFile? _file;
    private long _end;

    private VersionTable(IRandomAccessFile? file) => _file = file;

    /// <summary>Versions numbered so far.</summary>
    public long Count
    {
        get
        {
            lock (_gate) return _versions.Count;
        }
    }

    /// <summary>Reads the table of a folder; null = one that is kept in memory only.</summary>
    /// <exception cref="DatException">Corrupt, Io.</exception>
    public static VersionTable Open(IStorageFolder? folder)
    {
        VersionTable table = new(folder?.Open(Name, FileUse.ReadWrite));
        table.Load();
        return table;
    }

    /// <summary>The number of a version, given to it now where it has none.</summary>
    /// <exception cref="DatException">Io.</exception>
    public long NumberOf(ReadOnlySpan<byte> version, DateTimeOffset now)
    {
        if (version.IsEmpty) return 0;
        string hex = Convert.ToHexStringLower(version);
        lock (_gate)
        {
            if (_numbers.TryGetValue(hex, out long known)) return known;
            if (_file is not null)
            {
                byte[] line = System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{now.ToUnixTimeMilliseconds()} {hex}\n"));
                try
                {
                    _file.Write(_end, line);
                    _file.Sync();
                }
                catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
                {
                    throw new DatException(DatError.Io, $"the table of versions could not be written: {failure.Message}", failure);
                }

                _end += line.Length;
            }

            return Add(version.ToArray(), hex);
        }
    }

    /// <summary>The version that a number means here, null when it means none.</summary>
    public byte[]? Find(long number)
    {
        lock (_gate) return number >= 1 && number <= _versions.Count ? _versions[(int)number - 1] : null;
    }

    /// <summary>The number of the version with this alias, null when none has it here.</summary>
    public long? FindAlias(string alias)
    {
        lock (_gate) return _aliases.TryGetValue(alias, out long number) ? number : null;
    }

    /// <summary>A short name of a version: the first 16 hex digits of its BLAKE2b-256. Null for the empty one.</summary>
    public static string? AliasOf(ReadOnlySpan<byte> version)
    {
        if (version.IsEmpty) return null;
        Span<byte> hash = stackalloc byte[Blake2b.HashSize];
        Blake2b.Hash(hash, version);
        return Convert.ToHexStringLower(hash[..AliasBytes]);
    }

    public void Dispose() => _file?.Dispose();

    private long Add(byte[] version, string hex)
    {
        _versions.Add(version);
        if (_numbers.TryAdd(hex, _versions.Count)) _aliases.TryAdd(AliasOf(version)!, _versions.Count);
        return _versions.Count;
    }

    private void Load()
    {
        if (_file is null || _file.Length == 0) return;
        if (_file.Length > MaxFileSize) throw new DatException(DatError.Corrupt, "the table of versions is too large");
        byte[] bytes = new byte[_file.Length];
        ReadOnlySpan<byte> rest = bytes.AsSpan(0, _file.Read(0, bytes));
        for (int end = rest.IndexOf((byte)'\n'); end >= 0; end = rest.IndexOf((byte)'\n'))
        {
            string line = System.Text.Encoding.ASCII.GetString(rest[..end]);
            int space = line.IndexOf(' ');
            if (space < 0 || line.Length - space - 1 is 0 || !TryHex(line[(space + 1)..], out byte[] version)) throw new DatException(DatError.Corrupt, "the table of versions is damaged");
            Add(version, Convert.ToHexStringLower(version));
            rest = rest[(end + 1)..];
            _end += end + 1;
        }

        _file.SetLength(_end);
    }

    private static bool TryHex(string text, out byte[] bytes)
    {
        bytes = new byte[text.Length / 2];
        return text.Length % 2 == 0 && Convert.FromHexString(text, bytes, out _, out int written) == System.Buffers.OperationStatus.Done && written == bytes.Length;
    }
}
