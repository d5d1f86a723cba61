using DatFs.Feeds;

namespace DatFs.CrashPoints;

/// <summary>Looks at what a crash left: opens both feeds, compares with what was promised, goes on with them, and looks again.</summary>
internal sealed class Aftermath(Story story, Rng rng)
{
    /// <summary>Blocks of a large feed that are compared one by one.</summary>
    private const int MaxCompared = 200;

    /// <summary>
    /// The disk after the crash of a computer, or of the process alone when the model still has calls that are not synchronised. Answers
    /// whether there was a second crash.
    /// </summary>
    public async Task<bool> CheckAsync(DiskModel crashed, Promise promise, bool crashesAgain)
    {
        RecordingDisk disk = new(crashed);
        Feed own = story.OpenOwn(disk);
        Feed copy = story.OpenCopy(disk);
        if (own.LostBlocks > 0) await TakeBackAsync(own, promise);
        long recovered = own.Length;
        CheckOwn(own, promise);
        await CheckCopyAsync(copy, promise);
        bool again = crashesAgain && (disk.Calls.Count > 0 || !crashed.IsClean);
        if (again) await CrashAgainAsync(crashed, disk, promise, promise with { OwnKey = own.Key, OwnAnnounced = recovered });

        List<byte[]> blocks = [.. story.OwnBlocks[..(int)recovered]];
        await GoOnAsync(own, blocks);
        bool whole = await CompleteAsync(copy);
        await own.DisposeAsync();
        await copy.DisposeAsync();

        own = story.OpenOwn(disk);
        copy = story.OpenCopy(disk);
        Broken.If(own.Length != blocks.Count, $"the own feed had {blocks.Count} blocks when it was closed, and {own.Length} afterwards");
        await CheckWholeAsync(own, blocks, promise);
        if (whole) await CheckWholeAsync(copy, story.RemoteBlocks, new Promise());
        await own.DisposeAsync();
        await copy.DisposeAsync();
        return again;
    }

    // Only what came from peers and was not yet made durable may be lost; whoever had it gives it again before anything is appended.
    private async Task TakeBackAsync(Feed own, Promise promise)
    {
        Broken.If(story.OwnPeer is null || promise.OwnAnnounced > 0, $"{own.LostBlocks} own blocks count as lost");
        for (long block = story.OwnPeer!.Length - 1; block >= 0; block--)
        {
            if (!own.HasBlock(block)) await FeedUse.FetchAsync(story.OwnPeer, own, block);
        }

        await own.FlushAsync(CancellationToken.None);
        Broken.If(own.LostBlocks > 0, $"{own.LostBlocks} own blocks count as lost although peers gave them back");
    }

    private void CheckOwn(Feed own, Promise promise)
    {
        Broken.If(!own.Writable, "the own feed cannot be written any more");
        Broken.If(promise.OwnKey is { } key && own.Key != key, "the own feed has another key");
        Broken.If(own.Length < promise.OwnAnnounced, $"{promise.OwnAnnounced} own blocks were announced and {own.Length} are left");
        Broken.If(own.Length > promise.OwnBegun, $"{promise.OwnBegun} own blocks were appended and there are {own.Length}");
        for (long missing = own.FirstMissing(0, own.Length); missing < own.Length; missing = own.FirstMissing(missing + 1, own.Length))
            Broken.If(!promise.OwnCleared.Contains(missing), $"own block {missing} of {own.Length} is missing");
        foreach (int block in Compared(own.Length))
        {
            if (!own.HasBlock(block)) continue;
            Broken.If(!FeedUse.Holds(own, block, story.OwnBlocks[block]), $"own block {block} of {own.Length} is not what was appended");
        }
    }

    private async Task CheckCopyAsync(Feed copy, Promise promise)
    {
        Broken.If(copy.Length < promise.CopyLength, $"the copy had {promise.CopyLength} blocks and now has {copy.Length}");
        foreach (long block in promise.CopyHeld) Broken.If(!copy.HasBlock(block), $"block {block} of the copy was made durable and is gone");
        await using Feed judge = FeedUse.InMemory(FeedUse.Options with { Key = copy.Key });
        foreach (int block in Compared(copy.Length))
        {
            if (!copy.HasBlock(block)) continue;
            Broken.If(!FeedUse.Holds(copy, block, story.RemoteBlocks[block]), $"block {block} of the copy counts as held and is not what was fetched");
            await FeedUse.FetchAsync(copy, judge, block);
        }
    }

    // The power fails while the feeds are opened, or right after peers were told of what was found.
    private async Task CrashAgainAsync(DiskModel crashed, RecordingDisk disk, Promise before, Promise after)
    {
        int calls = disk.Calls.Count;
        int at = rng.Chance(0.5) ? calls : rng.Below(calls + 1);
        DiskModel again = crashed.Clone();
        foreach (Call call in disk.Calls.Take(at)) again.Take(call);
        Survival survival = rng.Pick<Survival>([Survival.Nothing, Survival.Everything, Survival.Prefix, Survival.Subset]);
        try
        {
            await new Aftermath(story, rng).CheckAsync(again.Survive(survival, rng), at == calls ? after : before, crashesAgain: false);
        }
        catch (Exception e)
        {
            throw new Broken($"after a second crash in call {at} of {calls} of the recovery, {survival}: {(e is Broken ? e.Message : e)}");
        }
    }

    private async Task GoOnAsync(Feed own, List<byte[]> blocks)
    {
        foreach (int count in (int[])[1, 3])
        {
            byte[][] added = [.. Enumerable.Range(0, count).Select(i => new[] { (byte)rng.Next(), (byte)i, (byte)0xA5 })];
            long first = await own.AppendAsync([.. added.Select(block => (ReadOnlyMemory<byte>)block)], CancellationToken.None);
            Broken.If(first != blocks.Count, $"an append went to block {first} of {blocks.Count}");
            blocks.AddRange(added);
        }
    }

    // Of a large feed mostly a part: a whole one takes longer than everything else.
    private async Task<bool> CompleteAsync(Feed copy)
    {
        long length = story.Remote.Length;
        bool whole = length - copy.HeldBlocks <= MaxCompared || rng.Chance(0.05);
        foreach (int block in whole ? Enumerable.Range(0, (int)length) : Compared(length))
        {
            if (!copy.HasBlock(block)) await FeedUse.FetchAsync(story.Remote, copy, block);
        }

        return whole;
    }

    /// <summary>Blocks to be looked at: all, or some and the last ones.</summary>
    private IEnumerable<int> Compared(long length)
    {
        int gap = 1 + (int)(length / MaxCompared);
        for (int block = 0; block < length; block += length - block < MaxCompared / 10 ? 1 : 1 + rng.Below(gap)) yield return block;
    }

    private async Task CheckWholeAsync(Feed feed, List<byte[]> blocks, Promise promise)
    {
        await using Feed judge = FeedUse.InMemory(FeedUse.Options with { Key = feed.Key });
        foreach (int block in Compared(blocks.Count).Reverse())
        {
            bool cleared = promise.OwnCleared.Contains(block) && !feed.HasBlock(block);
            if (cleared && !feed.HasNode(2 * block)) continue;
            await FeedUse.FetchAsync(feed, judge, block, hash: cleared);
            if (cleared) Broken.If(FeedUse.LeafHash(feed, block) != TreeHash.Leaf(block, blocks[block]).Hash, $"block {block} was signed with other bytes before");
            else Broken.If(!FeedUse.Holds(judge, block, blocks[block]), $"block {block} is another one than before");
        }

        Broken.If(judge.Length != blocks.Count, $"peers learn of {judge.Length} blocks of {blocks.Count}");
    }
}
