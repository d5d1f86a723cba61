namespace DatFs.Discovery.Dns;

/// <summary>Types of records that peers use.</summary>
internal enum DnsType : ushort
{
    A = 1,
    Txt = 16,
    Srv = 33,
}

/// <summary>What is asked. Types other than those of <see cref="DnsType"/> are kept as their number.</summary>
internal readonly record struct DnsQuestion(string Name, DnsType Type);

/// <summary>A record of class IN; its name is in lower case and without a final dot.</summary>
internal abstract record DnsRecord(string Name)
{
    /// <summary>Seconds; the network's programs write 0 and read nothing into it.</summary>
    public uint Ttl { get; init; }
}

/// <summary>A record that holds a list of strings "key=value"; bytes above ASCII are Latin-1.</summary>
internal sealed record DnsText(string Name, IReadOnlyList<string> Strings) : DnsRecord(Name)
{
    /// <summary>A key's value; "true" for a string without "=", null when the key is not there. The last of several counts.</summary>
    public string? this[string key]
    {
        get
        {
            for (int i = Strings.Count - 1; i >= 0; i--)
            {
                string text = Strings[i];
                if (!text.StartsWith(key, StringComparison.Ordinal)) continue;
                if (text.Length == key.Length) return "true";
                if (text[key.Length] == '=') return text[(key.Length + 1)..];
            }

            return null;
        }
    }

    /// <summary>A port of one to five digits (0 = the sender's), null when the key is not there or is no port.</summary>
    public ushort? Port(string key)
    {
        string? digits = this[key];
        return digits is { Length: <= 5 } && ushort.TryParse(digits, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out ushort port) ? port : null;
    }

    /// <summary>The entries of "peers"; empty when there are none or they cannot be read.</summary>
    public IReadOnlyList<Ipv4Peer> Peers => PeersText.Read(this["peers"]);
}

/// <summary>A record that holds a peer: an address as text, written as a name of four numeric labels, and a port.</summary>
internal sealed record DnsService(string Name, string Target, ushort Port) : DnsRecord(Name)
{
    /// <summary>The peer; null when the target is no IPv4 address.</summary>
    public Ipv4Peer? Peer => Ipv4Peer.TryReadAddress(Target, out uint address) ? new Ipv4Peer(address, Port) : null;
}

/// <summary>A record that holds an IPv4 address.</summary>
internal sealed record DnsAddress(string Name, uint Address) : DnsRecord(Name);
