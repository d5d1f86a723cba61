namespace DatMount.Hostile;

/// <summary>One attack on the running program.</summary>
/// <param name="Name">Short, unique in its family.</param>
/// <param name="What">One line: what the attacker does, and what for.</param>
/// <param name="Attack">Plays it once and checks what became of the attacker; played again and again while an honest peer is served.</param>
internal sealed record Script(string Name, string What, Func<ShareStage, Task> Attack)
{
    /// <summary>An attack by which nothing is to be held: growth is what an honest transfer at the same time needs.</summary>
    public const int QuietMiB = 32;

    /// <summary>Most that the program's memory may grow while it lasts, in MiB over what it had just before.</summary>
    public int MaxGrowthMiB { get; init; } = QuietMiB;
}
