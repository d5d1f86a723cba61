using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using DatFs.Drives;
using DatFs.Storage;
using DatMount.Fuzz.Engine;
using DatMount.Hosting;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// The small texts of our own that others may have touched: the notes beside a kept drive, which count as missing when they are damaged, and the messages of
/// the control socket. The first byte chooses which.
/// </summary>
internal sealed class JsonTarget : IFuzzTarget
{
    public string Name => "json";

    public int MaxLength => 4 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
    [
        "\"kind\":"u8.ToArray(), "\"hyperdrive\""u8.ToArray(), "null"u8.ToArray(), "{}"u8.ToArray(), "[]"u8.ToArray(), "\"\\ud800\""u8.ToArray(), "1e999"u8.ToArray(), "-1"u8.ToArray(), "\"pid\":"u8.ToArray(),
        "9223372036854775808"u8.ToArray(), "[[[[[[[["u8.ToArray(), "\"lazy\":true"u8.ToArray(), ","u8.ToArray(), [0xEF, 0xBB, 0xBF], [0xFF],
    ];

    public long AllocationLimit(int inputLength) => 256 * 1024 + 512L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        yield return [0, .. JsonSerializer.SerializeToUtf8Bytes(new DriveRecord("hyperdrive") { Name = "birds", Folder = "/home/me/birds" }, DriveJson.Default.DriveRecord)];
        yield return [1, .. JsonSerializer.SerializeToUtf8Bytes(new DriveHolder(12, "datmount", "mount"), DriveJson.Default.DriveHolder)];
        DriveReport report = new(1, "mount", "/mnt/dat", "4a1b", "hyperdrive", false, true, 6, 7, 7, 3, 2, 70014, null,
            [new PeerReport("192.0.2.7:3282", "open", 1, 2, 3.5, 4.5, 5)], [new AddressReport("192.0.2.8:3282", "refused")], 8, 9, 10);
        yield return [2, .. JsonSerializer.SerializeToUtf8Bytes(report, ControlJson.Default.DriveReport)];
        yield return [3, .. "{\"lazy\":true}"u8];
        yield return [4, .. "{\"done\":false,\"message\":\"in use\"}"u8];
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        if (input.IsEmpty) return;
        ReadOnlySpan<byte> text = input[1..];
        switch (input[0] % 5)
        {
            case 0:
                Note(text, DriveJson.Default.DriveRecord);
                break;
            case 1:
                Note(text, DriveJson.Default.DriveHolder);
                break;
            case 2:
                Message(text, ControlJson.Default.DriveReport);
                break;
            case 3:
                Message(text, ControlJson.Default.UnmountRequest);
                break;
            default:
                Message(text, ControlJson.Default.UnmountReply);
                break;
        }
    }

    private static void Note<T>(ReadOnlySpan<byte> text, JsonTypeInfo<T> type)
        where T : class
    {
        MemoryFolder folder = new();
        using (IRandomAccessFile file = folder.Open("note", FileUse.ReadWrite)!) file.Write(0, text);
        if (JsonFile.Read(folder, "note", type) is not { } note) return;
        JsonFile.Write(folder, "again", note, type);
        Oracle.Equal(JsonFile.Read(folder, "again", type), note, "a note written and read");
    }

    private static void Message<T>(ReadOnlySpan<byte> text, JsonTypeInfo<T> type)
        where T : class
    {
        T? message;
        try
        {
            message = JsonSerializer.Deserialize(text, type);
        }
        catch (JsonException)
        {
            return;
        }

        // No rate is infinite, and none can be told.
        if (message is null || (message is DriveReport report && report.Peers?.Any(peer => !double.IsFinite(peer?.ReceiveRate ?? 0) || !double.IsFinite(peer?.SendRate ?? 0)) == true)) return;
        byte[] once = JsonSerializer.SerializeToUtf8Bytes(message, type);
        Oracle.Same(JsonSerializer.SerializeToUtf8Bytes(JsonSerializer.Deserialize(once, type)!, type), once, "a message written and read");
    }
}
