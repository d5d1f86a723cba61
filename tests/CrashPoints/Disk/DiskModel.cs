using DatFs.Storage;

namespace DatFs.CrashPoints;

/// <summary>What of the calls that were not synchronised is on the disk after the power failed.</summary>
internal enum Survival
{
    /// <summary>Nothing.</summary>
    Nothing,
    /// <summary>Everything.</summary>
    Everything,
    /// <summary>What came first, the last of it torn.</summary>
    Prefix,
    /// <summary>Any of them, whatever their order, in whichever file, torn at sectors.</summary>
    Subset,
}

/// <summary>
/// A disk as it is for sure, and the calls since that were not synchronised. A name is lost with its file unless its folder was synchronised,
/// a byte unless its file was.
/// </summary>
internal sealed class DiskModel
{
    private static readonly int[] s_sectors = [512, 4096];

    private readonly SortedDictionary<string, int> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<int, Image> _files = [];
    private readonly List<Call> _pending = [];

    /// <summary>A number for a file that is created now.</summary>
    public int NextFile { get; private set; } = 1;

    public bool IsClean => _pending.Count == 0;

    public IReadOnlyDictionary<string, int> Names
    {
        get
        {
            SortedDictionary<string, int> names = new(_names, StringComparer.Ordinal);
            foreach (Call call in _pending.Where(call => call.IsOfNames)) ApplyName(names, call);
            return names;
        }
    }

    public DiskModel Clone()
    {
        DiskModel copy = new() { NextFile = NextFile };
        foreach ((string name, int file) in _names) copy._names.Add(name, file);
        foreach ((int file, Image image) in _files) copy._files.Add(file, image.Clone());
        copy._pending.AddRange(_pending);
        return copy;
    }

    public void Take(in Call call)
    {
        Call done = call;
        switch (call.Kind)
        {
            case CallKind.Sync:
                foreach (Call pending in _pending.Where(pending => !pending.IsOfNames && pending.File == done.File)) FileOf(pending.File).Apply(pending);
                _pending.RemoveAll(pending => !pending.IsOfNames && pending.File == done.File);
                break;
            case CallKind.SyncFolder:
                foreach (Call pending in _pending.Where(pending => pending.IsOfNames && FolderOf(pending.Name) == done.Name)) ApplyName(_names, pending);
                _pending.RemoveAll(pending => pending.IsOfNames && FolderOf(pending.Name) == done.Name);
                break;
            default:
                if (call.Kind == CallKind.Create) NextFile = Math.Max(NextFile, call.File + 1);
                _pending.Add(call);
                break;
        }
    }

    /// <summary>The disk after the power failed.</summary>
    public DiskModel Survive(Survival survival, Rng rng)
    {
        DiskModel after = Clone();
        after._pending.Clear();
        int cut = survival switch
        {
            Survival.Nothing => 0,
            Survival.Prefix => rng.Below(_pending.Count + 1),
            _ => _pending.Count,
        };
        int sector = rng.Pick<int>(s_sectors);
        double share = rng.Pick([0.2, 0.5, 0.8]);
        for (int i = 0; i < cut; i++)
        {
            Call call = _pending[i];
            if (survival == Survival.Subset) after.Scatter(call, sector, share, rng);
            else if (survival == Survival.Prefix && i == cut - 1) after.TearEnd(call, sector, rng);
            else after.Apply(call);
        }

        return after;
    }

    /// <summary>A folder with everything that programs see.</summary>
    public MemoryFolder ToFolder()
    {
        DiskModel seen = Survive(Survival.Everything, new Rng(0));
        MemoryFolder root = new("disk");
        foreach ((string name, int file) in seen._names)
        {
            MemoryFolder folder = (MemoryFolder)root.Folder(FolderOf(name));
            using IRandomAccessFile opened = folder.Open(name[(name.IndexOf('/') + 1)..], FileUse.ReadWrite)!;
            opened.SetLength(seen.FileOf(file).Length);
            opened.Write(0, seen.FileOf(file).Bytes);
        }

        return root;
    }

    public static string FolderOf(string name) => name[..name.IndexOf('/')];

    private Image FileOf(int file)
    {
        if (!_files.TryGetValue(file, out Image? image)) _files.Add(file, image = new Image());
        return image;
    }

    private void Apply(in Call call)
    {
        if (call.IsOfNames) ApplyName(_names, call);
        else FileOf(call.File).Apply(call);
    }

    private void Scatter(in Call call, int sector, double share, Rng rng)
    {
        if (call.Kind == CallKind.Write) FileOf(call.File).Tear(call, sector, grows: rng.Chance(0.3), () => rng.Chance(share));
        else if (rng.Chance(share)) Apply(call);
    }

    private void TearEnd(in Call call, int sector, Rng rng)
    {
        int left = rng.Below((int)(call.Length / sector) + 3);
        if (call.Kind == CallKind.Write) FileOf(call.File).Tear(call, sector, grows: rng.Chance(0.3), () => left-- > 0);
        else Apply(call);
    }

    private static void ApplyName(SortedDictionary<string, int> names, in Call call)
    {
        if (call.Kind == CallKind.Create) names[call.Name] = call.File;
        else names.Remove(call.Name);
    }
}
