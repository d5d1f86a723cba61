using System.Globalization;
using System.Net;
using DatFs.Crypto;

namespace DatFs.Discovery.Names;

/// <summary>
/// Names for drives (DEP-0005, discovery.md §9): a TXT record asked for over HTTPS, else a file at the host itself. Answers are remembered for
/// their time, and beyond it when nobody answers: a name that stops working goes on meaning the same drive. A key that changed is
/// handed out together with the one before it, so that nobody follows it unawares. Safe for use by any thread.
/// </summary>
public sealed class NameResolver : IDisposable
{
    /// <summary>Largest answer that is read, in bytes.</summary>
    public const int MaxAnswer = 64 * 1024;

    /// <summary>Longest name, in characters of its ASCII form.</summary>
    public const int MaxName = 253;

    /// <summary>How long an answer holds that says nothing about it.</summary>
    public static readonly TimeSpan DefaultLife = TimeSpan.FromHours(1);

    /// <summary>The longest that any answer holds.</summary>
    public static readonly TimeSpan MaxLife = TimeSpan.FromDays(7);

    /// <summary>How long it holds that a name stands for nothing.</summary>
    public static readonly TimeSpan MissLife = TimeSpan.FromSeconds(60);

    /// <summary>Time of one request.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    /// <summary>When the next provider is asked although the last may still answer.</summary>
    public static readonly TimeSpan Stagger = TimeSpan.FromMilliseconds(700);

    private readonly NameOptions _options;
    private readonly NameCache _cache;
    private readonly HttpClient _http;

