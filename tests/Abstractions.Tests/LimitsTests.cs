namespace OrleansCache.Abstractions.Tests;

public sealed class LimitsTests
{
    /// <summary>
    /// The largest values that memcached 1.6.45 stored when asked, by -I, length of the key and client flags; one byte more was "object too large for cache".
    /// </summary>
    [Theory]
    [InlineData(1024 * 1024, 1, 0, 1_048_516)]
    [InlineData(1024 * 1024, 1, 1, 1_048_512)]
    [InlineData(1024 * 1024, 250, 0, 1_048_267)]
    [InlineData(1024 * 1024, 250, 1, 1_048_263)]
    [InlineData(2 * 1024 * 1024, 1, 0, 2_097_092)]
    [InlineData(2 * 1024 * 1024, 250, 1, 2_096_839)]
    [InlineData(512 * 1024, 1, 0, 524_228)]
    [InlineData(512 * 1024, 250, 1, 523_975)]
    [InlineData(32 * 1024 * 1024, 1, 0, 33_554_372)]
    [InlineData(32 * 1024 * 1024, 250, 1, 33_554_119)]
    public void IsItemTooLargeHasMemcachedsEdge(int itemBytesMax, int keyBytes, uint clientFlags, long largestValue)
    {
        Assert.False(Limits.IsItemTooLarge(keyBytes, largestValue, clientFlags, itemBytesMax));
        Assert.True(Limits.IsItemTooLarge(keyBytes, largestValue + 1, clientFlags, itemBytesMax));
    }

    [Fact]
    public void IsItemTooLargeDoesNotOverflow() => Assert.True(Limits.IsItemTooLarge(250, int.MaxValue + 2L, 1, Limits.ItemBytesMax));

    [Theory]
    [InlineData(0, 256, 0)]
    [InlineData(255, 256, 255)]
    [InlineData(256, 256, 0)]
    [InlineData(ulong.MaxValue, 256, 255)]
    [InlineData(ulong.MaxValue, 16384, 16383)]
    [InlineData(ulong.MaxValue, 1, 0)]
    [InlineData(1_000_003, 251, 1_000_003 % 251)]
    public void APartitionIsTheHashModuloTheirNumber(ulong hash, int partitionCount, int expected) =>
        Assert.Equal(new PartitionId(expected), PartitionId.OfHash(hash, partitionCount));
}
