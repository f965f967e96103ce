using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansCache.Storage.Tests;

public class LayoutTests
{
    [Fact]
    public void ItemHeaderIsLaidOutAsDrawn()
    {
        Assert.Equal(44, Unsafe.SizeOf<ItemHeader>());
        Assert.Equal(ItemHeader.Bytes, Unsafe.SizeOf<ItemHeader>());
        AssertOffset<ItemHeader>(nameof(ItemHeader.HashNext), 0);
        AssertOffset<ItemHeader>(nameof(ItemHeader.LruPrev), 4);
        AssertOffset<ItemHeader>(nameof(ItemHeader.LruNext), 8);
        AssertOffset<ItemHeader>(nameof(ItemHeader.Kind), 12);
        AssertOffset<ItemHeader>(nameof(ItemHeader.ClassIndex), 13);
        AssertOffset<ItemHeader>(nameof(ItemHeader.Marks), 14);
        AssertOffset<ItemHeader>(nameof(ItemHeader.KeyLength), 15);
        AssertOffset<ItemHeader>(nameof(ItemHeader.Cas), 16);
        AssertOffset<ItemHeader>(nameof(ItemHeader.ExpiresAt), 24);
        AssertOffset<ItemHeader>(nameof(ItemHeader.LastAccess), 28);
        AssertOffset<ItemHeader>(nameof(ItemHeader.ClientFlags), 32);
        AssertOffset<ItemHeader>(nameof(ItemHeader.ValueLength), 36);
        AssertOffset<ItemHeader>(nameof(ItemHeader.Pins), 40);
    }

    [Fact]
    public void ContinuationHeaderHasItsKindWhereItemsHaveIt()
    {
        Assert.Equal(16, Unsafe.SizeOf<ContinuationHeader>());
        Assert.Equal(ContinuationHeader.Bytes, Unsafe.SizeOf<ContinuationHeader>());
        AssertOffset<ContinuationHeader>(nameof(ContinuationHeader.Kind), 12);
        AssertOffset<ContinuationHeader>(nameof(ContinuationHeader.ClassIndex), 13);
    }

    [Theory]
    [InlineData(48, 1.25, 16, 16384)]
    [InlineData(48, 1.25, 16, 8192)]
    [InlineData(48, 1.25, 16, 4096)]
    [InlineData(48, 2.0, 16, 16384)]
    [InlineData(1, 1.01, 16, 16384)]
    [InlineData(1, 1.01, 16, 4096)]
    [InlineData(500, 1.25, 64, 16384)]
    [InlineData(16384, 1.25, 16, 16384)]
    [InlineData(16384, 1.25, 16, 4096)]
    public void ClassesGrowInGranulesAndEverySizeFindsTheSmallestThatFits(int chunkBytesMin, double factor, int granuleBytes, int pageBytes)
    {
        var classes = new SlabClasses(chunkBytesMin, factor, granuleBytes, pageBytes);
        Assert.InRange(classes.Count, 2, 255);
        for (int c = 1; c < classes.Count; c++)
            Assert.True(classes.ChunkBytes(c) > classes.ChunkBytes(c - 1));
        for (int c = 0; c < classes.Count; c++)
            Assert.Equal(0, classes.ChunkBytes(c) % granuleBytes);
        for (int bytes = 1; bytes <= classes.ContiguousBytesMax; bytes++)
        {
            int c = classes.ClassOf(bytes);
            Assert.True(classes.ChunkBytes(c) >= bytes);
            Assert.True(c == 0 || classes.ChunkBytes(c - 1) < bytes);
        }

        Assert.Equal(pageBytes, classes.ChunkBytes(classes.PageClass));
        Assert.Equal(pageBytes / 2, classes.ChunkBytes(classes.HalfPageClass));
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(8192)]
    [InlineData(16384)]
    public void ThePlainItemOfTheBenchmarksFillsItsChunk(int pageBytes)
    {
        var classes = new SlabClasses(48, 1.25, 16, pageBytes);
        Assert.Equal(176, classes.ChunkBytes(classes.ClassOf(ItemHeader.Bytes + 32 + 100)));
    }

    [Theory]
    [InlineData(64, 256, 4096)]
    [InlineData(256, 256, 8192)]
    [InlineData(1024, 256, 16384)]
    [InlineData(64, 1, 16384)]
    [InlineData(1, 256, 4096)]
    public void PagesAreSmallerTheLessAPartitionHas(int mebibytes, int partitions, int pageBytes)
    {
        using var arena = new PageArena(new StoreOptions { MemoryBytes = mebibytes * 1024L * 1024, PartitionCount = partitions });
        Assert.Equal(pageBytes, arena.PageBytes);
    }

    private static void AssertOffset<T>(string field, int offset) => Assert.Equal(offset, (int)Marshal.OffsetOf<T>(field));
}
