using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using DatFs.Crypto;
using DatFs.Drives;

namespace DatMount.Commands;

/// <summary>"datmount create": a new drive, which several machines may come to write.</summary>
internal static class CreateCommand
{
    private const string Help =
        """
        Make a new drive and print its link. Whoever has the link can read it; who may write is said with 'datmount authorize'.

        Examples:
          datmount create --name holiday
          datmount create ~/drives/holiday
        """;

    public static Command Create()
    {
        Argument<string?> folder = new("folder") { Description = "Keep the drive's feeds in this new folder instead of the user's data folder.", Arity = ArgumentArity.ZeroOrOne };
        Option<string?> name = new("--name") { Description = "What other commands may call the drive.", HelpName = "name" };
        Option<string?> storage = new("--storage") { Description = "Keep drives in this folder instead of the user's data folder.", HelpName = "folder" };
        Option<bool> json = DriveCommand.Json();
        Command command = new("create", Help) { folder, name, storage, json };
        command.SetAction(async (parsed, ct) =>
        {
            DriveOpenOptions options = new() { StorageRoot = parsed.GetValue(storage) is { } root ? Path.GetFullPath(root) : null, Purpose = "being made" };
            FeedKey key = await DriveOpener.CreateAsync(parsed.GetValue(folder) is { } place ? Path.GetFullPath(place) : null, parsed.GetValue(name), options, ct);
            string link = "dat://" + key.ToHex();
            await Console.Out.WriteLineAsync(parsed.GetValue(json) ? JsonSerializer.Serialize(new CreatedDrive(link, key.ToDiscoveryKey().ToHex()), CreateJson.Default.CreatedDrive) : link);
            return (int)ExitCode.Done;
        });
        return command;
    }
}

/// <summary>What "create --json" prints.</summary>
internal sealed record CreatedDrive(string Link, string DiscoveryKey);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(CreatedDrive))]
internal sealed partial class CreateJson : JsonSerializerContext;
