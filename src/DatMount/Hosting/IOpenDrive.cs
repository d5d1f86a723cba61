using DatFs.Crypto;

namespace DatMount.Hosting;

/// <summary>A drive that is open, in this process or in another one of the user's, which then does what is asked. Owned by one command.</summary>
internal interface IOpenDrive : IAsyncDisposable
{
    Task<OwnWriterReport> WriterAsync(CancellationToken ct);

    Task<List<WriterReport>> WritersAsync(CancellationToken ct);

    /// <summary>False when the writer was authorized already.</summary>
    Task<bool> AuthorizeAsync(FeedKey key, string? label, CancellationToken ct);

    /// <summary>Leaves a writer out from an entry on; null = no longer.</summary>
    Task IgnoreAsync(FeedKey key, long? from, CancellationToken ct);

    Task<List<ConflictReport>> ConflictsAsync(CancellationToken ct);

    /// <summary>The newest changes, newest first.</summary>
    Task<List<ChangeReport>> LogAsync(string? path, int limit, CancellationToken ct);

    /// <summary>Answers the version it made; null times and bits are the usual ones.</summary>
    Task<long> PutAsync(string path, Stream content, uint? mode, long? mtimeMs, CancellationToken ct);

    Task<long> RemoveAsync(string path, CancellationToken ct);

    /// <summary>Settles a conflict with one of its versions ("WRITER@SEQ"), with what its strategy merges, or with the content. Answers the version it made.</summary>
    Task<long> ResolveAsync(string path, string? take, bool merged, Stream content, CancellationToken ct);
}
