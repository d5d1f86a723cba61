using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace DatFs.Discovery.Dns;

/// <summary>
/// One DNS discovery server, at all addresses its host name has (discovery.md §5, §10). Announces and looks up every
/// topic in rounds, and takes the server's pushes in between. Everything happens in callbacks of the client, of timers and of callers, none
/// of which waits: state is under one lock, and nothing is called while it is held.
/// </summary>
internal sealed partial class DnsSource : IPeerSource, IPushTaker
{
    /// <summary>Time between two rounds of a topic; the reference server forgets subscriptions after 60 s.</summary>
    public static readonly TimeSpan Refresh = TimeSpan.FromSeconds(45);

    /// <summary>Pause before a failed round is repeated while the breaker is closed, times the failures in a row.</summary>
    public static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    /// <summary>Time an unannounce may take when the source is disposed.</summary>
    public static readonly TimeSpan FarewellLimit = TimeSpan.FromSeconds(1);

    /// <summary>Time a host name's resolution may take.</summary>
    public static readonly TimeSpan ResolveLimit = TimeSpan.FromSeconds(2);

    /// <summary>When a host name is resolved again though its addresses work.</summary>
    public static readonly TimeSpan ResolveAgain = TimeSpan.FromMinutes(10);

    /// <summary>Addresses of a host name that are used.</summary>
    public const int MaxAddresses = 8;

    /// <summary>Length of a token that is kept; the reference's have 44 characters.</summary>
    public const int MaxToken = 128;

    private readonly DnsClient _client;
    private readonly DnsServerAddress _server;
    private readonly DnsSourceOptions _options;
    private readonly SourceBreaker _breaker;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, List<Search>> _searches = [];
    private readonly CancellationTokenSource _ending = new();
    private Endpoint[] _endpoints = [];
    private bool _resolving;
    private long? _resolvedAt;
    private string? _unresolved;
    private long _failureCountedAt = long.MinValue;
    private long _answeredAt = long.MinValue;
    private int _farewells;
    private TaskCompletionSource? _silent;
    private bool _disposed;

    public DnsSource(DnsClient client, DnsServerAddress server, DnsSourceOptions options)
    {
        (_client, _server, _options) = (client, server, options);
        _breaker = new SourceBreaker(options.Time, options.Random);
        Name = "dns " + (server.Secondary == DnsServerAddress.DefaultSecondary && server.Port == DnsServerAddress.DefaultPort ? server.Host : server.ToString());
        if (IPAddress.TryParse(server.Host, out IPAddress? address) && address.AddressFamily == AddressFamily.InterNetwork) Use([address]);
        else Use(options.LastGood);
        client.Add(this);
    }

    /// <inheritdoc/>
    public SourceKind Kind => SourceKind.Dns;

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public SourceStatus Status
    {
        get
        {
            lock (_gate)
            {
                return _breaker.Status(_unresolved is not null
                    ? $"check the name {_server.Host} and this machine's name servers, or take the server out of the configuration"
                    : $"check that a discovery server runs at {_server} and that UDP gets there and back, or take it out of the configuration");
            }
        }
    }

    private bool HasName => !IPAddress.TryParse(_server.Host, out _);

    /// <inheritdoc/>
    public IPeerSearch Join(SwarmTopic topic, int port, Action<PeerSighting> found)
    {
        Search search = new(this, $"{topic.Name}.{_options.Domain}", port, found);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ref List<Search>? same = ref CollectionsMarshal.GetValueRefOrAddDefault(_searches, search.DnsName, out _);
            (same ??= []).Add(search);
        }

