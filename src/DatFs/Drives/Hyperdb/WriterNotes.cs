using System.Collections.Immutable;
using System.Text.Json.Serialization;
using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Drives.Hyperdb;

/// <summary>What this machine's user notes about one writer.</summary>
internal sealed record WriterNote(string? Label, long? IgnoredFrom);

/// <summary>
/// What this machine's user notes about writers, kept beside the drive and told to nobody: names, and from which entry on somebody is left
/// out of the view (hyperdb-multiwriter.md §16). Replaced as a whole; any thread may call.
/// </summary>
internal sealed class WriterNotes
{
    /// <summary>Writers that something can be noted about: as many as surely fit into a file that is read again.</summary>
    public const int MaxNotes = 100;

    private const string Name = "writers.json";

    private readonly Lock _gate = new();
    private readonly IStorageFolder? _folder;
    private volatile ImmutableDictionary<string, WriterNote> _notes = ImmutableDictionary<string, WriterNote>.Empty;

    private WriterNotes(IStorageFolder? folder) => _folder = folder;

    /// <summary>True when somebody is left out, which costs every listing more.</summary>
    public bool IgnoresAny => _notes.Values.Any(note => note.IgnoredFrom is not null);

    /// <summary>Reads the notes of a folder; null = ones that are kept in memory only.</summary>
    public static WriterNotes Open(IStorageFolder? folder)
    {
        WriterNotes notes = new(folder);
        if (folder is not null && JsonFile.Read(folder, Name, WriterNotesJson.Default.DictionaryStringWriterNote) is { } kept) notes._notes = kept.ToImmutableDictionary();
        return notes;
    }

    public string? LabelOf(FeedKey writer) => _notes.GetValueOrDefault(writer.ToHex())?.Label;

    public long? IgnoredFrom(FeedKey writer) => _notes.IsEmpty ? null : _notes.GetValueOrDefault(writer.ToHex())?.IgnoredFrom;

    public bool Ignores(DatabaseEntry entry) => IgnoredFrom(entry.Writer) is { } from && entry.Seq >= from;

    public void Label(FeedKey writer, string? label) => Change(writer, note => note with { Label = label });

    public void Ignore(FeedKey writer, long? from) => Change(writer, note => note with { IgnoredFrom = from });

    private void Change(FeedKey writer, Func<WriterNote, WriterNote> change)
    {
        string key = writer.ToHex();
        lock (_gate)
        {
            WriterNote note = change(_notes.GetValueOrDefault(key) ?? new WriterNote(null, null));
            ImmutableDictionary<string, WriterNote> changed = note is { Label: null, IgnoredFrom: null } ? _notes.Remove(key) : _notes.SetItem(key, note);
            if (changed.Count > MaxNotes) throw new DatException(DatError.Invalid, $"something is noted about {MaxNotes} writers already; take one note back first");
            try
            {
                if (_folder is not null) JsonFile.Write(_folder, Name, new Dictionary<string, WriterNote>(changed), WriterNotesJson.Default.DictionaryStringWriterNote);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw new DatException(DatError.Io, $"the note about the writer could not be kept: {failure.Message}", failure);
            }

            _notes = changed;
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Dictionary<string, WriterNote>))]
internal sealed partial class WriterNotesJson : JsonSerializerContext;
