using DatMount.Fuzz.Targets;

namespace DatMount.Fuzz;

/// <summary>Every decoder that is fuzzed. A new one is one more line here.</summary>
internal static class FuzzTargets
{
    private static readonly Func<IFuzzTarget>[] s_all =
    [
        () => new VarintTarget(),
        () => new RleTarget(),
        () => new MessageTarget(),
        () => new DataTarget(),
        () => new FrameTarget(),
        () => new ConnectionTarget(),
        () => new CipherTarget(),
        () => new RemoteBitfieldTarget(),
        () => new ProofTarget(),
        () => new DigestTarget(),
        () => new NodeTarget(),
        () => new EntryTarget(),
        () => new FeedTarget(),
        () => new DriveTarget(),
        () => new FuseTarget(),
        () => new TextTarget(),
        () => new JsonTarget(),
        () => new PeerTarget(),
        () => new DiscoveryTarget(),
        () => new DhtRpcTarget(),
    ];

    public static IReadOnlyList<string> Names { get; } = [.. s_all.Select(create => create().Name)];

    /// <summary>A new instance, for one thread.</summary>
    public static IFuzzTarget Create(string name) => s_all.Select(create => create()).Single(target => target.Name == name);
}
