namespace DatFs.Discovery.Lan;

/// <summary>What a <see cref="LanSource"/> needs from the world.</summary>
internal sealed record LanSourceOptions
{
    /// <summary>Where time comes from.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>0 up to 1; for pauses.</summary>
    public Func<double> Random { get; init; } = System.Random.Shared.NextDouble;

    /// <summary>Two labels, at the end of all names.</summary>
    public string Domain { get; init; } = SwarmTopic.DefaultDomain;
}
