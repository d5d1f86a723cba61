using System.Globalization;
using DatFs.Drives;
using DatMount.Commands;

namespace DatMount.Hosting;

/// <summary>A version as typed: its number, what names it everywhere or the short alias of that, or a time of which it was the newest ("2018-01-24T17:30Z").</summary>
internal static class VersionArgument
{
    public static async ValueTask<long> ResolveAsync(string typed, IDrive drive, TimeProvider time, CancellationToken ct)
    {
        if (await drive.VersionOfAsync(typed, ct) is { } named) return named;
        if (long.TryParse(typed, NumberStyles.None, CultureInfo.InvariantCulture, out long number)) return number;
        if (!DateTimeOffset.TryParse(typed, CultureInfo.InvariantCulture, DateTimeStyles.AssumeLocal, out DateTimeOffset moment))
            throw new CommandException(ExitCode.Usage, $"'{typed}' is neither a version number nor a time such as 2018-01-24T17:30Z");
        return moment > time.GetUtcNow() ? drive.Live.Version : await drive.VersionAtAsync(moment, ct);
    }
}
