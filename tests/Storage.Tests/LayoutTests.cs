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
    [InlineData(48, 1.25, 16)]
    [InlineData(48, 2.0, 16)]
    [InlineData(1, 1.01, 16)]
    [InlineData(500, 1.25, 64)]
    [InlineData(16384, 1.25, 16)]
    public void ClassesGrowInGranulesAndEverySizeFindsTheSmallestThatFits(int chunkBytesMin, double factor, int granuleBytes)
    {
        var classes = new SlabClasses(chunkBytesMin, factor, granuleBytes);
        Assert.InRange(classes.Count, 2, 255);
        for (int c = 1; c < classes.Count; c++)
            Assert.True(classes.ChunkBytes(c) > classes.ChunkBytes(c - 1));
        for (int c = 0; c < classes.Count; c++)
            Assert.Equal(0, classes.ChunkBytes(c) % granuleBytes);
        for (int bytes = 1; bytes <= SlabClasses.ContiguousBytesMax; bytes++)
        {
            int c = classes.ClassOf(bytes);
            Assert.True(classes.ChunkBytes(c) >= bytes);
            Assert.True(c == 0 || classes.ChunkBytes(c - 1) < bytes);
        }

        Assert.Equal(PageArena.PageBytes, classes.ChunkBytes(classes.PageClass));
        Assert.Equal(PageArena.PageBytes / 2, classes.ChunkBytes(classes.HalfPageClass));
    }

    [Fact]
    public void ThePlainItemOfTheBenchmarksFillsItsChunk()
    {
        var classes = new SlabClasses(48, 1.25, 16);
        Assert.Equal(176, classes.ChunkBytes(classes.ClassOf(ItemHeader.Bytes + 32 + 100)));
    }

    private static void AssertOffset<T>(string field, int offset) => Assert.Equal(offset, (int)Marshal.OffsetOf<T>(field));
}
