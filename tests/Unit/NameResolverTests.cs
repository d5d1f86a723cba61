using System.Net;
using DatFs.Discovery.Names;
using DatFs.Evidence;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Names looked up at servers of the test's, with a clock that only the test moves (discovery.md §9).</summary>
public sealed class NameResolverTests : IDisposable
{
    private const string Name = "archive.example";
    private static readonly string s_key = new('a', 64), s_other = new('b', 64);

    private readonly TempFolder _state = TempFolder.Create("names");
    private readonly FakeTimeProvider _time = new(DateTimeOffset.Parse("2018-01-24T12:00:00Z", System.Globalization.CultureInfo.InvariantCulture));
    private readonly Web _web;

    public NameResolverTests() => _web = new Web(_time);

    public void Dispose()
    {
        _web.Dispose();
        _state.Dispose();
    }

    [Theory]
    [InlineData("\"datkey={0}\"")]
    [InlineData("datkey={0}")]
    [InlineData("v=spf1 datkey={0} and more")]
    [InlineData("datkey=short datkey={0}")]
    public async Task A_record_names_the_drive_wherever_the_key_stands_in_it(string record)
    {
        _web.Records = Records((record.Replace("{0}", s_key, StringComparison.Ordinal), 300));
        ResolvedName found = await Resolve();
        (found.Key.ToHex(), found.Source, found.Problem, found.Ambiguous).Should().Be((s_key, "dns", null, false));
        (found.Expires - _time.GetUtcNow()).Should().Be(TimeSpan.FromSeconds(300));
        _web.Asked.Should().Equal($"https://one.test/dns-query?name={Name}.&type=TXT");
    }

    [Theory]
    [InlineData("datkey=aaaa")]
    [InlineData("datkey={0}a")]
    [InlineData("key={0}")]
    public async Task A_record_without_a_whole_key_is_none(string record)
    {
        _web.Records = Records((record.Replace("{0}", s_key, StringComparison.Ordinal), 300));
        (await Failure()).Error.Should().Be(DatError.NotFound);
    }

    [Fact]
    public async Task The_first_of_several_keys_counts_and_is_called_ambiguous()
    {
        _web.Records = Records(("datkey=" + s_key, 300), ("datkey=" + s_other, 300));
        ResolvedName found = await Resolve();
        (found.Key.ToHex(), found.Ambiguous).Should().Be((s_key, true));
    }

    [Theory]
    [InlineData("dat://{0}", 3600)]
    [InlineData("dat://{0}/\nttl=60", 60)]
    [InlineData("DAT://{0}+5/path\r\nTTL=60\r\n", 60)]
    [InlineData("dat://{0}\nttl=soon", 3600)]
    [InlineData("dat://{0}\nttl=-1", 3600)]
    [InlineData("dat://{0}\nttl=99999999", 7 * 24 * 3600)]
    public async Task Without_a_record_the_host_s_own_file_counts(string file, int seconds)
    {
        _web.File = (HttpStatusCode.OK, file.Replace("{0}", s_key, StringComparison.Ordinal));
        ResolvedName found = await Resolve();
        (found.Key.ToHex(), found.Source).Should().Be((s_key, "https"));
        (found.Expires - _time.GetUtcNow()).Should().Be(TimeSpan.FromSeconds(seconds));
        _web.Asked[^1].Should().Be($"https://{Name}/.well-known/dat");
    }

    [Theory]
    [InlineData("hello")]
    [InlineData("")]
    [InlineData("dat://aaaa")]
    [InlineData("dat://{0}a")]
    public async Task A_file_without_a_whole_key_is_none(string file)
    {
        _web.File = (HttpStatusCode.OK, file.Replace("{0}", s_key, StringComparison.Ordinal));
        (await Failure()).Error.Should().Be(DatError.NotFound);
    }

