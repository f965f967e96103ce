using System.Text;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Routing;

/// <summary>A silo that did not run for a while answers nothing of its own before it knows that it still may.</summary>
public sealed class FreezeDetectorTests : IDisposable
{
    private static readonly TimeSpan s_frozen = FreezeDetector.GapMax + TimeSpan.FromMilliseconds(1);
    private readonly ManualTime _time = new();
    private readonly HandLoop _loop = new();
    private readonly FakeCluster _cluster = new(1) { LocalSilo = FakeCluster.A };
    private readonly PartitionSet _partitions = new(new StoreOptions { PartitionCount = 1, MemoryBytes = 8 << 20 });
    private readonly TaskCompletionSource<TimeSpan> _gap = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly FreezeDetector _detector;
    private readonly RouterChannel _channel;

    public FreezeDetectorTests()
    {
        _detector = new FreezeDetector(_time, gap => _gap.TrySetResult(gap));
        _detector.StartWithoutThread();
        _partitions.UseHashSeed(_cluster.Hasher.Seed);
        _partitions.Open(new PartitionId(0), 1);
        _cluster.SetOwner(0, FakeCluster.A);
        _cluster.PublishTable();
        _channel = new ClusterRouter(1, _partitions, _cluster, _cluster, _time) { Freeze = _detector }.OpenChannel(_loop);
        Assert.Equal(CacheStatus.Ok, Ask().Status);
    }

    public void Dispose()
    {
        _detector.Dispose();
        _partitions.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OnWakeUpRequestsWaitUntilTheMembershipIsConfirmed(bool beatsFirst)
    {
        _channel.Flush();
        _time.Advance(s_frozen);
        if (beatsFirst)
            _detector.Beat();
        RecordingSink waiting = Ask();
        Assert.Equal(0, waiting.Calls);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        _loop.RunPosted();
        Assert.Equal(0, waiting.Calls);
        Assert.Equal(s_frozen, await _gap.Task.WaitAsync(TimeSpan.FromSeconds(20)));

        _detector.Beat();
        Assert.True(_detector.TryResume(_detector.GapCount, isMember: true));
        _channel.Flush();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        _loop.RunPosted();
        Assert.Equal((1, CacheStatus.Ok), (waiting.Calls, waiting.Status));
        Assert.Equal(CacheStatus.Ok, Ask().Status);
    }

    [Fact]
    public void OneThatWasDeclaredDeadRefuses()
    {
        _channel.Flush();
        _time.Advance(s_frozen);
        RecordingSink waiting = Ask();
        _detector.Evict();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        _loop.RunPosted();
        Assert.Equal((1, CacheStatus.Unavailable), (waiting.Calls, waiting.Status));
        Assert.Contains("replaced", waiting.Reason, StringComparison.Ordinal);
        Assert.False(_detector.TryResume(_detector.GapCount, isMember: true) && _detector.MayServe);
    }

    [Fact]
    public void WhatOthersSendIsRefusedAsNotOwned()
    {
        var executor = new BatchExecutor(_partitions, _time, _detector);
        var writer = new BatchWriter();
        writer.Append(new CacheRequest { Operation = CacheOperation.Set, Key = "k"u8, KeyHash = _cluster.Hasher.Compute("k"u8), Value = "late"u8 });
        PooledBytes batch = writer.Complete(_cluster.Hasher.Fingerprint);
        _time.Advance(s_frozen);
        var reader = new ReplyReader(executor.Execute(batch.Span).Span);
        Assert.True(reader.TryRead(out byte status, out _));
        Assert.Equal(BatchFormat.StatusNotOwner, status);
    }

    [Fact]
    public void AConfirmationFromBeforeAnotherGapCountsForNothing()
    {
        _time.Advance(s_frozen);
        _detector.Beat();
        int before = _detector.GapCount;
        _time.Advance(s_frozen);
        Assert.False(_detector.TryResume(before, isMember: true));
        _detector.Beat();
        Assert.False(_detector.TryResume(before, isMember: true));
        Assert.True(_detector.TryResume(_detector.GapCount, isMember: true));
        Assert.True(_detector.MayServeNow());
    }

    [Fact]
    public void OneThatSleptLongerThanItsLeaseServesNothingUntilItHearsOfTheOthers()
    {
        _detector.OnRound(1, 1, grantsLease: false);
        _detector.OnRound(1, 2, grantsLease: true);
        _time.Advance(FreezeDetector.LeaseLength + TimeSpan.FromMilliseconds(1));
        _detector.Beat();
        Assert.True(_detector.TryResume(_detector.GapCount, isMember: false));
        _detector.Beat();
        Assert.True(_detector.IsLeaseOver);
        Assert.False(_detector.MayServeNow());
        _detector.OnRound(1, 3, grantsLease: false);
        _detector.OnRound(1, 4, grantsLease: true);
        Assert.True(_detector.MayServeNow());
    }

    /// <summary>As it happens when a link that was cut is whole again.</summary>
    [Fact]
    public void ARequestThatWasLongOnItsWayRenewsNoLease()
    {
        _detector.OnRound(1, 1, grantsLease: false);
        _detector.OnRound(1, 2, grantsLease: true);
        for (int beats = 0; beats < 6; beats++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            _detector.Beat();
        }

        Assert.True(_detector.IsLeaseOver);
        _detector.OnRound(1, 3, grantsLease: true);
        _detector.OnRound(1, 4, grantsLease: false);
        Assert.False(_detector.MayServeNow());
        _detector.OnRound(1, 5, grantsLease: true);
        Assert.True(_detector.MayServeNow());
    }

    [Fact]
    public void ABusyMachineIsNoFreeze()
    {
        for (int i = 0; i < 10; i++)
        {
            _time.Advance(FreezeDetector.GapMax);
            Assert.True(_detector.MayServeNow());
            _detector.Beat();
        }

        Assert.Equal(0, _detector.GapCount);
    }

    private RecordingSink Ask()
    {
        byte[] key = Encoding.ASCII.GetBytes("k");
        var sink = new RecordingSink("k");
        var request = new CacheRequest { Operation = CacheOperation.Set, Key = key, KeyHash = _cluster.Hasher.Compute(key), Value = "v"u8 };
        if (!_channel.TryExecute(in request, 1, sink))
            _channel.Send(in request, sink);
        return sink;
    }
}
