using DatFs.Crypto;

namespace DatMount.Simulation;

/// <summary>The files of a drive by their paths, at one version.</summary>
internal sealed class FileTree : SortedDictionary<string, byte[]>
{
    public FileTree()
        : base(StringComparer.Ordinal)
    {
    }

    public FileTree(FileTree other)
        : base(other, StringComparer.Ordinal)
    {
    }

    /// <summary>The names in a directory ("" is the root).</summary>
    public SortedSet<string> NamesIn(string directory)
    {
        SortedSet<string> names = new(StringComparer.Ordinal);
        foreach (string path in Keys)
        {
            if (path.StartsWith(directory + "/", StringComparison.Ordinal)) names.Add(path[(directory.Length + 1)..].Split('/')[0]);
        }

        return names;
    }
}

/// <summary>
/// What a drive is at each of its versions, as its owner meant it. A version counts for ever once the change that made it was acknowledged, or
/// once anybody else has seen it.
/// </summary>
internal sealed class DriveTruth
{
    private readonly World _world;
    private readonly byte[] _seed;
    private readonly List<FileTree> _versions = [new()];
    private FileTree? _attempt;
    private long _seen;

    public DriveTruth(World world, Rng rng)
    {
        _world = world;
        _seed = rng.Bytes(SecretKey.SeedSize);
        using SecretKey secret = Secret();
        using SecretKey content = secret.DeriveContent();
        (Key, ContentKey) = (secret.PublicKey, content.PublicKey);
    }

    public FeedKey Key { get; }

    public FeedKey ContentKey { get; }

    /// <summary>The newest version that counts.</summary>
    public int Version => _versions.Count - 1;

    public FileTree Newest => _versions[^1];

    public SecretKey Secret() => SecretKey.FromSeed(_seed);

    /// <summary>The drive at a version that somebody has got to see.</summary>
    public FileTree At(string who, long version)
    {
        _seen = Math.Max(_seen, version);
        if (version <= Version) return _versions[(int)version];
        _world.Check(_attempt is not null && version == Version + 1, $"{who} has version {version} of the drive, and there are {Version}");
        return _attempt ?? Newest;
    }

    /// <summary>The owner is about to make the next version.</summary>
    public void Attempt(FileTree tree) => _attempt = tree;

    /// <summary>What was attempted is done.</summary>
    public void Acknowledge(long version)
    {
        _versions.Add(_attempt!);
        _attempt = null;
        _world.Check(version == Version, $"a change was said to make version {version} and not {Version}");
    }

    /// <summary>What was attempted failed, and the drive goes on without it.</summary>
    public void Withdraw() => _attempt = null;

    /// <summary>The owner came back: what it had attempted either counts now or never was.</summary>
    public void Reconcile(long version)
    {
        _world.Check(version >= Version, $"of {Version} acknowledged versions the owner kept {version}");
        if (_attempt is not null && version == Version + 1) _versions.Add(_attempt);
        _attempt = null;
        _world.Check(version == Version, $"the owner came back with version {version}, and had made {Version}");
        _world.Check(_seen <= Version, $"others have seen version {_seen}, and the owner came back with {Version}");
    }
}