    [Fact]
    public async Task An_answer_is_remembered_for_its_time_across_restarts_and_then_asked_for_again()
    {
        _web.Records = Records(("datkey=" + s_key, 300));
        await Resolve();
        _time.Advance(TimeSpan.FromSeconds(299));
        (await Resolve()).Source.Should().Be("cache");
        _web.Asked.Should().ContainSingle();
        _time.Advance(TimeSpan.FromSeconds(1));
        (await Resolve()).Source.Should().Be("dns");
        _web.Asked.Should().HaveCount(2);
        if (!OperatingSystem.IsWindows()) File.GetUnixFileMode(_state.File(NameCache.FileName)).Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public async Task That_there_is_nothing_is_remembered_for_a_minute()
    {
        await Failure();
        int asked = _web.Asked.Count;
        _time.Advance(TimeSpan.FromSeconds(59));
        (await Failure()).Error.Should().Be(DatError.NotFound);
        _web.Asked.Should().HaveCount(asked);
        _time.Advance(TimeSpan.FromSeconds(1));
        await Failure();
        _web.Asked.Should().HaveCount(2 * asked);
    }

    [Fact]
    public async Task A_name_that_stops_resolving_goes_on_meaning_the_same_drive_and_says_so()
    {
        _web.Records = Records(("datkey=" + s_key, 300));
        await Resolve();
        _web.Records = null;
        _web.File = (HttpStatusCode.InternalServerError, "");
        _time.Advance(TimeSpan.FromDays(90));
        ResolvedName found = await Resolve();
        (found.Key.ToHex(), found.Source, found.Age).Should().Be((s_key, "cache", TimeSpan.FromDays(90)));
        found.Problem.Should().NotBeNullOrEmpty();
    }

    [Fact]
    public async Task A_name_that_stands_for_another_drive_is_told_together_with_the_one_before()
    {
        _web.Records = Records(("datkey=" + s_key, 1));
        (await Resolve()).Before.Should().BeNull();
        _web.Records = Records(("datkey=" + s_other, 1));
        _time.Advance(TimeSpan.FromSeconds(2));
        ResolvedName found = await Resolve();
        (found.Key.ToHex(), found.Before!.Value.ToHex()).Should().Be((s_other, s_key));
        _time.Advance(TimeSpan.FromSeconds(2));
        (await Resolve()).Before.Should().BeNull("it was told");
    }

    [Fact]
    public async Task A_silent_server_costs_the_stagger_and_no_more()
    {
        _web.Silent = "one.test";
        _web.Records = Records(("datkey=" + s_key, 300));
        Task<ResolvedName> asking = Resolve("https://one.test/dns-query", "https://two.test/dns-query");
        _time.Advance(NameResolver.Stagger - TimeSpan.FromMilliseconds(1));
        _web.Asked.Should().ContainSingle();
        _time.Advance(TimeSpan.FromMilliseconds(1));
        (await asking).Source.Should().Be("dns");
        _web.Asked.Should().HaveCount(2);
    }

    [Fact]
    public async Task A_server_that_fails_hands_over_at_once()
    {
        _web.Broken = "one.test";
        _web.Records = Records(("datkey=" + s_key, 300));
        (await Resolve("https://one.test/dns-query", "https://two.test/dns-query")).Source.Should().Be("dns");
        _web.Asked.Should().HaveCount(2);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{\"Status\": 2}")]
    [InlineData("{\"Answer\": [{\"data\": 5}]}")]
    public async Task An_answer_that_is_none_is_no_proof_that_there_is_nothing(string json)
    {
        _web.Records = json;
        (await Failure()).Error.Should().Be(DatError.Offline);
    }

    [Fact]
    public async Task Every_server_silent_ends_after_the_limits()
    {
        _web.Silent = "";
        Task<DatException> failing = Failure();
        // A name server, then the host itself.
        for (int i = 0; i < 2; i++)
        {
            await _web.Waiting.WaitAsync(TestContext.Current.CancellationToken);
            _time.Advance(NameResolver.Limit);
        }

        (await failing).Error.Should().Be(DatError.Offline);
    }

    [Fact]
    public async Task Answers_without_end_are_not_read()
    {
        _web.File = (HttpStatusCode.OK, $"dat://{s_key}\n" + new string('x', NameResolver.MaxAnswer));
        (await Failure()).Error.Should().Be(DatError.Offline);
    }

    [Fact]
    public async Task Offline_only_what_is_remembered_counts()
    {
        _web.Records = Records(("datkey=" + s_key, 1));
        await Resolve();
        _time.Advance(TimeSpan.FromDays(1));
        using NameResolver offline = new(new NameOptions { State = new DiskFolder(_state.Path), Offline = true, Time = _time, Http = _web });
        ResolvedName found = await offline.ResolveAsync(Name, TestContext.Current.CancellationToken);
        (found.Key.ToHex(), found.Problem).Should().Be((s_key, "nobody is asked while offline"));
        Func<Task> unknown = () => offline.ResolveAsync("other.example", TestContext.Current.CancellationToken);
        (await unknown.Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Offline);
        _web.Asked.Should().ContainSingle();
    }

    [Fact]
    public async Task A_damaged_memory_is_no_worse_than_none()
    {
        File.WriteAllText(_state.File(NameCache.FileName), """{"Names": [null, {"Name": null}, {"Name": "archive.example", "Key": "????", "LearntAt": "2018-01-24T11:59:00Z", "Expires": "2018-01-24T12:01:00Z"}]}""");
        (await Failure()).Error.Should().Be(DatError.NotFound);
        File.WriteAllText(_state.File(NameCache.FileName), "{");
        _web.Records = Records(("datkey=" + s_key, 1));
        (await Resolve()).Source.Should().Be("dns");
    }

    [Fact]
    public async Task The_memory_is_bounded()
    {
        using NameResolver resolver = Resolver("https://one.test/dns-query");
        for (int i = 0; i < NameCache.MaxNames + 20; i++)
        {
            _web.Records = Records(("datkey=" + s_key, 300));
            await resolver.ResolveAsync($"n{i}.example", TestContext.Current.CancellationToken);
            _time.Advance(TimeSpan.FromMilliseconds(1));
        }

        NameCache kept = new(new DiskFolder(_state.Path));
        (kept.Find("n0.example"), kept.Find("n19.example")).Should().Be((null, null));
        kept.Find("n20.example").Should().NotBeNull();
    }

    [Theory]
    [InlineData("Example.ORG.", "example.org")]
    [InlineData("bücher.example", "xn--bcher-kva.example")]
    [InlineData("localhost", null)]
    [InlineData("127.0.0.1", null)]
    [InlineData("10.1", null)]
    [InlineData("a..b", null)]
    [InlineData("-a.b", null)]
    [InlineData("a_b.c", null)]
    [InlineData("a b.c", null)]
    [InlineData("[::1].x", null)]
    public void Only_names_of_hosts_are_looked_up(string text, string? normal) => NameResolver.Normal(text).Should().Be(normal);

    private static string Records(params (string Data, int Ttl)[] records) =>
        $$"""{"Status": 0, "Answer": [{{string.Join(',', records.Select(record => $$"""{"name": "x", "type": 16, "TTL": {{record.Ttl}}, "data": {{System.Text.Json.JsonSerializer.Serialize(record.Data)}}}"""))}}]}""";

    private NameResolver Resolver(params string[] providers) =>
        new(new NameOptions { Providers = [.. providers.Select(text => new Uri(text))], State = new DiskFolder(_state.Path), Time = _time, Http = _web });

    private async Task<ResolvedName> Resolve(params string[] providers)
    {
        using NameResolver resolver = Resolver(providers.Length == 0 ? ["https://one.test/dns-query"] : providers);
        return await resolver.ResolveAsync(Name, TestContext.Current.CancellationToken);
    }

    private async Task<DatException> Failure()
    {
        Func<Task> resolve = () => Resolve();
        return (await resolve.Should().ThrowAsync<DatException>()).Which;
    }

    /// <summary>Name servers and the host itself. Without records a name server says that there are none.</summary>
    private sealed class Web(FakeTimeProvider time) : HttpMessageHandler
    {
        public string? Records { get; set; } = """{"Status": 3}""";

        public (HttpStatusCode Status, string Body) File { get; set; } = (HttpStatusCode.NotFound, "");

        /// <summary>A host that never answers; "" = all.</summary>
        public string? Silent { get; set; }

        /// <summary>A host that refuses.</summary>
        public string? Broken { get; set; }

        public List<string> Asked { get; } = [];

        /// <summary>One for each request that waits for a silent host.</summary>
        public SemaphoreSlim Waiting { get; } = new(0);

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Uri place = request.RequestUri!;
            Asked.Add(place.ToString());
            if (Silent == "" || Silent == place.Host)
            {
                Task never = Task.Delay(Timeout.InfiniteTimeSpan, time, cancellationToken);
                Waiting.Release();
                await never;
            }

            if (Broken == place.Host) throw new HttpRequestException("refused");
            if (place.AbsolutePath == "/.well-known/dat") return new HttpResponseMessage(File.Status) { Content = new StringContent(File.Body) };
            return Records is null ? new HttpResponseMessage(HttpStatusCode.ServiceUnavailable) : new HttpResponseMessage(HttpStatusCode.OK) { Content = new StringContent(Records) };
        }
    }
}
