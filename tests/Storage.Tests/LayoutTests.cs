using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansCache.Storage.Tests;

public class LayoutTests
{
    [Fact]
    public void ItemHeaderIsLaidOutAsDrawn()
    {
        Assert.Equal(28, Unsafe.SizeOf<ItemHeader>());
        Assert.Equal(ItemHeader.Bytes, Unsafe.SizeOf<ItemHeader>());
        AssertOffset<ItemHeader>(nameof(ItemHeader.Prev), 0);
        AssertOffset<ItemHeader>(nameof(ItemHeader.Next), 4);
        AssertOffset<ItemHeader>(nameof(ItemHeader.Word), 8);
        AssertOffset<ItemHeader>(nameof(ItemHeader.ExpiresAt), 16);
        AssertOffset<ItemHeader>(nameof(ItemHeader.Cas), 20);
    }

    [Fact]
    public void ContinuationHeaderHasItsWordWhereItemsHaveIt()
    {
        Assert.Equal(12, Unsafe.SizeOf<ContinuationHeader>());
        Assert.Equal(ContinuationHeader.Bytes, Unsafe.SizeOf<ContinuationHeader>());
        AssertOffset<ContinuationHeader>(nameof(ContinuationHeader.Word), 8);
        Assert.Equal(ItemHeader.ChainBytes, Unsafe.SizeOf<ChainLink>());
    }

    [Fact]
    public void TheWordsPartsDoNotOverlap()
    {
        uint[] parts =
        [
            ItemWord.LengthMask, ItemWord.KindMask, ItemWord.Stale, ItemWord.TokenSent, ItemWord.Fetched, ItemWord.BinaryKey, ItemWord.Chained,
            ItemWord.HasFlags,
            ItemWord.ExplicitCas, ItemWord.FrequencyMask, ItemWord.QueueMask,
        ];
        uint all = 0;
        foreach (uint part in parts)
        {
            Assert.Equal(0u, all & part);
            all |= part;
        }

        Assert.Equal(uint.MaxValue, all);
    }

    [Theory]
    [InlineData(0, 1_700_000_000u, 0u)]
    [InlineData(1, 1_700_000_000u, 1u)]
    [InlineData(10_000_000, 1_700_000_000u, 10_000_000u)]
    [InlineData(-5, 1_700_000_000u, 0u)]
    [InlineData(16_000_000, 16_777_216u, 0u)]
    public unsafe void TheAccessIsRememberedForHalfAYearAndNeverLiesAhead(int secondsLater, uint at, uint age)
    {
        ItemHeader item = default;
        item.SetKeyLengthAndAccess(250, at);
        uint now = (uint)(at + secondsLater);
        Assert.Equal(age, item.AgeSeconds(now));
        Assert.Equal(now - age, item.LastAccess(now));
        Assert.Equal(250, item.KeyLength);
        item.SetAccess(now);
        Assert.Equal(0u, item.AgeSeconds(now));
        Assert.Equal(250, item.KeyLength);
    }

    [Theory]
    [InlineData(48, 1.25, 8, 65536)]
    [InlineData(48, 1.25, 16, 16384)]
    [InlineData(48, 1.25, 8, 4096)]
    [InlineData(48, 2.0, 16, 16384)]
    [InlineData(1, 1.01, 16, 16384)]
    [InlineData(1, 1.01, 8, 65536)]
    [InlineData(500, 1.25, 64, 16384)]
    [InlineData(65536, 1.25, 16, 16384)]
    [InlineData(16384, 1.25, 16, 4096)]
    [InlineData(48, 1000, 8, 65536)]
    public void ClassesGrowInGranulesAndEverySizeFindsTheSmallestThatFits(int chunkBytesMin, double factor, int granuleBytes, int pageBytes)
    {
        var classes = new SlabClasses(chunkBytesMin, factor, granuleBytes, pageBytes);
        Assert.InRange(classes.Count, 2, Limits.SlabClassesMax);
        for (int c = 1; c < classes.Count; c++)
            Assert.True(classes.ChunkBytes(c) > classes.ChunkBytes(c - 1));
        for (int c = 0; c < classes.Count; c++)
            Assert.Equal(0, classes.ChunkBytes(c) % granuleBytes);
        for (int bytes = 1; bytes <= classes.SplitBytesMax; bytes++)
        {
            int c = classes.ClassOf(bytes);
            Assert.True(classes.ChunkBytes(c) >= bytes);
            Assert.True(c == 0 || classes.ChunkBytes(c - 1) < bytes);
        }

        Assert.Equal(pageBytes, classes.ChunkBytes(classes.PageClass));
    }

