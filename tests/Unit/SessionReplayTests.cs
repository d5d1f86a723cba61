using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>We take the part of one side in every recorded connection of the reference (wire-protocol.md §10 point 6).</summary>
public sealed class SessionReplayTests
{
    private const string Old = "session-legacy-writer-6.9.json";
    private const string Seek = "session-sparse-seek-8.json";

    // Connections in which the application of the writer did nothing that a replicator would not do by itself.
    private static readonly string[] s_whole =
    [
        "session-full-clone-5-finite.json", "session-hyperdrive-clone.json", "session-legacy-reader-6.9.json", "session-live-append.json",
        "session-sparse-clone-3.json", "session-sparse-one-of-1000000.json", Seek,
    ];

    public static TheoryData<string> Whole => [.. s_whole];

    /// <summary>Every feed of every other connection, on the side that has it.</summary>
    public static TheoryData<string, string, string> Answering
    {
        get
        {
            TheoryData<string, string, string> rows = [];
            foreach (string file in RecordedSession.Files.Except(s_whole))
            {
                RecordedSession session = new(file);
                foreach (RecordedFeedOnWire feed in session.Feeds) rows.Add(file, feed.Name, SessionPlayer.OwnerOf(session, feed));
            }

            return rows;
        }
    }

    /// <summary>Every feed of which blocks were read, on the side that read them. Our peer asks for an offset in another way, with one question.</summary>
    public static TheoryData<string, string, string> Asking
    {
        get
        {
            TheoryData<string, string, string> rows = [];
            foreach (string file in RecordedSession.Files.Except([Seek]))
            {
                RecordedSession session = new(file);
                foreach (RecordedFeedOnWire feed in session.Feeds.Where(f => SessionPlayer.Sent(session, f).Count > 0))
                    rows.Add(file, feed.Name, SessionPlayer.OwnerOf(session, feed) == "a" ? "b" : "a");
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Whole))]
    public async Task As_the_writer_we_send_the_bytes_that_the_reference_sent(string file)
    {
        RecordedSession session = new(file);
        await using SessionPlayer us = SessionPlayer.Create(session, "a");

        byte[] actual = await us.AnswerAsync(_ => true).WaitAsync(ReplicaNode.Patience);

        byte[] expected = session.BytesOf("a->b");
        session.Tell("a->b", actual).Should().Equal(session.Tell("a->b", expected));
        actual.Should().Equal(expected, "not only the messages, but every byte is the same");
    }

    [Theory]
    [MemberData(nameof(Answering))]
    public async Task As_a_responder_we_answer_what_the_reference_answered(string file, string feed, string side)
    {
        RecordedSession session = new(file);
        await using SessionPlayer us = SessionPlayer.Create(session, side);
        int channel = session.Feeds.Single(f => f.Name == feed).Channel;
        bool IsAnswer(string line) => SessionPlayer.IsOn(channel, line, out string message) && message.Split(' ')[0] is "have" or "data" or "unhave" && !message.EndsWith(" True", StringComparison.Ordinal);

        // The old one tells of the whole feed at once and not of the last block first; ours answers every Want alike.
        byte[] actual = await us.AnswerAsync(IsAnswer, more: file == Old ? 1 : 0).WaitAsync(ReplicaNode.Patience);

        IEnumerable<string> expected = file == Old ? ["have 2 - - False", "have 0 1048576 02e0 False", .. us.Recorded.Where(IsAnswer).Skip(1)] : us.Recorded.Where(IsAnswer);
        session.Tell(us.Direction, actual).Where(IsAnswer).Should().Equal(expected);
    }

    [Theory]
    [MemberData(nameof(Asking))]
    public async Task As_the_reader_we_ask_for_what_the_reference_asked_and_verify_it(string file, string feed, string side)
    {
        RecordedSession session = new(file);
        RecordedFeedOnWire read = session.Feeds.Single(f => f.Name == feed);
        IReadOnlyDictionary<long, byte[]> blocks = SessionPlayer.Sent(session, read);
        await using SessionPlayer us = SessionPlayer.Create(session, side);
        List<Task<BlockLease>> reads = [.. blocks.Keys.Select(i => us.Feeds[read.Channel].ReadAsync(i, FetchPriority.Interactive, default).AsTask())];
        Task<IReadOnlyList<string>> asking = us.AskAsync(read);

        foreach (Task<BlockLease> reading in reads) (await reading.WaitAsync(ReplicaNode.Patience)).Dispose();
        foreach ((long index, byte[] bytes) in blocks)
        {
            us.Feeds[read.Channel].TryRead(index, out BlockLease block).Should().BeTrue();
            using (block) block.Memory.ToArray().Should().Equal(bytes);
        }

        await us.ClearWhatWasClearedAsync(read);
        IReadOnlyList<string> asked = await asking.WaitAsync(ReplicaNode.Patience);
        asked.Should().Contain(m => m.StartsWith("want 0 ", StringComparison.Ordinal));
        asked.Where(IsRequest).Select(IndexOf).Should().Contain(us.Recorded.Where(l => SessionPlayer.IsOn(read.Channel, l, out string m) && IsRequest(m)).Select(l => IndexOf(l[(l.IndexOf("request", StringComparison.Ordinal))..])));
        foreach (string told in us.Recorded.Where(l => SessionPlayer.IsOn(read.Channel, l, out string m) && (m.EndsWith(" True", StringComparison.Ordinal) || m.StartsWith("unhave", StringComparison.Ordinal))))
            asked.Should().Contain(told);
    }

    private static bool IsRequest(string line) => line.StartsWith("request ", StringComparison.Ordinal);

    private static string IndexOf(string request) => request.Split(' ')[1];
}
