namespace OrleansCache.Storage.Tests.Slabs;

public class SlabClassesTests
{
    /// <summary>
    /// Every size from an empty value to several pages, as a store lays it out: the chunks hold the item, and nothing else of them is wasted than is
    /// allowed.
    /// </summary>
    [Theory]
    [InlineData(48, 1.25, 8, 65536)]
    [InlineData(48, 1.25, 8, 4096)]
    [InlineData(48, 1.25, 16, 65536)]
    [InlineData(1, 1.01, 8, 65536)]
    [InlineData(1, 1.01, 8, 4096)]
    [InlineData(1024, 1.01, 8, 16384)]
    [InlineData(48, 1000, 8, 65536)]
    [InlineData(1, 1000, 8, 4096)]
    [InlineData(1024, 1000, 8, 65536)]
    [InlineData(1024 * 1024, 1.25, 8, 65536)]
    [InlineData(1024 * 1024, 1.25, 64, 4096)]
    [InlineData(48, double.MaxValue, 8, 65536)]
    public void WhateverTheOptionsEveryItemHasAPlace(int chunkBytesMin, double factor, int granuleBytes, int pageBytes)
    {
        var classes = new SlabClasses(chunkBytesMin, factor, granuleBytes, pageBytes);
        Assert.InRange(classes.Count, 2, Limits.SlabClassesMax);
        Assert.Equal(classes.PageClass, classes.Count - 1);
        int smallest = ItemHeader.Bytes + 1;
        for (int bytes = smallest; bytes < (3 * pageBytes) + 64; bytes++)
        {
            if (classes.SingleClassOf(bytes) is int single and >= 0)
            {
                Assert.True(bytes <= classes.ChunkBytes(single), $"{bytes} bytes do not fit into {classes.ChunkBytes(single)}");
                Assert.True(single == 0 || bytes > classes.ChunkBytes(single - 1),
                    $"{bytes} bytes would fit into a smaller chunk than {classes.ChunkBytes(single)}");
                continue;
            }

            // Key, links and flags lie in the head, however long the key is.
            int head = classes.ChunkBytes(classes.HeadClass(bytes + ItemHeader.ChainBytes));
            Assert.True(head <= bytes + ItemHeader.ChainBytes, $"a head of {head} bytes is not filled by {bytes}");
            Assert.True(head >= ItemHeader.Bytes + Limits.KeyBytesMax + ItemHeader.ChainBytes + ItemHeader.FlagsBytes,
                $"a head of {head} bytes has no room for a key");
            long pages = 1;
            for (int left = bytes + ItemHeader.ChainBytes - head; left > 0; pages++)
            {
                int chunk = classes.ChunkBytes(classes.ContinuationClass(left));
                Assert.True(chunk > ContinuationHeader.Bytes);
                left -= chunk - ContinuationHeader.Bytes;
            }

            Assert.True(pages <= classes.PagesMax(bytes), $"{bytes} bytes take {pages} pages, more than announced");
        }
    }

    [Theory]
    [InlineData(1.01)]
    [InlineData(1.05)]
    [InlineData(1.25)]
    [InlineData(1.5)]
    [InlineData(2.0)]
    public void NoSizeWastesMoreThanTheFactorAllows(double factor)
    {
        var classes = new SlabClasses(48, factor, 8, 65536);

        // A fifth of the step, and what a page cannot be divided into; or the slack at which an item is split.
        double most = Math.Max(1 + ((Math.Max(factor, 1.05) - 1) / 5) + 0.01, 1.06);
        for (int bytes = classes.ChunkBytes(0); bytes < SlabClasses.SingleChunkBytesMax; bytes++)
        {
            int chunk = classes.ChunkBytes(classes.SingleClassOf(bytes));
            Assert.True(chunk <= (bytes * most) + 8, $"{bytes} bytes lie in a chunk of {chunk}");
        }
    }

    /// <summary>
    /// Values whose items end exactly at, one before and one behind the end of every chunk: what is stored comes back, and the sums are right.
    /// </summary>
    [Theory]
    [InlineData(64, 48, 1.25)]
    [InlineData(1, 48, 1.25)]
    [InlineData(1, 1024, 1000)]
    [InlineData(32, 1, 1.01)]
    public void ItemsAtTheLimitsOfEveryChunkComeBackAsTheyWere(int mebibytes, int chunkBytesMin, double factor)
    {
        using var store = new StoreHarness(new StoreOptions
        {
            PartitionCount = 1, ShardCount = 1, MemoryBytes = (long)mebibytes << 20, ChunkBytesMin = chunkBytesMin, GrowthFactor = factor,
        });
        SlabClasses classes = store.Arena.Classes;
        var sizes = new SortedSet<int>();
        for (int c = 0; c < classes.Count; c++)
        {
            for (int change = -1; change <= 1; change++)
            {
                // Alone in a chunk, as a chain's head, as its only continuation, and behind one or two whole pages.
                int chunk = classes.ChunkBytes(c) + change;
                sizes.Add(chunk);
                sizes.Add(chunk - ItemHeader.ChainBytes);
                foreach (int before in (int[])[classes.SplitBytesMax, classes.PageBytes, (2 * classes.PageBytes) - ContinuationHeader.Bytes])
                    sizes.Add(before - ItemHeader.ChainBytes + chunk - ContinuationHeader.Bytes);
            }
        }

        for (int flags = 0; flags < 2; flags++)
        {
            foreach (int size in sizes)
            {
                int valueBytes = size - ItemHeader.Bytes - 3 - (flags * ItemHeader.FlagsBytes);
                if (valueBytes < 0)
                    continue;
                byte[] value = StoreHarness.Bytes(valueBytes, size);
                CacheRequest request = StoreHarness.Request(CacheOperation.Set, "key"u8, value);
                request.ClientFlags = (uint)flags * 77;
                Assert.True(store.Run(in request) == CacheStatus.Ok, $"{valueBytes} bytes: {store.Reply.Status}");
                Assert.NotNull(store.Get("key"));
                Assert.True(store.Reply.Value.SequenceEqual(value), $"{valueBytes} bytes came back as others");
                Assert.Equal((uint)flags * 77, store.Reply.ClientFlags);

                // And one byte more, and less, where it lies.
                store.Store2(CacheOperation.Append, "key", "x");
                Assert.NotNull(store.Get("key"));
                Assert.True(store.Reply.Value[..^1].SequenceEqual(value) && store.Reply.Value[^1] == 'x', $"{valueBytes} bytes and one more");
                store.CheckIntegrity();
            }
        }
    }
}
