using System.Globalization;
using System.Text;

namespace DatMount.Platform.Fuse;

/// <summary>
/// What <c>mount(8)</c> and fstab hand on as <c>-o a,b=c</c> (platform.md §2). Mount flags and FUSE's own options are understood here;
/// what only mount(8) needs is passed over; the rest is the program's own (<see cref="Rest"/>).
/// </summary>
public sealed record MountOptions
{
    private static readonly HashSet<string> s_passedOver = new(StringComparer.Ordinal)
    {
        "dev", "suid", "nodev", "nosuid", "auto", "noauto", "user", "nouser", "users", "owner", "group", "defaults", "nofail", "_netdev",
        "comment", "default_permissions", "async", "atime", "relatime", "norelatime", "strictatime", "lazytime", "nolazytime", "diratime",
        "nodiratime", "subtype",
    };

    /// <summary>ro, unless rw comes later.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>noexec, unless exec comes later.</summary>
    public bool NoExec { get; init; }

    /// <summary>noatime.</summary>
    public bool NoAtime { get; init; }

    /// <summary>sync.</summary>
    public bool Sync { get; init; }

    /// <summary>dirsync.</summary>
    public bool DirSync { get; init; }

    /// <summary>allow_other.</summary>
    public bool AllowOther { get; init; }

    /// <summary>allow_root.</summary>
    public bool AllowRoot { get; init; }

    /// <summary>auto_unmount.</summary>
    public bool AutoUnmount { get; init; }

    /// <summary>nonempty.</summary>
    public bool NonEmpty { get; init; }

    /// <summary>fsname=.</summary>
    public string? FsName { get; init; }

    /// <summary>max_read= in bytes; 0 = not given.</summary>
    public int MaxRead { get; init; }

    /// <summary>uid=.</summary>
    public uint? Uid { get; init; }

    /// <summary>gid=.</summary>
    public uint? Gid { get; init; }

    /// <summary>Options that are not the mount's, in order: name and value, null where there was no "=".</summary>
    public IReadOnlyList<KeyValuePair<string, string?>> Rest { get; init; } = [];

    /// <summary>Reads option lists, later ones over earlier ones. A comma or backslash in a value is escaped by a backslash.</summary>
    /// <exception cref="MountException"><see cref="MountFailure.BadOption"/>: a value is missing or no number.</exception>
    public static MountOptions Parse(params IEnumerable<string> lists)
    {
        ArgumentNullException.ThrowIfNull(lists);
        var rest = new List<KeyValuePair<string, string?>>();
        var options = new MountOptions();
        foreach (string list in lists)
            foreach ((string name, string? value) in Split(list))
                options = options.With(name, value, rest);
        return options with { Rest = rest };
    }

    /// <summary>These options over others.</summary>
    public FuseMountOptions Apply(FuseMountOptions to)
    {
        ArgumentNullException.ThrowIfNull(to);
        return to with
        {
            ReadOnly = to.ReadOnly || ReadOnly,
            NoExec = to.NoExec || NoExec,
            NoAtime = to.NoAtime || NoAtime,
            Sync = to.Sync || Sync,
            DirSync = to.DirSync || DirSync,
            AllowOther = to.AllowOther || AllowOther,
            AllowRoot = to.AllowRoot || AllowRoot,
            AutoUnmount = to.AutoUnmount || AutoUnmount,
            NonEmpty = to.NonEmpty || NonEmpty,
            FsName = FsName ?? to.FsName,
            MaxRead = MaxRead == 0 ? to.MaxRead : MaxRead,
            Uid = Uid ?? to.Uid,
            Gid = Gid ?? to.Gid,
        };
    }

    private static IEnumerable<(string Name, string? Value)> Split(string list)
    {
        var text = new StringBuilder();
        string? name = null;
        for (int i = 0; i <= list.Length; i++)
        {
            if (i == list.Length || list[i] == ',')
            {
                if (name is not null) yield return (name, text.ToString());
                else if (text.Length > 0) yield return (text.ToString(), null);
                name = null;
                text.Clear();
            }
            else if (list[i] == '\\' && i + 1 < list.Length)
            {
                text.Append(list[++i]);
            }
            else if (list[i] == '=' && name is null && text.Length > 0)
            {
                name = text.ToString();
                text.Clear();
            }
            else
            {
                text.Append(list[i]);
            }
        }
    }

    private MountOptions With(string name, string? value, List<KeyValuePair<string, string?>> rest)
    {
        switch (name)
        {
            case "ro": return this with { ReadOnly = true };
            case "rw": return this with { ReadOnly = false };
            case "noexec": return this with { NoExec = true };
            case "exec": return this with { NoExec = false };
            case "noatime": return this with { NoAtime = true };
            case "sync": return this with { Sync = true };
            case "dirsync": return this with { DirSync = true };
            case "allow_other": return this with { AllowOther = true };
            case "allow_root": return this with { AllowRoot = true };
            case "auto_unmount": return this with { AutoUnmount = true };
            case "nonempty": return this with { NonEmpty = true };
            case "fsname": return this with { FsName = Text(name, value) };
            case "max_read": return this with { MaxRead = (int)Math.Min(Number(name, value), int.MaxValue) };
            case "uid": return this with { Uid = Number(name, value) };
            case "gid": return this with { Gid = Number(name, value) };
        }

        if (!s_passedOver.Contains(name) && !name.StartsWith("x-", StringComparison.Ordinal)) rest.Add(new(name, value));
        return this;
    }

    private static string Text(string name, string? value) =>
        string.IsNullOrEmpty(value) ? throw new MountException(MountFailure.BadOption, $"option {name} needs a value: {name}=…") : value;

    private static uint Number(string name, string? value) =>
        uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            ? number
            : throw new MountException(MountFailure.BadOption, $"option {name} needs a number: {name}=N");
}
