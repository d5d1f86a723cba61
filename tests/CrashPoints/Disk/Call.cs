namespace DatFs.CrashPoints;

/// <summary>What a program asks of a disk.</summary>
internal enum CallKind
{
    Create,
    Delete,
    Write,
    SetLength,
    Punch,
    Sync,
    SyncFolder,
}

/// <summary>One call that changes a disk or makes changes durable. Names are paths from the root.</summary>
internal readonly record struct Call(CallKind Kind, string Name, int File, long Offset, long Length, byte[] Bytes)
{
    public bool IsOfNames => Kind is CallKind.Create or CallKind.Delete;

    public override string ToString() => Kind switch
    {
        CallKind.Write => $"write {Length} bytes at {Offset} of {Name}",
        CallKind.SetLength => $"set the length of {Name} to {Offset}",
        CallKind.Punch => $"punch {Length} bytes at {Offset} of {Name}",
        CallKind.Sync => $"sync {Name}",
        CallKind.SyncFolder => $"sync folder {Name}",
        _ => $"{Kind} {Name}",
    };
}
