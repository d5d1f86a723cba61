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
    ];

    public static IReadOnlyList<string> Names { get; } = [.. s_all.Select(create => create().Name)];

    /// <summary>A new instance, for one thread.</summary>
    public static IFuzzTarget Create(string name) => s_all.Select(create => create()).Single(target => target.Name == name);
}
