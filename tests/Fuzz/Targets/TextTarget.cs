using System.Globalization;
using System.Text;
using DatFs;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.FileSystem;
using DatFs.Replication;
using DatMount.Commands;
using DatMount.Fuzz.Engine;
using DatMount.Hosting;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// What users, links and archives write as text: drive references, names of versions, names of entries, targets of links, versions as arguments, addresses of peers. The first byte chooses which, the
/// rest is the text; a zero byte separates two of them.
/// </summary>
internal sealed class TextTarget : IFuzzTarget
{
    private static readonly FakeDrive s_drive = Drive();
    private static readonly DateTimeOffset s_now = new(2018, 1, 24, 17, 30, 0, TimeSpan.Zero);
    private static readonly string s_key = string.Concat(Enumerable.Repeat("4a1b9e07", 8));

    public string Name => "text";

    public int MaxLength => 2 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
    [
        "dat://"u8.ToArray(), "+12"u8.ToArray(), "%2F"u8.ToArray(), "%C3%A4"u8.ToArray(), "%ff"u8.ToArray(), "../"u8.ToArray(), "./"u8.ToArray(), "//"u8.ToArray(), "@"u8.ToArray(), "-ago"u8.ToArray(),
        "yesterday"u8.ToArray(), "2018-01-24T1730Z"u8.ToArray(), "999999999w"u8.ToArray(), " (file)"u8.ToArray(), "."u8.ToArray(), [0], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98, 0x80], [0xEF, 0xBF, 0xBD],
    ];

    public long AllocationLimit(int inputLength) => 128 * 1024 + 512L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        foreach (string reference in new[] { s_key, "dat://" + s_key, "DAT://" + s_key + "+12/a/b%20c", s_key[..12], "see " + s_key + ".", s_key + "+", "dat://" + s_key + "+18446744073709551615", "/tmp", "" }) yield return Of(0, reference);
        foreach (string version in new[] { "12", "007", "@2018-01-24T1730Z", "@2018-01-24", "@yesterday", "@2h-ago", "@99999999w-ago", "@30min-ago", "9223372036854775807", "@" }) yield return Of(1, version);
        foreach (string name in new[] { "a", "..", "b.txt\0b.text", "blackbird (file).txt\0c", new string('x', 260) + ".txt", "é\0e", "\U0001F600\0\uFFFD", "/a//b/" }) yield return Of(2, name);
        foreach (string address in new[] { "192.0.2.7:3282", "[2001:db8::7]:3282", "example.org:65535", ":1", "[]:1", "a:65536" }) yield return Of(5, address);
        foreach (string typed in new[] { "6", "2018-01-24T17:30Z", "2018-01-24 17:30", "24 Jan 2018 17:30:00 +01:00", "0001-01-01", "9999-12-31T23:59:59.9999999-14:00", "1", "-1" }) yield return Of(4, typed);
        foreach (string target in new[] { "a", "../a", "a/../b", "/etc/passwd", "../../x", "./a/./b", "a/..", "", "..\0/a/b" }) yield return Of(3, target);
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        if (input.IsEmpty) return;
        ReadOnlySpan<byte> bytes = input[1..];
        switch (input[0] % 6)
        {
            case 0:
                Reference(Encoding.UTF8.GetString(bytes));
                break;
            case 1:
                Version(Encoding.UTF8.GetString(bytes));
                break;
            case 2:
                Names(bytes);
                break;
            case 3:
                Link(bytes);
                break;
            case 4:
                Argument(Encoding.UTF8.GetString(bytes));
                break;
            default:
                Address(Encoding.UTF8.GetString(bytes));
                break;
        }
    }

    private static FakeDrive Drive()
    {
        FakeDrive drive = new();
        drive.Publish(("/a", FakeEntry.File("one")));
        return drive;
    }

    private static byte[] Of(byte kind, string text) => [kind, .. Encoding.UTF8.GetBytes(text)];

    private static void Reference(string text)
    {
        DriveReference reference;
        try
        {
            reference = DriveReference.Parse(text);
        }
        catch (DatException refused)
        {
            Oracle.Equal(refused.Error, DatError.Invalid, "the reason of a refusal");
            Oracle.That(!refused.Message.Contains(s_key, StringComparison.OrdinalIgnoreCase), "a key is never repeated");
            return;
        }

        // A bare host may also be the name of a kept drive.
        int named = (reference.Key is null ? 0 : 1) + (reference.Folder is null ? 0 : 1) + (reference.Name is null && reference.Host is null ? 0 : 1);
        Oracle.Equal(named, 1, "ways in which a drive is named");
        Oracle.That(reference.Version is null or >= 0, "a version");
        if (reference.Key is { } key) Oracle.That(text.Contains(key.ToHex(), StringComparison.OrdinalIgnoreCase), "a key that was written there");
        if (reference.Name is { } name) Oracle.That(DriveReference.IsName(name) && name == text, "a name as it was written");
        if (reference.Prefix is { } prefix) Oracle.That(prefix.Length is >= 4 and < 64 && prefix.All(char.IsAsciiHexDigitLower), "a prefix of digits");
        Path(reference.Path);
    }

    private static void Path(DrivePath path)
    {
        string[] components = path.Components();
        Oracle.Equal(path.IsRoot, components.Length == 0, "the root has no components");
        Oracle.Equal(DrivePath.From(path.Text).Text, path.Text.EndsWith('/') && !path.IsRoot ? DrivePath.From(path.Text).Text : path.Text, "a path read again");
        if (path.IsRoot) return;
        Oracle.Equal(path.Parent.Child(path.Name), path, "parent and name");
        Oracle.Equal(string.Join('/', components), path.Text[1..], "components");
    }

    private static void Version(string text)
    {
        if (VersionName.TryNumber(text, out long version)) Oracle.Equal(VersionName.Of(version), text, "the one spelling of a version");
        bool plain = long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number.ToString(CultureInfo.InvariantCulture) == text;
        Oracle.Equal(VersionName.TryNumber(text, out _), plain, "a number or not");
        if (!VersionName.TryTime(text, s_now, out DateTimeOffset time)) return;
        Oracle.That(text.StartsWith('@'), "times are marked");
        Oracle.That(!text.EndsWith("-ago", StringComparison.Ordinal) || time <= s_now, "what is ago is past");
        Oracle.That(VersionName.TryTime(text, DateTimeOffset.MinValue.AddHours(1), out DateTimeOffset early) && early >= DateTimeOffset.MinValue, "the same name at the beginning of time");
    }

    private static void Address(string text)
    {
        if (!PeerAddress.TryParse(text, out PeerAddress address)) return;
        Oracle.That(address.Host.Length > 0 && address.Port is >= 0 and <= 65535, "a host and a port");
        Oracle.That(PeerAddress.TryParse(address.ToString(), out PeerAddress again) && again == address, "an address there and back");
    }

    private static void Argument(string text)
    {
        try
        {
            long version = VersionArgument.ResolveAsync(text, s_drive, new FrozenTime(), CancellationToken.None).AsTask().GetAwaiter().GetResult();
            Oracle.That(version >= 0, "a version");
        }
        catch (CommandException refused)
        {
            Oracle.Equal(refused.ExitCode, ExitCode.Usage, "the reason of a refusal");
        }
    }

    private static void Names(ReadOnlySpan<byte> bytes)
    {
        int cut = bytes.IndexOf((byte)0);
        ReadOnlySpan<byte> first = cut < 0 ? bytes : bytes[..cut], second = cut < 0 ? default : bytes[(cut + 1)..];
        FsError outcome = EntryName.Decode(first, out string name);
        Oracle.That(outcome is FsError.None or FsError.NotFound or FsError.NameTooLong, "an outcome");
        Span<byte> room = stackalloc byte[EntryName.MaxBytes];
        if (outcome == FsError.None)
        {
            Oracle.That(EntryNames.IsUsable(name), "what is looked for can be shown");
            Oracle.Same(room[..EntryName.Encode(name, room)], first, "a name there and back");
        }

        string left = Encoding.UTF8.GetString(first), right = Encoding.UTF8.GetString(second);
        int order = Math.Sign(Encoding.UTF8.GetBytes(left).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(right)));
        Oracle.Equal(Math.Sign(EntryNames.Compare(left, right)), order, "the order of names");
        if (EntryNames.IsUsable(left) && EntryNames.Beside(left) is { } beside)
        {
            Oracle.That(EntryNames.IsUsable(beside) && beside != left && beside.Contains(EntryNames.BesideMark, StringComparison.Ordinal), "a name beside another can be shown");
        }

        string[] parts = HyperCodec.Split(left);
        Oracle.That(parts.AsSpan().SequenceEqual(DrivePath.From(left).Components()), "two ways to cut a path");
        Path(DrivePath.From(left));
    }

    // Beside a walk over the components that knows every folder it stands in.
    private static void Link(ReadOnlySpan<byte> bytes)
    {
        int cut = bytes.IndexOf((byte)0);
        byte[] target = (cut < 0 ? bytes : bytes[..cut]).ToArray();
        DrivePath at = DrivePath.From(cut < 0 ? "/a/b/link" : Encoding.UTF8.GetString(bytes[(cut + 1)..]));
        DriveEntry link = new() { Path = at, Kind = EntryKind.Symlink, Mode = 0x1FF, Identity = 1, LinkTarget = target };
        bool escapes = LinkTarget.Escapes(link);
        if (escapes) return;
        Oracle.That(target.Length > 0 && target[0] != '/', "a link inside is relative");
        int depth = at.Parent.Components().Length;
        foreach (string part in Encoding.Latin1.GetString(target).Split('/'))
        {
            if (part is "" or ".") continue;
            depth += part == ".." ? -1 : 1;
            Oracle.That(depth >= 0, "a link inside never stands above the root");
        }
    }
}
