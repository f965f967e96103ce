using OrleansCache.Ownership.Replication;

namespace OrleansCache.Ownership.Tests.Replication;

public sealed class ScanThrottleTests
{
    private readonly ManualTime _time = new();
    private readonly ScanThrottle _throttle;

    public ScanThrottleTests() => _throttle = new ScanThrottle(_time);

    [Fact]
    public void WithoutALimitNobodyWaits()
    {
        _throttle.Spend(long.MaxValue / 2);
        Assert.Equal(TimeSpan.Zero, _throttle.ReadWait());
    }

    [Fact]
    public void WhatWasReadIsWaitedForAfterwards()
    {
        _throttle.BytesPerSecond = 1_000;
        Assert.Equal(TimeSpan.Zero, _throttle.ReadWait());
        _throttle.Spend(500);
        Assert.Equal(TimeSpan.FromMilliseconds(500), _throttle.ReadWait());
        _time.Advance(TimeSpan.FromMilliseconds(499));
        Assert.Equal(TimeSpan.FromMilliseconds(1), _throttle.ReadWait());
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(TimeSpan.Zero, _throttle.ReadWait());
    }

    [Fact]
    public void OverAnyTimeNoMoreIsReadThanTheLimitAndOnePartAndATenthOfASecond()
    {
        const int Limit = 100_000;
        _throttle.BytesPerSecond = Limit;
        _time.Advance(TimeSpan.FromHours(1));
        int seed = TestSeed.Next();
        Random random = new(seed);
        long read = 0, largest = 0, milliseconds = 0;
        while (milliseconds < 20_000)
        {
            if (_throttle.ReadWait() == TimeSpan.Zero)
            {
                int part = random.Next(1, 64 * 1024);
                largest = Math.Max(largest, part);
                read += part;
                _throttle.Spend(part);
                Assert.True(read <= (Limit * milliseconds / 1000) + (Limit / 10) + largest, $"seed {seed}: {read} bytes in {milliseconds} ms");
                continue;
            }

            _time.Advance(_throttle.ReadWait());
            milliseconds = (long)(_time.GetUtcNow() - DateTimeOffset.FromUnixTimeSeconds(1_800_000_000) - TimeSpan.FromHours(1)).TotalMilliseconds;
        }

        Assert.True(read >= Limit * 19L, $"seed {seed}: {read} bytes in {milliseconds} ms");
    }

    [Fact]
    public void ANewLimitBeginsWithoutDebt()
    {
        _throttle.BytesPerSecond = 1;
        _throttle.Spend(1_000_000);
        Assert.True(_throttle.ReadWait() > TimeSpan.FromDays(1));
        _throttle.BytesPerSecond = 1_000;
        Assert.Equal(TimeSpan.Zero, _throttle.ReadWait());
    }
}
