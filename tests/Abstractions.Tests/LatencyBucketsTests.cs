namespace OrleansCache.Abstractions.Tests;

public sealed class LatencyBucketsTests
{
    [Fact]
    public void EveryLatencyLiesBelowItsBucketsUpperBoundAndNotBelowTheOneBefore()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int i = 0; i < 100_000; i++)
        {
            long nanoseconds = random.NextInt64(1L << random.Next(1, 36));
            int bucket = LatencyBuckets.IndexOf(nanoseconds);
            Assert.True(nanoseconds < LatencyBuckets.UpperNanoseconds(bucket), $"{nanoseconds} ns, seed {seed}");
            Assert.True(bucket == 0 || nanoseconds >= LatencyBuckets.UpperNanoseconds(bucket - 1), $"{nanoseconds} ns, seed {seed}");
        }
    }

    [Fact]
    public void ABucketIsAtMostAThirtySecondWide()
    {
        for (int bucket = 33; bucket < LatencyBuckets.Count; bucket++)
        {
            double lower = LatencyBuckets.UpperNanoseconds(bucket - 1);
            Assert.InRange((LatencyBuckets.UpperNanoseconds(bucket) - lower) / lower, 0.0, 1.0 / 32);
        }
    }

    [Theory]
    [InlineData(-5, 0)]
    [InlineData(0, 0)]
    [InlineData(long.MaxValue, LatencyBuckets.Count - 1)]
    public void WhatIsBeyondTheBucketsIsInTheFirstOrTheLast(long nanoseconds, int bucket) => Assert.Equal(bucket, LatencyBuckets.IndexOf(nanoseconds));
}