    [Theory]
    [InlineData(48, 1.25, 65536)]
    [InlineData(48, 1.25, 16384)]
    [InlineData(48, 2.0, 65536)]
    [InlineData(48, 1000, 65536)]
    [InlineData(48, 1.25, 4096)]
    public void EveryChainIsShortAndItsChunksHoldItsItem(int chunkBytesMin, double factor, int pageBytes)
    {
        var classes = new SlabClasses(chunkBytesMin, factor, 8, pageBytes);
        for (int bytes = ItemHeader.Bytes + 1; bytes < pageBytes * 3; bytes += bytes < 8192 ? 1 : 37)
        {
            if (classes.SingleClassOf(bytes) is int single and >= 0)
            {
                Assert.True(classes.ChunkBytes(single) >= bytes);
                continue;
            }

            int left = bytes + ItemHeader.ChainBytes - classes.ChunkBytes(classes.HeadClass(bytes + ItemHeader.ChainBytes));
            Assert.True(left >= 0, $"the head of {bytes} bytes is not full");
            Assert.True(classes.ChunkBytes(classes.HeadClass(bytes + ItemHeader.ChainBytes)) >= 512, "a head has room for any key");
            int links = 0;
            for (; left > 0; links++)
                left -= classes.ChunkBytes(classes.ContinuationClass(left)) - ContinuationHeader.Bytes;
            Assert.InRange(links, 0, 8);
        }
    }

    [Theory]
    [InlineData(100)]
    [InlineData(500)]
    [InlineData(512)]
    [InlineData(1000)]
    [InlineData(1024)]
    [InlineData(2000)]
    [InlineData(2048)]
    [InlineData(4000)]
    [InlineData(4096)]
    [InlineData(10_000)]
    [InlineData(10_240)]
    [InlineData(100_000)]
    [InlineData(102_400)]
    public void ChunksWasteAtMostSixPercentOfAnItem(int valueBytes)
    {
        var classes = new SlabClasses(48, 1.25, 8, 65536);
        int bytes = ItemHeader.Bytes + 32 + valueBytes;
        Assert.InRange(MemoryOf(classes, bytes), bytes, bytes * 1.06);
    }

    [Fact]
    public void ThePlainItemOfTheBenchmarksFillsItsChunk()
    {
        var classes = new SlabClasses(48, 1.25, 8, 65536);
        Assert.Equal(160, classes.ChunkBytes(classes.ClassOf(ItemHeader.Bytes + 32 + 100)));
    }

    [Theory]
    [InlineData(64, 256, 65536)]
    [InlineData(1024, 256, 65536)]
    [InlineData(16, 1, 32768)]
    [InlineData(1, 256, 4096)]
    public void PagesAreSmallerWhereThereWouldBeFew(int mebibytes, int partitions, int pageBytes)
    {
        using var arena = new PageArena(new StoreOptions { MemoryBytes = mebibytes * 1024L * 1024, PartitionCount = partitions });
        Assert.Equal(pageBytes, arena.PageBytes);
    }

    /// <summary>Bytes of the chunks of an item, and its share of what its pages leave unused.</summary>
    private static double MemoryOf(SlabClasses classes, int bytes)
    {
        int single = classes.SingleClassOf(bytes);
        if (single >= 0)
            return (double)classes.PageBytes / classes.ChunksPerPage(single);
        int head = classes.HeadClass(bytes + ItemHeader.ChainBytes);
        double memory = (double)classes.PageBytes / classes.ChunksPerPage(head);
        for (int left = bytes + ItemHeader.ChainBytes - classes.ChunkBytes(head); left > 0;)
        {
            int c = classes.ContinuationClass(left);
            memory += (double)classes.PageBytes / classes.ChunksPerPage(c);
            left -= classes.ChunkBytes(c) - ContinuationHeader.Bytes;
        }

        return memory;
    }

    private static void AssertOffset<T>(string field, int offset) => Assert.Equal(offset, (int)Marshal.OffsetOf<T>(field));
}
