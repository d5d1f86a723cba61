using CsCheck;
using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>
/// Random versions, lookups, opens, reads, listings and forgets against a plain dictionary for each version.
/// A failure prints the seed that repeats it.
/// </summary>
public sealed class FileSystemModelTests
{
    private static readonly string[] s_paths = ["/a", "/b", "/d/a", "/d/b", "/d/e/a", "/f/x/y", "/f", "/d/e"];

    /// <summary>One step; the numbers choose what it works on.</summary>
    private readonly record struct Move(int Kind, int First, int Second);

    [Fact]
    public void Any_history_of_calls_agrees_with_the_model_and_forgets_everything() =>
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 1000], Gen.Int[0, 1000], (kind, first, second) => new Move(kind, first, second)).Array[1, 80]
            .Sample(moves => RunAsync(moves).GetAwaiter().GetResult(), iter: 3_000);

    [Fact]
    public async Task Many_threads_and_versions_at_once_leave_only_the_root()
    {
        const int readers = 4;
        const int versions = 300;
        int seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        await using FakeDrive drive = new();
        foreach (string path in s_paths.Where(path => path is not ("/f" or "/d/e"))) drive.Publish((path, FakeEntry.File($"{path} 0")));
        await using DatFileSystem fs = new(drive);
        fs.Subscribe(new RecordedNotices());
        using CancellationTokenSource ended = new();
        // Readers never wait: they have threads of their own, and the pool is left to other tests.
        Task[] reading = [.. Enumerable.Range(0, readers).Select(reader => Task.Factory.StartNew(
            () => ReadUntilAsync(fs, new Random(seed + reader), ended.Token), default, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap())];
        Random random = new(seed - 1);
        for (int i = 0; i < versions; i++)
        {
            string path = s_paths[random.Next(6)];
            drive.Publish(null, random.Next(5) != 0, (path, random.Next(3) == 0 ? null : FakeEntry.File($"{path} {i}")));
            Thread.Yield();
        }

        await ended.CancelAsync();
        await Task.WhenAll(reading).WaitAsync(TimeSpan.FromMinutes(1));
        fs.LivingNodes.Should().Be(1, $"seed {seed}");
        drive.OpenLeases.Should().Be(0);
    }

    /// <summary>Whatever is found must be one of the file's own contents.</summary>
    private static async Task ReadUntilAsync(DatFileSystem fs, Random random, CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            string path = s_paths[random.Next(6)];
            Result<NodeInfo> found = await fs.WalkAsync(path);
            if (!found.Ok)
            {
                found.Error.Should().Be(FsError.NotFound);
                continue;
            }

            Result<IFileHandle> opened = await fs.OpenAsync(found.Value.Id, OpenMode.Read, default);
            bool early = random.Next(2) == 0;
            if (early) fs.Forget(found.Value.Id, 1);
            else (await fs.GetAsync(found.Value.Id, null, default)).Ok.Should().BeTrue();
            string first = await opened.Value.TextAsync();
            first.Should().StartWith(path + " ");
            (await opened.Value.TextAsync()).Should().Be(first);
            await opened.Value.DisposeAsync();
            if (!early) fs.Forget(found.Value.Id, 1);
            await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
            foreach ((_, NodeInfo info, _) in (await root.EntriesAsync(withInfo: true, atATime: 2)).Skip(2)) fs.Forget(info.Id, 1);
        }
    }

    private static async Task RunAsync(Move[] moves)
    {
        await using FakeDrive drive = new();
        await using DatFileSystem fs = new(drive);
        Run run = new(drive, fs);
        foreach (Move move in moves) await run.StepAsync(move);
        await run.EndAsync();
        fs.LivingNodes.Should().Be(1);
        drive.OpenLeases.Should().Be(0);
    }

    private sealed class Run(FakeDrive drive, DatFileSystem fs)
    {
        private readonly List<SortedDictionary<string, string>> _versions = [new(StringComparer.Ordinal)];
        private readonly List<NodeInfo> _references = [];
        private readonly List<(IFileHandle Handle, string Content)> _open = [];
        private int _written;

        private SortedDictionary<string, string> Live => _versions[^1];

        public async Task StepAsync(Move move)
        {
            string path = s_paths[move.First % s_paths.Length];
            int version = move.Second % _versions.Count;
            switch (move.Kind)
            {
                case 0 or 1:
                    Publish(path, move.Second % 4 != 0 ? $"content {++_written}" : null, tellPaths: move.Second % 5 != 0);
                    break;
                case 2:
                    await LookUpAsync("", path, Live);
                    break;
                case 3:
                    await LookUpAsync($"/.dat/versions/{version}", path, _versions[version]);
                    break;
                case 4:
                    await OpenAsync(path);
                    break;
                case 5 when _open.Count > 0:
                    (IFileHandle handle, string content) = _open[move.First % _open.Count];
                    (await handle.TextAsync()).Should().Be(content, "an open file keeps its version");
                    (await fs.GetAsync(handle.Node, handle, default)).Value.Size.Should().Be((ulong)content.Length, "one node has one page cache");
                    break;
                case 6 when _open.Count > 0:
                    await _open[move.First % _open.Count].Handle.DisposeAsync();
                    _open.RemoveAt(move.First % _open.Count);
                    break;
                case 7 when _references.Count > 0:
                    fs.Forget(_references[move.First % _references.Count].Id, 1);
                    _references.RemoveAt(move.First % _references.Count);
                    break;
                case 8:
                    await ListAsync("", path, Live);
                    await ListAsync($"/.dat/versions/{version}", path, _versions[version]);
                    break;
                case 9 when _references.Count > 0:
                    (await fs.GetAsync(_references[move.First % _references.Count].Id, null, default)).Ok.Should().BeTrue("a referenced node answers");
                    break;
                default:
                    break;
            }
        }

        public async Task EndAsync()
        {
            foreach ((IFileHandle handle, string content) in _open)
            {
                (await handle.TextAsync()).Should().Be(content);
                await handle.DisposeAsync();
            }

            foreach (NodeInfo node in _references) fs.Forget(node.Id, 1);
        }

        private void Publish(string path, string? content, bool tellPaths)
        {
            SortedDictionary<string, string> next = new(Live, StringComparer.Ordinal);
            if (content is null) next.Remove(path);
            else next[path] = content;
            _versions.Add(next);
            drive.Publish(null, tellPaths, (path, content is null ? null : FakeEntry.File(content)));
        }

        private async Task LookUpAsync(string top, string path, SortedDictionary<string, string> model)
        {
            Result<NodeInfo> found = await fs.WalkAsync(top + path);
            bool directory = IsDirectory(model, path);
            bool file = !directory && model.ContainsKey(path);
            found.Ok.Should().Be(directory || file, $"{top}{path}");
            if (!found.Ok) return;
            _references.Add(found.Value);
            found.Value.Kind.Should().Be(directory ? NodeKind.Directory : NodeKind.File);
            found.Value.Links.Should().BeGreaterThan(0);
            if (!file) return;
            found.Value.Size.Should().Be((ulong)model[path].Length);
            (await fs.ReadAsync(top + path)).Should().Be(model[path]);
        }

        private async Task OpenAsync(string path)
        {
            Result<NodeInfo> found = await fs.WalkAsync(path);
            if (!found.Ok) return;
            _references.Add(found.Value);
            if (found.Value.Kind != NodeKind.File) return;
            _open.Add((await fs.OpenAsync(found.Value.Id), Live[path]));
        }

        private async Task ListAsync(string top, string path, SortedDictionary<string, string> model)
        {
            string directory = path[..path.LastIndexOf('/')];
            if (directory.Length > 0 && !IsDirectory(model, directory)) return;
            NodeInfo node = await fs.NodeAsync(top + directory);
            if (node.Id != NodeId.Root) _references.Add(node);
            await using IDirHandle handle = (await fs.OpenDirAsync(node.Id, default)).Value;
            var entries = await handle.EntriesAsync(withInfo: true, atATime: 3);
            IEnumerable<string> names = model.Keys.Where(key => key.StartsWith(directory + "/", StringComparison.Ordinal)).Select(key => key[(directory.Length + 1)..].Split('/')[0]);
            entries.Skip(2).Select(entry => entry.Name).Should().Equal(names.Distinct().Order(StringComparer.Ordinal), $"{top}{directory}");
            foreach (var entry in entries.Skip(2))
            {
                string child = $"{directory}/{entry.Name}";
                entry.Info.Kind.Should().Be(IsDirectory(model, child) ? NodeKind.Directory : NodeKind.File);
                if (entry.Info.Kind == NodeKind.File) entry.Info.Size.Should().Be((ulong)model[child].Length);
                _references.Add(entry.Info);
            }
        }

        /// <summary>Where a path is a file and has others below it, the directory wins.</summary>
        private static bool IsDirectory(SortedDictionary<string, string> model, string path) => model.Keys.Any(key => key.StartsWith(path + "/", StringComparison.Ordinal));
    }
}
