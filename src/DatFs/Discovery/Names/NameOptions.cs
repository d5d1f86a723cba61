using DatFs.Storage;

namespace DatFs.Discovery.Names;

/// <summary>What a <see cref="NameResolver"/> needs from the world.</summary>
public sealed record NameOptions
{
    /// <summary>Resolvers of DNS over HTTPS that answer in JSON; asked in this order, the next when one fails or is slow.</summary>
    public static readonly IReadOnlyList<Uri> PublicProviders =
        [new("https://cloudflare-dns.com/dns-query"), new("https://dns.google/resolve"), new("https://dns.quad9.net:5053/dns-query")];

    /// <summary>Resolvers asked; none = only the host itself is.</summary>
    public IReadOnlyList<Uri> Providers { get; init; } = PublicProviders;

    /// <summary>Where names are remembered, in "names.json"; null = nowhere.</summary>
    public IStorageFolder? State { get; init; }

    /// <summary>Use only what is remembered.</summary>
    public bool Offline { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How HTTPS is spoken; null = with the system's certificates, no redirects followed.</summary>
    public HttpMessageHandler? Http { get; init; }
}

/// <summary>A name and the drive it stands for.</summary>
/// <param name="Name">In lower case, international names in their ASCII form.</param>
/// <param name="Key">The drive's key.</param>
/// <param name="Source">Who said so: "dns", "https" or "cache".</param>
/// <param name="Age">How long ago that was.</param>
/// <param name="Expires">When to ask again.</param>
/// <param name="Problem">Why an old answer had to do; null = the answer is good.</param>
/// <param name="Before">The drive that the name stood for until now, if it was another one.</param>
/// <param name="Ambiguous">The name servers gave more than one key; the first counts.</param>
public sealed record ResolvedName(string Name, Crypto.FeedKey Key, string Source, TimeSpan Age, DateTimeOffset Expires, string? Problem, Crypto.FeedKey? Before, bool Ambiguous);
