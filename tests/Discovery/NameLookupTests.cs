using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using DatFs.Crypto;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Xunit;

namespace DatMount.Discovery;

/// <summary>The program is given the name of a host, and asks a name server of the test's over HTTPS that has a certificate of the test's own authority.</summary>
public sealed class NameLookupTests : IAsyncLifetime
{
    private const string Host = "archive.example";

    private readonly TempFolder _owner = TempFolder.Create("names-owner"), _reader = TempFolder.Create("names-reader");
    private readonly string _key = Vectors.Json("hyperdrive/basic/manifest.json").GetProperty("key").GetString()!;
    private WebApplication _server = null!;
    private volatile string _named = "";
    private volatile string _file = "";
    private ConnectProxy _proxy = null!;
    private int _asked;

    public async ValueTask InitializeAsync()
    {
        _named = _key;
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        using X509Certificate2 certificate = OwnCertificate();
        File.WriteAllText(_reader.File("authority.pem"), certificate.ExportCertificatePem());
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, port => port.UseHttps(X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null))));
        _server = builder.Build();
        _server.MapGet("/dns-query", async (HttpContext context) =>
        {
            Interlocked.Increment(ref _asked);
            string answer = _named.Length == 0 ? """{"Status": 3}""" : $$"""{"Status": 0, "Answer": [{"data": "\"datkey={{_named}}\"", "TTL": 0}]}""";
            if (context.Request.Query["name"] != Host + "." || context.Request.Headers.Accept != "application/dns-json") answer = """{"Status": 5}""";
            await context.Response.WriteAsync(answer);
        });
        _server.MapGet("/.well-known/dat", () => _file.Length == 0 ? Results.NotFound() : Results.Text(_file));
        await _server.StartAsync();
        _proxy = new ConnectProxy(new Uri(_server.Urls.Single()).Port);
        string port = new Uri(_server.Urls.Single()).Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
        File.WriteAllText(_reader.File("own.json"), $$"""{"discovery": {"sources": [] }, "names": { "servers": ["https://127.0.0.1:{{port}}/dns-query"] } }""");
    }

    public async ValueTask DisposeAsync()
    {
        await _proxy.DisposeAsync();
        await _server.DisposeAsync();
        _owner.Dispose();
        _reader.Dispose();
    }

    [Fact]
    public async Task A_name_is_as_good_as_a_key_and_goes_on_working_when_nobody_answers()
    {
        await using Datmount share = Share();
        string address = (await share.LineAsync("sharing")).Split(' ')[^1];
        (int code, string errors) = await ExportAsync("dat://" + Host, "--peer", address);
        (code, _asked).Should().Be((0, 1), "{0}", errors);
        Directory.GetFileSystemEntries(_reader.File("out")).Should().NotBeEmpty();

        await _server.StopAsync(TestContext.Current.CancellationToken);
        (code, errors) = await ExportAsync(Host, "--peer", address);
        code.Should().Be(0, "{0}", errors);
        errors.Should().Contain(Host + " is taken for what it stood for").And.NotContain(_key);
        (await ExportAsync("dat://unknown.example", "--peer", address)).Code.Should().Be(3);
    }

    [Fact]
    public async Task A_name_that_stands_for_another_drive_by_now_is_told_and_nothing_open_changes()
    {
        await using Datmount share = Share();
        string address = (await share.LineAsync("sharing")).Split(' ')[^1];
        (await ExportAsync(Host, "--peer", address)).Code.Should().Be(0);

        _named = new string('7', 64);
        (int code, string errors) = await ExportAsync(Host, "--peer", address, "--io-timeout", "2s");
        code.Should().Be(3, "the other drive is not shared there");
        FeedKey.TryParseHex(_key, out FeedKey before).Should().BeTrue();
        errors.Should().Contain($"{Host} stood for the drive {before.ToDiscoveryKey()}").And.NotContain(_key);
    }

    [Fact]
    public async Task Without_a_record_the_host_s_own_file_names_the_drive()
    {
        (_named, _file) = ("", $"dat://{_key}\nttl=60\n");
        await using Datmount share = Share();
        string address = (await share.LineAsync("sharing")).Split(' ')[^1];
        (int code, string errors) = await ExportAsync(Host, "--peer", address);
        code.Should().Be(0, "{0}", errors);
        _proxy.Asked.Should().Equal(Host + ":443");
    }

    [Fact]
    public async Task A_name_that_stands_for_nothing_is_code_3_and_says_what_is_missing()
    {
        _named = "";
        (int code, string errors) = await ExportAsync(Host);
        code.Should().Be(3);
        errors.Should().Contain(Host);
    }

    [Fact]
    public async Task A_certificate_of_nobody_known_is_not_believed()
    {
        await using Datmount export = Datmount.Start(["env", "https_proxy=http://127.0.0.1:" + _proxy.Port, "no_proxy=127.0.0.1"], _reader, null, ["export", Host, _reader.File("out"), "--config", _reader.File("own.json")]);
        (await export.ExitAsync()).Should().Be(3);
        _asked.Should().Be(0);
    }

    private Datmount Share()
    {
        string folder = _owner.File("drive");
        CopyFolder(Vectors.PathOf("hyperdrive/basic/archive"), folder);
        return Datmount.Start(_owner, "share", folder, "--listen", "127.0.0.1:0");
    }

    private async Task<(int Code, string Errors)> ExportAsync(string drive, params string[] options)
    {
        // Hosts are reached through the proxy, so that no name of the test's is looked up outside.
        string[] trusting = ["env", "SSL_CERT_FILE=" + _reader.File("authority.pem"), "https_proxy=http://127.0.0.1:" + _proxy.Port, "no_proxy=127.0.0.1"];
        await using Datmount export = Datmount.Start(trusting, _reader, null, ["export", drive, _reader.File("out"), "--config", _reader.File("own.json"), .. options]);
        return (await export.ExitAsync(), export.Errors);
    }

    private static X509Certificate2 OwnCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=test", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName(Host);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string folder in Directory.GetDirectories(from)) CopyFolder(folder, Path.Combine(to, Path.GetFileName(folder)));
        foreach (string file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
