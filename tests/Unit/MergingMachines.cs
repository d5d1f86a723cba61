using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Drives.Hyperdb;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Machines in memory that write one drive, all let write by the first. They meet only when told to.</summary>
internal sealed class MergingMachines : IAsyncDisposable
{
    private readonly List<HyperdbDrive> _drives = [];

    public HyperdbDrive this[int machine] => _drives[machine];

    public int Count => _drives.Count;

    public static async Task<MergingMachines> StartAsync(int count)
    {
        MergingMachines machines = new();
        DatabaseOptions options = new() { ContentFeeds = true };
        for (int i = 0; i < count; i++)
        {
            byte[] seed = new byte[SecretKey.SeedSize];
            seed.AsSpan().Fill((byte)(i + 1));
            using SecretKey secret = SecretKey.FromSeed(seed);
            MemoryFolder folder = new();
            Database database;
            if (i == 0) database = await Database.CreateAsync(folder, options, secret, Token);
            else
            {
                FeedStore.WriteSecret(new FeedFiles(folder.Folder("local")), secret);
                database = await Database.OpenAsync(folder, machines[0].Key, options, Token);
            }

            machines._drives.Add(new HyperdbDrive(database, VersionTable.Open(null), WriterNotes.Open(null), null, TimeProvider.System, NullLogger.Instance));
            if (i > 0) (await machines[0].AuthorizeAsync(machines[i].OwnKey!.Value, Token)).Should().BeTrue();
        }

        if (count > 1) await machines.MeetAsync();
        return machines;
    }

    /// <summary>All of these get what any of them has; of all without numbers.</summary>
    public async Task MeetAsync(params int[] which)
    {
        HyperdbDrive[] meeting = which.Length == 0 ? [.. _drives] : [.. which.Select(machine => _drives[machine])];
        for (bool moved = true; moved;)
        {
            moved = false;
            foreach (HyperdbDrive from in meeting)
                foreach (HyperdbDrive to in meeting)
                    if (from != to) moved |= await GiveAsync(from.Database, to.Database);
        }

        foreach (HyperdbDrive drive in meeting) await drive.ReadyAsync(Token);
    }

    public Task WriteAsync(int machine, string path, string text, long mtime = 1000) =>
        _drives[machine].PutFileAsync(DrivePath.From(path), new MemoryStream(System.Text.Encoding.UTF8.GetBytes(text)), new DriveAttributes(0x1A4, mtime), Token).AsTask();

    public Task DeleteAsync(int machine, string path) => _drives[machine].DeleteAsync(DrivePath.From(path), Token).AsTask();

    public Task MakeDirectoryAsync(int machine, string path) => _drives[machine].MakeDirectoryAsync(DrivePath.From(path), DriveAttributes.Directory, Token).AsTask();

    public async Task RenameAsync(int machine, string from, string to, long mtime = 1000)
    {
        await WriteAsync(machine, to, (await ReadAsync(machine, from))!, mtime);
        await DeleteAsync(machine, from);
    }

    /// <summary>The text of a file; "/" for a directory, null for nothing.</summary>
    public async Task<string?> ReadAsync(int machine, string path)
    {
        IDriveView view = await _drives[machine].ReadyAsync(Token);
        if (await view.FindAsync(DrivePath.From(path), Token) is not { } entry) return null;
        if (entry.Kind == EntryKind.Directory) return "/";
        using ContentLease lease = await view.OpenContent(entry).ReadAsync(0, 1 << 20, FetchPriority.Interactive, Token);
        return System.Text.Encoding.UTF8.GetString(System.Buffers.BuffersExtensions.ToArray(lease.Data));
    }

    public async Task<string[]> NamesAsync(int machine, string path) =>
        [.. (await (await _drives[machine].ReadyAsync(Token)).ListAsync(DrivePath.From(path), Token) ?? []).Select(entry => entry.Path.Name)];

    public string Key8(int machine) => _drives[machine].OwnKey!.Value.ToHex()[..8];

    public async ValueTask DisposeAsync()
    {
        foreach (HyperdbDrive drive in _drives) await drive.DisposeAsync();
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<bool> GiveAsync(Database from, Database to)
    {
        bool moved = false;
        foreach (Writer writer in from.AllWriters.Where(writer => writer.Authorized))
        {
            if (to.AllWriters.FirstOrDefault(one => one.Key == writer.Key && one.Authorized) is not { } other) continue;
            foreach ((Feed? had, Feed? got) in ((Feed?, Feed?)[])[(writer.Feed, other.Feed), (writer.Content, other.Content)])
            {
                if (had is null || got is null || got.Length >= had.Length) continue;
                GivingSource source = new(had, got);
                for (long block = got.Length; block < had.Length; block++) await source.GiveAsync(block);
                moved = true;
            }
        }

        to.Held();
        return moved;
    }
}
