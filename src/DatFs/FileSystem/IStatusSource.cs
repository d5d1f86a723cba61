namespace DatFs.FileSystem;

/// <summary>Live facts that only the host knows. Called when a status file is opened or its size is asked for: answer at once.</summary>
public interface IStatusSource
{
    /// <summary>The whole text of <c>.dat/status.json</c>, without the archive's key.</summary>
    string StatusJson();

    /// <summary>The whole text of <c>.dat/peers</c>: one line for each peer, control characters escaped.</summary>
    string PeersText();
}