        BeginRound(search);
        return search;
    }

    /// <inheritdoc/>
    public void Wake()
    {
        _breaker.Reset();
        lock (_gate) _resolvedAt = null;
        foreach (Search search in All()) BeginRound(search);
    }

    /// <inheritdoc/>
    public bool IsServer(IPAddress address)
    {
        lock (_gate) return _endpoints.Any(one => one.Address.Equals(address));
    }

    /// <inheritdoc/>
    public void Pushed(DnsService service, IPEndPoint from)
    {
        if (service.Peer is not { } peer) return;
        Search[] searches;
        lock (_gate) searches = _searches.TryGetValue(service.Name, out List<Search>? same) ? [.. same] : [];
        foreach (Search search in searches) search.Tell(peer, from);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        foreach (Search search in All()) await search.DisposeAsync();
        Task silent;
        lock (_gate)
        {
            _silent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_farewells == 0) _silent.SetResult();
            silent = _silent.Task;
        }

        await silent;
        _client.Remove(this);
        await _ending.CancelAsync();
        _ending.Dispose();
    }

    private Search[] All()
    {
        lock (_gate) return [.. _searches.Values.SelectMany(same => same)];
    }

    /// <summary>Asks for a topic at all addresses, unless that is under way or an open breaker keeps a mere refresh back.</summary>
    private void BeginRound(Search search, bool refresh = false)
    {
        Endpoint[] endpoints;
        bool resolve;
        lock (_gate)
        {
            if (search.Closed || search.Open > 0) return;
            if (refresh && !_breaker.TryEnter())
            {
                search.Wait(Later(RetryPause));
                return;
            }

            resolve = HasName && !_resolving && (_resolvedAt is not { } at || _options.Time.GetElapsedTime(at) >= ResolveAgain);
            _resolving |= resolve;
            endpoints = _endpoints;
            search.Begin(endpoints.Length);
        }

        if (resolve) _ = ResolveAsync();
        foreach (Endpoint endpoint in endpoints) Send(search, endpoint, search.Port > 0 ? Verb.Announce : Verb.Lookup, resent: 0);
    }

    private TimeSpan Later(TimeSpan least) => _breaker.Pause is { } pause && pause > least ? pause : least;

    private enum Verb
    {
        Lookup,
        Announce,
        Unannounce,
    }

    private void Send(Search search, Endpoint endpoint, Verb verb, int resent)
    {
        string? token;
        IPEndPoint first;
        IPEndPoint? second;
        lock (_gate) (token, first, second) = (endpoint.Token, endpoint.First, endpoint.Second);
        TimeSpan limit = verb == Verb.Unannounce ? FarewellLimit : DnsClient.Limit;
        long started = _options.Time.GetTimestamp();
        _client.Ask(id => Message(id, search, verb, token), first, second, limit, reply => Took(search, endpoint, verb, token, resent, started, reply));
    }

    /// <summary>Without a token there is nothing a server would act on: the bare question asks for one.</summary>
    private static DnsMessage Message(ushort id, Search search, Verb verb, string? token)
    {
        string[] strings = verb switch
        {
            Verb.Announce => ["subscribe=true", $"token={token}", $"announce={search.Port}"],
            Verb.Unannounce => [$"token={token}", $"unannounce={search.Port}"],
            _ => ["subscribe=true", $"token={token}"],
        };
        return new DnsMessage
        {
            Id = id,
            Flags = DnsMessage.QueryFlags,
            Questions = [new DnsQuestion(search.DnsName, DnsType.Txt)],
            Additionals = token is null ? [] : [new DnsText(search.DnsName, strings)],
        };
    }

    private void Took(Search search, Endpoint endpoint, Verb verb, string? sent, int resent, long started, DnsReply reply)
    {
        if (reply.From is null)
        {
            lock (_gate) endpoint.Forget();
            (long unsent, string? why) = _client.Unsent;
            End(search, verb, started, unsent > 0 && why is not null ? "no answer: " + why : "no answer");
            return;
        }

        // A reply that cannot be read still tells that the server lives; other names may fare better.
        DnsText? answer = reply.Message?.Answers is [DnsText first, ..] ? first : null;
        string? token = answer?["token"] is { Length: > 0 and <= MaxToken } given ? given : null;
        bool again;
        lock (_gate)
        {
            endpoint.Prefer(reply.From);
            if (token is not null) endpoint.Token = token;
            again = token is not null && token != sent && resent < 2 && !search.Closed;
        }

        if (verb != Verb.Unannounce && answer is not null)
        {
            foreach (Ipv4Peer peer in answer.Peers) search.Tell(peer, reply.From);
        }

        if (again)
        {
            Send(search, endpoint, verb, resent + 1);
            return;
        }

        bool wrongDomain = reply.Message is not null && answer is null;
        if (!wrongDomain) Answered(reply.RoundTrip);
        if (token is not null && token == sent) search.Accepted(verb);
        End(search, verb, started, wrongDomain ? $"it answers, but does not serve {_options.Domain}" : null);
    }

    private void Answered(TimeSpan roundTrip)
    {
        bool revived = _breaker.Status(null).Health == SourceHealth.Down;
        _breaker.Answered(roundTrip);
        lock (_gate) _answeredAt = _options.Time.GetTimestamp();
        if (!revived) return;
        // The others waited for this one to try.
        foreach (Search search in All())
            if (search.Overdue) BeginRound(search);
    }

    /// <summary>One address has answered or not. The last of a round decides when the next one is.</summary>
    private void End(Search search, Verb verb, long started, string? problem)
    {
        if (verb == Verb.Unannounce)
        {
            lock (_gate)
            {
                if (--_farewells == 0) _silent?.TrySetResult();
            }

            return;
        }

        if (!search.EndOne(problem, out string? failed)) return;
        if (failed is null)
        {
            search.Wait(Refresh - Refresh * 0.1 * _options.Random());
            return;
        }

        Failed(started, failed);
        search.Wait(Later(RetryPause * Math.Max(1, _breaker.Status(null).Failures)));
    }

    /// <summary>Many topics that fail together are one failure, and none when the server answered another meanwhile.</summary>
    private void Failed(long started, string problem)
    {
        lock (_gate)
        {
            if (_answeredAt > started || _failureCountedAt > started) return;
            _failureCountedAt = _options.Time.GetTimestamp();
            _resolvedAt = null;
        }

        _breaker.Failed(problem);
    }

    private async Task ResolveAsync()
    {
        IPAddress[] addresses = [];
        string? problem = null;
        try
        {
            // Not every resolver heeds the token.
            addresses = await _options.Resolver(_server.Host, _ending.Token).WaitAsync(ResolveLimit, _options.Time, _ending.Token);
            addresses = [.. addresses.Where(one => one.AddressFamily == AddressFamily.InterNetwork).Distinct().Take(MaxAddresses)];
            if (addresses.Length == 0) problem = $"{_server.Host} has no IPv4 address";
        }
        catch (TimeoutException)
        {
            problem = $"{_server.Host} was not resolved within {ResolveLimit.TotalSeconds:0} s";
        }
        catch (Exception failure) when (failure is SocketException or OperationCanceledException or ObjectDisposedException or ArgumentException)
        {
            problem = $"{_server.Host} was not resolved: {failure.Message}";
        }

        bool changed = problem is null && Use(addresses);
        bool none;
        lock (_gate)
        {
            _resolving = false;
            _unresolved = problem;
            if (problem is null) _resolvedAt = _options.Time.GetTimestamp();
            none = _endpoints.Length == 0;
        }

        if (changed) _options.Resolved?.Invoke(addresses);
        if (none) _breaker.Failed(problem ?? "no address");
        foreach (Search search in All())
        {
            if (none) search.Wait(Later(RetryPause));
            else if (changed) BeginRound(search);
        }
    }

    /// <summary>Replaces the addresses, keeping what is known of those that stay; true when any changed.</summary>
    private bool Use(IReadOnlyList<IPAddress> addresses)
    {
        lock (_gate)
        {
            Endpoint[] before = _endpoints;
            _endpoints = [.. addresses.Take(MaxAddresses).Select(address => before.FirstOrDefault(one => one.Address.Equals(address)) ?? new Endpoint(address, _server))];
            return before.Length != _endpoints.Length || _endpoints.Any(one => !before.Contains(one));
        }
    }
}
