namespace DatFs.Wire;

/// <summary>What one remote takes of a connection's bounds (wire-protocol.md §9.1): now, and at most so far. Bytes, or counts.</summary>
internal readonly record struct WireUse(
    long FrameBytes, long FramePeak, long Junk, long JunkPeak, int Channels, int UnknownChannels, int UnknownPeak, int UnknownLimit, long EarlyBytes, long EarlyPeak, long Output, long OutputPeak, long Memory);
