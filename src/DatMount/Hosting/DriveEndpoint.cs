using DatFs;
using DatFs.Crypto;
using DatMount.Commands;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace DatMount.Hosting;

/// <summary>
/// The part of the control endpoint that works on the drive, as <see cref="DriveElsewhere"/> asks for it: GET /drive/writer, writers, conflicts, log;
/// POST authorize, ignore, resolve; PUT and DELETE /drive/file. What is refused comes as 409 with a <see cref="FailureReply"/>.
/// </summary>
internal static class DriveEndpoint
{
    public static void Map(WebApplication web, IActivity activity)
    {
        web.MapGet("/drive/writer", (CancellationToken ct) => AnswerAsync(activity, async drive => Results.Ok(await drive.WriterAsync(ct))));
        web.MapGet("/drive/writers", (CancellationToken ct) => AnswerAsync(activity, async drive => Results.Ok(await drive.WritersAsync(ct))));
        web.MapGet("/drive/conflicts", (CancellationToken ct) => AnswerAsync(activity, async drive => Results.Ok(await drive.ConflictsAsync(ct))));
        web.MapGet("/drive/log", (string? path, int limit, CancellationToken ct) => AnswerAsync(activity, async drive => Results.Ok(await drive.LogAsync(path, limit, ct))));
        web.MapPost("/drive/authorize", (AuthorizeRequest request, CancellationToken ct) =>
            AnswerAsync(activity, async drive => Results.Ok(new AuthorizeReply(await drive.AuthorizeAsync(Key(request.Key), request.Label, ct)))));
        web.MapPost("/drive/ignore", (IgnoreRequest request, CancellationToken ct) => AnswerAsync(activity, async drive =>
        {
            await drive.IgnoreAsync(Key(request.Key), request.From, ct);
            return Results.Ok();
        }));
        web.MapPut("/drive/file", (HttpContext call, string path, uint? mode, long? mtime) =>
            AnswerAsync(activity, async drive => Results.Ok(new VersionReply(await drive.PutAsync(path, FileOf(call), mode, mtime, call.RequestAborted)))));
        web.MapPost("/drive/resolve", (HttpContext call, string path, string? take, bool? merged) =>
            AnswerAsync(activity, async drive => Results.Ok(new VersionReply(await drive.ResolveAsync(path, take, merged ?? false, FileOf(call), call.RequestAborted)))));
        web.MapDelete("/drive/file", (string path, CancellationToken ct) => AnswerAsync(activity, async drive => Results.Ok(new VersionReply(await drive.RemoveAsync(path, ct)))));
    }

    private static Stream FileOf(HttpContext call)
    {
        // The file is as large as it is.
        if (call.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = null;
        return call.Request.Body;
    }

    private static async Task<IResult> AnswerAsync(IActivity activity, Func<IOpenDrive, Task<IResult>> answer)
    {
        if (activity.Session is not { } session) return Refusal(new CommandException(ExitCode.NotFound, "the drive is not open yet; try again in a moment"));
        try
        {
            return await answer(new DriveHere(session, owned: false));
        }
        catch (Exception failure) when (failure is DatException or CommandException or IOException or UnauthorizedAccessException)
        {
            return Refusal(failure);
        }
    }

    private static IResult Refusal(Exception failure)
    {
        (ExitCode code, string message) = Failure.Describe(failure);
        return Results.Json(new FailureReply((int)code, message), ControlJson.Default.FailureReply, statusCode: StatusCodes.Status409Conflict);
    }

    private static FeedKey Key(string text) => FeedKey.TryParseHex(text, out FeedKey key) ? key : throw new CommandException(ExitCode.Usage, "a writer's key has 64 hexadecimal digits");
}
