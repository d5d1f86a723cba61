using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DatFs.Discovery.Server;

public sealed partial class DiscoveryServer
{
    /// <summary>Time between two savings of the table.</summary>
    public static readonly TimeSpan SaveTime = TimeSpan.FromMinutes(1);

    /// <summary>Names under which state is saved.</summary>
    internal const string SecretsName = "secrets", RecordsName = "records";

    /// <summary>Bytes of a record on disk: name, peer, second when it was seen.</summary>
    private const int SavedSize = Name20.Size + Ipv4Peer.Size + 4;

    private static ReadOnlySpan<byte> Magic => "datdisc1"u8;

    private long? _savedAt;

    private void Tick()
    {
        byte[]? secrets = null, records = null;
        lock (_gate)
        {
            if (_disposed) return;
            _pushes.Tick();
            _records.Expire(Now);
            _subscriptions.Expire(Now);
            _gossip?.Tick();
            if (_options.State is null) return;
            bool first = _savedAt is null;
            if (_secrets.Rotate(_options.Time.GetUtcNow()) || first) secrets = _secrets.ToBytes();
            if (first || _options.Time.GetElapsedTime(_savedAt!.Value) >= SaveTime)
            {
                _savedAt = _options.Time.GetTimestamp();
                if (!first) records = Snapshot();
            }
        }

        if (secrets is not null) Save(SecretsName, secrets);
        if (records is not null) Save(RecordsName, records);
    }

    private byte[] Snapshot()
    {
        lock (_gate)
        {
            List<NamedEntry> entries = new(_records.Count);
            _records.Copy(0, _records.SlotCount, Now, entries);
            byte[] bytes = new byte[Magic.Length + entries.Count * SavedSize + SHA256.HashSizeInBytes];
            Magic.CopyTo(bytes);
            Span<byte> at = bytes.AsSpan(Magic.Length);
            foreach (NamedEntry entry in entries)
            {
                entry.Name.Write(at);
                entry.Peer.Write(at[Name20.Size..]);
                BinaryPrimitives.WriteInt32BigEndian(at[(Name20.Size + Ipv4Peer.Size)..], entry.Seen);
                at = at[SavedSize..];
            }

            SHA256.HashData(bytes.AsSpan(0, bytes.Length - SHA256.HashSizeInBytes), at);
            return bytes;
        }
    }

    /// <summary>Takes over what was saved; a damaged file is as good as none, since clients announce again.</summary>
    private void Restore()
    {
        byte[] bytes = _options.State?.Load(RecordsName) ?? [];
        int records = bytes.Length - Magic.Length - SHA256.HashSizeInBytes;
        if (records < 0 || records % SavedSize != 0 || !bytes.AsSpan().StartsWith(Magic)) return;
        ReadOnlySpan<byte> content = bytes.AsSpan(0, bytes.Length - SHA256.HashSizeInBytes);
        if (!SHA256.HashData(content).AsSpan().SequenceEqual(bytes.AsSpan(content.Length))) return;
        int now = Now;
        List<NamedEntry> entries = new(records / SavedSize);
        for (ReadOnlySpan<byte> at = content[Magic.Length..]; !at.IsEmpty; at = at[SavedSize..])
        {
            int seen = Math.Min(now, BinaryPrimitives.ReadInt32BigEndian(at[(Name20.Size + Ipv4Peer.Size)..]));
            entries.Add(new NamedEntry(Name20.Read(at), Ipv4Peer.Read(at[Name20.Size..]), seen, 0));
        }

        // Oldest first: what is added last makes room last.
        entries.Sort((a, b) => a.Seen.CompareTo(b.Seen));
        foreach (NamedEntry entry in entries)
            _records.Add(entry, now, AddressRange.IsPrivate(entry.Peer.Address) ? _options.PerPrivateAddress : _options.PerAddress);
    }

    private void Save(string name, byte[] state)
    {
        if (_options.State is null) return;
        string? problem = null;
        try
        {
            _options.State.Save(name, state);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            problem = failure.Message;
        }

        lock (_gate) _counters = _counters with { SavedAt = problem is null ? _options.Time.GetUtcNow() : _counters.SavedAt, SaveProblem = problem };
    }
}
