namespace DatMount.Hosting;

/// <summary>This machine's writer of a drive.</summary>
internal sealed record OwnWriterReport(string Key, bool Authorized);

/// <summary>One who writes a drive.</summary>
internal sealed record WriterReport(string Key, string? Label, bool Own, bool Authorized, long Entries, DateTimeOffset? LastChange, string? AuthorizedBy, long? AuthorizedAt, long? IgnoredFrom);

/// <summary>One version of a path in conflict: where it can be read, null for a deletion.</summary>
internal sealed record SideReport(string Writer, string? Label, long Seq, bool Deleted, long Size, DateTimeOffset? Modified, string? Path);

/// <summary>A path with several versions, the one that is shown first.</summary>
internal sealed record ConflictReport(string Path, IReadOnlyList<SideReport> Sides);

/// <summary>One change of a drive. The kind is put, delete or authorize.</summary>
internal sealed record ChangeReport(string? Writer, string? Label, long Seq, string Kind, string Path, long? Size, DateTimeOffset? Time);

/// <summary>The body of POST /drive/authorize.</summary>
internal sealed record AuthorizeRequest(string Key, string? Label);

/// <summary>Whether anything had to be changed.</summary>
internal sealed record AuthorizeReply(bool Changed);

/// <summary>The body of POST /drive/ignore: from which entry on, null = none any more.</summary>
internal sealed record IgnoreRequest(string Key, long? From);

/// <summary>The version that a change made.</summary>
internal sealed record VersionReply(long Version);

/// <summary>Why something asked for was not done, as the command line tells it.</summary>
internal sealed record FailureReply(int Code, string Message);
