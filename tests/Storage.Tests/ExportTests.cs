using System.Buffers;

namespace OrleansCache.Storage.Tests;

public class ExportTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(10_000)]
    [InlineData(int.MaxValue)]
    public void WhatIsExportedIsImportedWithEverythingAboutIt(int bytesMax)
    {
        using var from = new StoreHarness();
        for (int i = 0; i < 3000; i++)
            from.Set($"key{i}", new string((char)('a' + (i % 26)), i % 700), (uint)i, i % 5 == 0 ? StoreHarness.Start + 100 + (uint)i : 0);
        from.Set("large", StoreHarness.Bytes(300_000));
        from.Set("gone", "x", expiresAt: StoreHarness.Start + 1);
        from.Now += 10;
        for (int i = 0; i < 1000; i++)
            from.Get($"key{i * 3}");
        from.Store.FlushAll(StoreHarness.Start + 5000, from.Now);

        using var to = new StoreHarness();
        List<byte[]> blocks = ExportAll(from, bytesMax, out long count);
        Assert.Equal(3001, count);
        foreach (byte[] block in blocks)
            Assert.Equal(ImportStatus.Ok, to.Store.Import(block, from.Now, out _));

        Assert.Equal(from.Store.LastCas, to.Store.LastCas);
        Assert.Equal(StoreHarness.Start + 5000, to.Store.ScheduledFlushUnixSeconds);
        Assert.Equal(3001, to.Store.ItemCount);
        to.CheckIntegrity();
        from.Now = to.Now = StoreHarness.Start + 20;
        for (int i = 0; i < 3000; i++)
        {
            string? expected = from.Get($"key{i}", RequestFlags.Peek);
            RecordingSink a = from.Reply;
            Assert.Equal(expected, to.Get($"key{i}", RequestFlags.Peek));
            RecordingSink b = to.Reply;
            Assert.Equal((a.ClientFlags, a.ExpiresAt, a.LastAccess, a.Cas, a.ItemFlags), (b.ClientFlags, b.ExpiresAt, b.LastAccess, b.Cas, b.ItemFlags));
        }

        Assert.Equal(from.Get("large"), to.Get("large"));
        Assert.Null(to.Get("gone"));
    }

    [Fact]
    public void WhatWasReadBeforeAMoveOutlivesTheRestAfterIt()
    {
        using var from = new StoreHarness();
        for (int i = 0; i < 200; i++)
        {
            from.Set($"key{i:D3}", new string('v', 900));
            if (i % 10 == 0)
                from.Get($"key{i:D3}");
        }

        using var to = new StoreHarness(new StoreOptions { MemoryBytes = 256 * 1024, PartitionCount = 1 });
        foreach (byte[] block in ExportAll(from, 4000, out _))
            Assert.Equal(ImportStatus.Ok, to.Store.Import(block, to.Now, out _));
        for (int i = 0; to.Statistics().Evictions < 150; i++)
            to.Set($"other{i:D3}", new string('o', 900));
        Assert.Equal(20, Enumerable.Range(0, 20).Count(i => to.Get($"key{i * 10:D3}") is not null));
    }

    [Fact]
    public void AnExportGoesOnWhileItemsGoAndComeAndTheIndexGrows()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var from = new StoreHarness();
        for (int i = 0; i < 1000; i++)
            from.Set($"key{i:D3}", "value");
        var cursor = default(ExportCursor);
        var blocks = new List<byte[]>();
        var deleted = new HashSet<int>();
        bool more = true;
        for (int step = 0; more; step++)
        {
            var output = new ArrayBufferWriter<byte>();
            more = from.Store.Export(ref cursor, output, 500, from.Now);
            blocks.Add(output.WrittenSpan.ToArray());
            int gone = random.Next(1000);
            deleted.Add(gone);
            from.Delete($"key{gone:D3}");
            int changed = random.Next(1000);
            if (!deleted.Contains(changed))
                from.Set($"key{changed:D3}", new string('m', random.Next(500)));
            for (int i = 0; i < 20; i++)
                from.Set($"new{step}-{i}", "value");
        }

        var keys = Keys(blocks).ToHashSet();
        for (int i = 0; i < 1000; i++)
        {
            if (!deleted.Contains(i))
                Assert.True(keys.Contains($"key{i:D3}"), $"seed {seed}: key{i:D3} is missing");
        }
    }

    [Fact]
    public void AnExportGoesOnWhileItemsMoveToOtherPages()
    {
        using var from = new StoreHarness(new StoreOptions { MemoryBytes = 256 * 1024, PartitionCount = 1 });
        int count = 0;
        while (from.Statistics().Evictions == 0)
            from.Set($"small{count++:D4}", "value");
        for (int i = 0; i < count; i += 2)
            from.Delete($"small{i:D4}");
        var cursor = default(ExportCursor);
        var blocks = new List<byte[]>();
        bool more = true;
        for (int step = 0; more; step++)
        {
            var output = new ArrayBufferWriter<byte>();
            more = from.Store.Export(ref cursor, output, 1000, from.Now);
            blocks.Add(output.WrittenSpan.ToArray());
            if (step < 20)
                from.Set($"large{step}", new string('l', 2500));
        }

        Assert.True(from.Statistics().SlabsMoved > 10);
        var keys = Keys(blocks).ToHashSet();
        for (int i = 0; i < count; i++)
        {
            if (from.Get($"small{i:D4}") is not null)
                Assert.Contains($"small{i:D4}", keys);
        }
    }

    [Fact]
    public void ImportingAgainChangesNothingAndNewerItemsStay()
    {
        using var from = new StoreHarness();
        from.Set("a", "old");
        from.Set("b", "old");
        List<byte[]> blocks = ExportAll(from, 1000, out _);
        using var to = new StoreHarness();
        for (int i = 0; i < 5; i++)
            to.Set("a", "new");
        Assert.Equal(ImportStatus.Ok, to.Store.Import(blocks[0], to.Now, out _));
        Assert.Equal(ImportStatus.Ok, to.Store.Import(blocks[0], to.Now, out _));
        Assert.Equal("new", to.Get("a"));
        Assert.Equal("old", to.Get("b"));
        Assert.Equal(2, to.Store.ItemCount);
        Assert.Equal(5ul, to.Store.LastCas);
    }

    [Fact]
    public void EveryCutOfABlockIsRefusedAndChangesNothing()
    {
        using var from = new StoreHarness();
        from.Set("a", "value");
        from.Set("bb", new string('x', 300));
        byte[] block = ExportAll(from, 10_000, out _).Single();
        using var to = new StoreHarness();
        for (int length = 1; length < block.Length; length++)
            Assert.Equal(ImportStatus.Malformed, to.Store.Import(block.AsSpan(0, length), to.Now, out _));
        Assert.Equal(0, to.Store.ItemCount);
        Assert.Equal(0ul, to.Store.LastCas);
    }

    [Fact]
    public void ChangedBytesNeverCorruptTheStore()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var from = new StoreHarness();
        for (int i = 0; i < 20; i++)
            from.Set($"key{i}", new string('x', i * 10));
        byte[] block = ExportAll(from, 100_000, out _).Single();
        using var to = new StoreHarness();
        for (int i = 0; i < 3000; i++)
        {
            byte[] changed = [.. block];
            for (int change = random.Next(1, 4); change > 0; change--)
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            ImportStatus status = to.Store.Import(changed, to.Now, out _);
            Assert.True(status is ImportStatus.Ok or ImportStatus.Malformed, $"seed {seed}, round {i}: {status}");
        }

        to.CheckIntegrity();
    }

    [Fact]
    public void ItemsOfAnotherPartitionAreRefused()
    {
        var options = new StoreOptions { PartitionCount = 4, MemoryBytes = 4 * 1024 * 1024, HashSeed = StoreHarness.HashSeed };
        using var set = new PartitionSet(options);
        var sink = new RecordingSink();
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "key"u8, "value"u8);
        var id = PartitionId.OfHash(request.KeyHash, 4);
        Partition right = set.Open(id, 1);
        Partition wrong = set.Open(new PartitionId((id.Value + 1) % 4), 1, PartitionState.Sealed);
        right.TryExecute(in request, StoreHarness.Start, sink);
        var output = new ArrayBufferWriter<byte>();
        var cursor = default(ExportCursor);
        Assert.False(right.Export(ref cursor, output, 1000, StoreHarness.Start));
        Assert.Equal(ImportStatus.Malformed, wrong.Import(output.WrittenSpan, StoreHarness.Start, out _));
        set.Close(id);
        right = set.Open(id, 2, PartitionState.Sealed);
        Assert.False(right.TryExecute(in request, StoreHarness.Start, sink));
        Assert.Equal(ImportStatus.Ok, right.Import(output.WrittenSpan, StoreHarness.Start, out int count));
        Assert.Equal(1, count);
        Assert.True(right.Unseal());
        request = StoreHarness.Request(CacheOperation.Get, "key"u8);
        request.Flags = RequestFlags.ReturnValue;
        Assert.True(right.TryExecute(in request, StoreHarness.Start, sink));
        Assert.Equal("value", sink.Text);
    }

    private static List<byte[]> ExportAll(StoreHarness store, int bytesMax, out long count)
    {
        var blocks = new List<byte[]>();
        var cursor = default(ExportCursor);
        bool more;
        do
        {
            var output = new ArrayBufferWriter<byte>();
            more = store.Store.Export(ref cursor, output, bytesMax, store.Now);
            blocks.Add(output.WrittenSpan.ToArray());
            Assert.True(blocks.Count < 100_000, "the export does not end");
        }
        while (more);
        count = cursor.ItemCount;
        return blocks;
    }

    private static List<string> Keys(List<byte[]> blocks)
    {
        var keys = new List<string>();
        foreach (byte[] block in blocks)
        {
            var reader = new ExportFormat.Reader(block);
            while (reader.Read())
                keys.Add(System.Text.Encoding.ASCII.GetString(reader.Item.Key));
            Assert.False(reader.IsMalformed);
        }

        return keys;
    }
}
