using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Serialization.Metadata;
using DatFs.Crypto;
using DatMount.Commands;

namespace DatMount.Hosting;

/// <summary>A drive that another process of this user has open: asks that one, over its control socket.</summary>
internal sealed class DriveElsewhere(string socket) : IOpenDrive
{
    private const string Root = "http://datmount/drive/";

    // A big file, or metadata that has to come first, takes its time; the process gives up by itself.
    private readonly HttpClient _http = ControlClient.Connect(socket, Timeout.InfiniteTimeSpan);

    public Task<OwnWriterReport> WriterAsync(CancellationToken ct) => GetAsync("writer", ControlJson.Default.OwnWriterReport, ct);

    public Task<List<WriterReport>> WritersAsync(CancellationToken ct) => GetAsync("writers", ControlJson.Default.ListWriterReport, ct);

    public async Task<bool> AuthorizeAsync(FeedKey key, string? label, CancellationToken ct)
    {
        using HttpResponseMessage answer = await _http.PostAsJsonAsync(Root + "authorize", new AuthorizeRequest(key.ToHex(), label), ControlJson.Default.AuthorizeRequest, ct);
        return (await ReadAsync(answer, ControlJson.Default.AuthorizeReply, ct)).Changed;
    }

    public async Task IgnoreAsync(FeedKey key, long? from, CancellationToken ct)
    {
        using HttpResponseMessage answer = await _http.PostAsJsonAsync(Root + "ignore", new IgnoreRequest(key.ToHex(), from), ControlJson.Default.IgnoreRequest, ct);
        await CheckAsync(answer, ct);
    }

    public Task<List<ConflictReport>> ConflictsAsync(CancellationToken ct) => GetAsync("conflicts", ControlJson.Default.ListConflictReport, ct);

    public Task<List<ChangeReport>> LogAsync(string? path, int limit, CancellationToken ct) =>
        GetAsync(string.Create(CultureInfo.InvariantCulture, $"log?limit={limit}{(path is null ? "" : "&path=" + Uri.EscapeDataString(path))}"), ControlJson.Default.ListChangeReport, ct);

    public async Task<long> PutAsync(string path, Stream content, uint? mode, long? mtimeMs, CancellationToken ct)
    {
        string how = (mode is { } bits ? string.Create(CultureInfo.InvariantCulture, $"&mode={bits}") : "") + (mtimeMs is { } time ? string.Create(CultureInfo.InvariantCulture, $"&mtime={time}") : "");
        using StreamContent body = new(content);
        using HttpResponseMessage answer = await _http.PutAsync(Root + "file?path=" + Uri.EscapeDataString(path) + how, body, ct);
        return (await ReadAsync(answer, ControlJson.Default.VersionReply, ct)).Version;
    }

    public async Task<long> RemoveAsync(string path, CancellationToken ct)
    {
        using HttpResponseMessage answer = await _http.DeleteAsync(Root + "file?path=" + Uri.EscapeDataString(path), ct);
        return (await ReadAsync(answer, ControlJson.Default.VersionReply, ct)).Version;
    }

    public async Task<long> ResolveAsync(string path, string? take, bool merged, Stream content, CancellationToken ct)
    {
        string how = merged ? "&merged=true" : take is null ? "" : "&take=" + Uri.EscapeDataString(take);
        using StreamContent body = new(content);
        using HttpResponseMessage answer = await _http.PostAsync(Root + "resolve?path=" + Uri.EscapeDataString(path) + how, body, ct);
        return (await ReadAsync(answer, ControlJson.Default.VersionReply, ct)).Version;
    }

    public ValueTask DisposeAsync()
    {
        _http.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<T> GetAsync<T>(string what, JsonTypeInfo<T> type, CancellationToken ct)
    {
        using HttpResponseMessage answer = await _http.GetAsync(Root + what, ct);
        return await ReadAsync(answer, type, ct);
    }

    private static async Task<T> ReadAsync<T>(HttpResponseMessage answer, JsonTypeInfo<T> type, CancellationToken ct)
    {
        await CheckAsync(answer, ct);
        return await answer.Content.ReadFromJsonAsync(type, ct) ?? throw new CommandException(ExitCode.Failed, "the process that has the drive open gave no answer");
    }

    private static async Task CheckAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        if (answer.StatusCode == System.Net.HttpStatusCode.Conflict && await answer.Content.ReadFromJsonAsync(ControlJson.Default.FailureReply, ct) is { } failure)
            throw new CommandException((ExitCode)failure.Code, failure.Message);
        if (!answer.IsSuccessStatusCode) throw new CommandException(ExitCode.Failed, $"the process that has the drive open answered {(int)answer.StatusCode}; it may be of another version: end it and try again");
    }
}
