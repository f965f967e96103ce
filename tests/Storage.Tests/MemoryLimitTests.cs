using System.Globalization;
using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>cache_memlimit: -m grows and shrinks while the stores are in use.</summary>
public sealed class MemoryLimitTests
{
    private const uint Now = 1_800_000_000;
    private const int ValueBytes = 400;

    [Fact]
    public void AGrownLimitHoldsMoreItems()
    {
        using PartitionSet set = Open(8 << 20, 64 << 20);
        Fill(set, 60_000);
        long before = Items(set);

        Assert.True(set.Arena.TrySetMemoryLimit(32 << 20));
        Fill(set, 60_000);

        Assert.Equal(32 << 20, set.ReadStatistics(Now, false).LimitMaxBytes);
        Assert.True(Items(set) > before * 3, $"{before} items before, {Items(set)} after");
        set.CheckIntegrityAtRest();
    }

    [Fact]
    public void AShrunkLimitIsReachedInSlicesAndEvictsOnlyWhatMustGo()
    {
        using PartitionSet set = Open(32 << 20, 0);
        Fill(set, 100_000);
        long before = Items(set);

        Assert.True(set.Arena.TrySetMemoryLimit(8 << 20));
        int slices = 0;
        while (set.Arena.HeldPageCount > set.Arena.PageCount)
        {
            int held = set.Arena.HeldPageCount;
            set.ShrinkSlice(Now, 16);
            Assert.InRange(held - set.Arena.HeldPageCount, 1, 16);
            slices++;
        }

        Assert.True(slices > 10, $"{slices} slices");
        Assert.InRange(Items(set), before / 5, before / 3);
        set.CheckIntegrityAtRest();
        Fill(set, 10_000);
        Assert.True(set.Arena.HeldPageCount <= set.Arena.PageCount);
        set.CheckIntegrityAtRest();
    }

    [Fact]
    public void WhatHasShrunkGrowsAgain()
    {
        using PartitionSet set = Open(32 << 20, 0);
        Fill(set, 100_000);
        long before = Items(set);
        Assert.True(set.Arena.TrySetMemoryLimit(8 << 20));
        set.ShrinkSlice(Now, int.MaxValue);

        Assert.True(set.Arena.TrySetMemoryLimit(32 << 20));
        Fill(set, 100_000);

        Assert.InRange(Items(set), before * 9 / 10, before * 11 / 10);
        set.CheckIntegrityAtRest();
    }

    [Fact]
    public void WithoutEvictionNothingIsThrownAwayAndNothingMoreIsTaken()
    {
        using PartitionSet set = Open(32 << 20, 0, noEviction: true);
        Fill(set, 20_000);
        long before = Items(set);
        Assert.True(set.Arena.TrySetMemoryLimit(8 << 20));

        set.ShrinkSlice(Now, int.MaxValue);

        Assert.Equal(before, Items(set));
        Assert.False(set.Arena.TryTake(out _));
        set.CheckIntegrityAtRest();
    }

    [Theory]
    [InlineData(33L << 20)]
    [InlineData(1L << 60)]
    [InlineData(4096)]
    public void ALimitOutOfBoundsIsRefused(long bytes)
    {
        using PartitionSet set = Open(32 << 20, 0);

        Assert.False(set.Arena.TrySetMemoryLimit(bytes));
        Assert.Equal(32 << 20, set.Arena.MemoryBytes);
    }

    private static PartitionSet Open(long bytes, long bytesMax, bool noEviction = false)
    {
        var set = new PartitionSet(
            new StoreOptions { MemoryBytes = bytes, MemoryBytesMax = bytesMax, PartitionCount = 8, NoEviction = noEviction, HashSeed = StoreHarness.HashSeed });
        for (int i = 0; i < set.PartitionCount; i++)
            set.Open(new PartitionId(i), 1);
        return set;
    }

    private static long Items(PartitionSet set) => set.ReadStatistics(Now, false).CurrItems;

    private static void Fill(PartitionSet set, int items)
    {
        byte[] value = new byte[ValueBytes];
        for (int i = 0; i < items; i++)
        {
            byte[] key = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"key-{i}"));
            ulong hash = StoreHarness.Hash(key);
            var request = new CacheRequest { Operation = CacheOperation.Set, Key = key, KeyHash = hash, Value = value };
            Assert.True(set.TryGet(PartitionId.OfHash(hash, set.PartitionCount))!.TryExecute(request, Now, s_ignore));
        }
    }

    private static readonly IgnoreSink s_ignore = new();

    private sealed class IgnoreSink : ReplySink
    {
        public override void OnReply(in CacheReply reply)
        {
        }
    }
}