    /// <summary>Reads what is remembered; asks nobody yet.</summary>
    public NameResolver(NameOptions options)
    {
        _options = options;
        _cache = new NameCache(options.State);
        // Limits are ours and go by our clock; a redirect would let one host speak for another.
        _http = new HttpClient(options.Http ?? new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }, disposeHandler: options.Http is null)
        {
            Timeout = Timeout.InfiniteTimeSpan,
            MaxResponseContentBufferSize = MaxAnswer,
        };
    }

    /// <summary>The ASCII form of a host name that could stand for a drive; null when the text is none, or an address.</summary>
    public static string? Normal(string text)
    {
        string name = text.TrimEnd('.');
        if (!name.Contains('.', StringComparison.Ordinal) || IPAddress.TryParse(name, out _)) return null;
        try
        {
            name = new IdnMapping { UseStd3AsciiRules = true }.GetAscii(name).ToLowerInvariant();
        }
        catch (ArgumentException)
        {
            return null;
        }

        // An address in disguise ends in a label of digits.
        bool isAddress = !name.AsSpan()[(name.LastIndexOf('.') + 1)..].ContainsAnyExceptInRange('0', '9');
        return name.Length <= MaxName && !isAddress ? name : null;
    }

    /// <summary>Finds the drive of a name.</summary>
    /// <exception cref="DatException">NotFound: it stands for none, and never did here; Offline: nobody could be asked; Invalid: it is no name.</exception>
    public async Task<ResolvedName> ResolveAsync(string text, CancellationToken ct)
    {
        string name = Normal(text) ?? throw new DatException(DatError.Invalid, $"'{text}' is no host name");
        DateTimeOffset now = _options.Time.GetUtcNow();
        CachedName? known = _cache.Find(name);
        FeedKey? before = known?.FeedKey;
        if (known is not null && now < known.Expires && known.LearntAt <= now)
            return before is { } key ? Answer(name, key, "cache", known, null) : throw Nothing(name);
        if (_options.Offline)
            return before is { } kept ? Answer(name, kept, "cache", known!, "nobody is asked while offline") : throw new DatException(DatError.Offline, $"{name} is not known here, and nobody is asked while offline");

        (NameAnswer? found, string problem, bool sure) = await AskAsync(name, ct);
        if (found is { } answer)
        {
            CachedName fresh = new(name, NameCache.Text(answer.Key), now, now + answer.Life);
            _cache.Put(fresh);
            return new ResolvedName(name, answer.Key, answer.Source, TimeSpan.Zero, fresh.Expires, null, before is { } other && other != answer.Key ? other : null, answer.Ambiguous);
        }

        if (before is { } last) return Answer(name, last, "cache", known!, problem);
        if (!sure) throw new DatException(DatError.Offline, $"{name} could not be looked up: {problem}");
        _cache.Put(new CachedName(name, null, now, now + MissLife));
        throw Nothing(name);
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private static DatException Nothing(string name) =>
        new(DatError.NotFound, $"{name} stands for no drive: it has no TXT record datkey=… and no file /.well-known/dat");

    private ResolvedName Answer(string name, FeedKey key, string source, CachedName cached, string? problem) =>
        new(name, key, source, _options.Time.GetUtcNow() - cached.LearntAt, cached.Expires, problem, null, false);

    /// <summary>Asks the name servers, then the host. Sure = somebody who must know said that there is nothing.</summary>
    private async Task<(NameAnswer? Found, string Problem, bool Sure)> AskAsync(string name, CancellationToken ct)
    {
        (NameAnswer? record, string? dnsProblem) = await AskProvidersAsync(name, ct);
        if (record is not null) return (record, "", true);
        Uri place = new($"https://{name}/.well-known/dat");
        (HttpStatusCode? status, string body, string? problem) = await GetAsync(place, null, ct);
        if (status == HttpStatusCode.OK)
            return NameAnswer.TryReadFile(body, out NameAnswer file) ? (file, "", true) : (null, $"{place} does not begin with dat:// and a key", true);
        if (status is HttpStatusCode.NotFound or HttpStatusCode.Gone) return (null, $"{place} is not there", dnsProblem is null);
        return (null, $"{place} {problem ?? $"answered {(int)status!.Value}"}{(dnsProblem is null ? "" : "; " + dnsProblem)}", false);
    }

    // The first that answers counts, whatever it says; the next is asked when one fails or takes its time.
    private async Task<(NameAnswer? Found, string? Problem)> AskProvidersAsync(string name, CancellationToken ct)
    {
        using CancellationTokenSource enough = CancellationTokenSource.CreateLinkedTokenSource(ct);
        List<Task<(NameAnswer? Found, string? Problem)>> asked = [];
        string? last = _options.Providers.Count == 0 ? "no name server is configured" : null;
        int next = 0;
        while (next < _options.Providers.Count || asked.Count > 0)
        {
            if (next < _options.Providers.Count) asked.Add(AskProviderAsync(_options.Providers[next++], name, enough.Token));
            Task slow = next < _options.Providers.Count ? Task.Delay(Stagger, _options.Time, enough.Token) : Task.Delay(Timeout.Infinite, enough.Token);
            Task first = await Task.WhenAny([.. asked, slow]);
            ct.ThrowIfCancellationRequested();
            if (first == slow) continue;
            Task<(NameAnswer? Found, string? Problem)> done = (Task<(NameAnswer?, string?)>)first;
            asked.Remove(done);
            (NameAnswer? found, last) = await done;
            if (last is not null) continue;
            await enough.CancelAsync();
            return (found, null);
        }

        await enough.CancelAsync();
        return (null, last);
    }

    private async Task<(NameAnswer? Found, string? Problem)> AskProviderAsync(Uri provider, string name, CancellationToken ct)
    {
        Uri question = new($"{provider}?name={name}.&type=TXT");
        (HttpStatusCode? status, string body, string? problem) = await GetAsync(question, "application/dns-json", ct);
        if (status != HttpStatusCode.OK) return (null, $"{provider.Host} {problem ?? $"answered {(int)status!.Value}"}");
        return NameAnswer.TryReadRecords(body, out NameAnswer? found) ? (found, null) : (null, $"{provider.Host} answered something that is no answer");
    }

    private async Task<(HttpStatusCode? Status, string Body, string? Problem)> GetAsync(Uri place, string? accept, CancellationToken ct)
    {
        using CancellationTokenSource patience = new(Limit, _options.Time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, patience.Token);
        try
        {
            using HttpRequestMessage request = new(HttpMethod.Get, place);
            if (accept is not null) request.Headers.Accept.ParseAdd(accept);
            using HttpResponseMessage response = await _http.SendAsync(request, either.Token);
            return (response.StatusCode, await response.Content.ReadAsStringAsync(either.Token), null);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return (null, "", $"did not answer within {Limit.TotalSeconds:0} s");
        }
        catch (OperationCanceledException)
        {
            return (null, "", "was not waited for");
        }
        catch (Exception failure) when (failure is HttpRequestException or InvalidOperationException or IOException)
        {
            return (null, "", "could not be asked: " + (failure.InnerException?.Message ?? failure.Message));
        }
    }
}
