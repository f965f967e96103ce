using System.Text;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Routing;

/// <summary>The way of a gateway without partitions of its own: everything goes through batches.</summary>
public sealed class ClusterChannelTests
{
    private const int Partitions = 4;
    private readonly ManualTime _time = new();
    private readonly HandLoop _loop = new();
    private readonly FakeCluster _cluster = new(Partitions);
    private readonly ClusterRouterOptions _options = new();
    private RouterChannel _channel;

    public ClusterChannelTests()
    {
        for (int partition = 0; partition < Partitions; partition++)
            _cluster.SetOwner(partition, FakeCluster.A);
        _cluster.PublishTable();
        _channel = Open(_options);
    }

    [Fact]
    public void WhatCollectsWhileABatchIsAwayLeavesInOneBatch()
    {
        RecordingSink first = Send("k", "0");
        _channel.Flush();
        RecordingSink[] others = [.. Enumerable.Range(1, 50).Select(i => Send($"k{i}", $"{i}"))];
        _channel.Flush();
        Assert.Single(_cluster.Calls);

        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal(1, first.Calls);
        Assert.Single(_cluster.Calls);
        Assert.All(others, sink => Assert.Equal(0, sink.Calls));

        _cluster.Answer();
        _loop.RunOne();
        Assert.All(others, sink => Assert.Equal((1, CacheStatus.Ok), (sink.Calls, sink.Status)));
        Assert.Empty(_cluster.Calls);
    }

    [Fact]
    public void WhenAPartitionMovedTheOperationsFollowItInOrder()
    {
        int partition = PartitionOf("k");
        RecordingSink[] sinks = [Send("k", "1"), Send("k", "2")];
        _channel.Flush();
        sinks = [.. sinks, Send("k", "3")];
        _channel.Flush();
        _cluster.SetOwner(partition, FakeCluster.B);
        _cluster.Answer();
        _loop.RunOne();
        Assert.Empty(_cluster.Executed);
        sinks = [.. sinks, Send("k", "4")];
        _channel.Flush();
        Assert.True(_cluster.RefreshRequests > 0);

        _cluster.PublishTable();
        _time.Advance(_options.RetryInterval);
        _loop.RunOne();
        Assert.Equal(new BatchTarget(FakeCluster.B), Assert.Single(_cluster.Calls).Target);
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal(["1", "2", "3", "4"], _cluster.Executed.Select(e => e.Value));
        Assert.All(sinks, sink => Assert.Equal((1, CacheStatus.Ok), (sink.Calls, sink.Status)));
    }

    [Fact]
    public void WhenTheTableStaysOldThePartitionItselfIsAskedAndOrderIsKept()
    {
        int partition = PartitionOf("k");
        _cluster.SetOwner(partition, FakeCluster.B);
        List<RecordingSink> sinks = [Send("k", "1"), Send("k", "2")];
        _channel.Flush();
        TimeSpan waited = TimeSpan.Zero;
        while (_cluster.Calls is [{ Target.Partition: null }])
        {
            _cluster.Answer();
            _loop.RunOne();
            Assert.True(waited < 2 * _options.AskPartitionAfter, $"After {waited.TotalMilliseconds} ms nobody has asked the partition");
            for (; _cluster.Calls.Count == 0; waited += _options.RetryInterval)
            {
                _time.Advance(_options.RetryInterval);
                _loop.RunOne();
            }
        }

        Assert.True(waited >= _options.AskPartitionAfter, $"The partition is asked after {waited.TotalMilliseconds} ms");
        Assert.Equal(new BatchTarget(FakeCluster.A, new PartitionId(partition)), Assert.Single(_cluster.Calls).Target);

        // What comes meanwhile goes the same way; what comes when nothing is out any more goes to the silo again.
        sinks.Add(Send("k", "3"));
        _channel.Flush();
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal(partition, Assert.Single(_cluster.Calls).Target.Partition?.Value);
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal(["1", "2", "3"], _cluster.Executed.Select(e => e.Value));
        Assert.All(sinks, sink => Assert.Equal((1, CacheStatus.Ok), (sink.Calls, sink.Status)));
        Send("k", "4");
        _channel.Flush();
        Assert.Equal(new BatchTarget(FakeCluster.A), Assert.Single(_cluster.Calls).Target);
    }

    [Fact]
    public void WhenNobodyOwnsThePartitionTheRequestEndsInAClearErrorWithinTheTimeout()
    {
        _cluster.SetOwner(PartitionOf("k"), default);
        _cluster.PublishTable();
        RecordingSink sink = Send("k", "1");
        _channel.Flush();
        for (TimeSpan waited = TimeSpan.Zero; waited <= _options.RequestTimeout; waited += TimeSpan.FromSeconds(1))
        {
            Assert.Equal(0, sink.Calls);
            _time.Advance(TimeSpan.FromSeconds(1));
            _loop.RunPosted();

            // The partition itself is asked as well, and Orleans does not find it.
            if (_cluster.Calls is [{ Target.Partition: not null }])
            {
                _cluster.Fail(0, new BatchNotExecutedException("nobody serves it"));
                _loop.RunOne();
            }
        }

        Assert.Equal((1, CacheStatus.Unavailable), (sink.Calls, sink.Status));
        Assert.Contains("owner", sink.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void WhenABatchFailsReadsAreAskedAgainAtTheNewOwnerAndWritesSayThatTheyAreUnknown()
    {
        RecordingSink write = Send("k", "1");
        RecordingSink read = Send("k", "", CacheOperation.Get);
        _channel.Flush();
        RecordingSink unsentWrite = Send("k", "2");
        _channel.Flush();
        _cluster.Fail(0, new InvalidOperationException("gone"));
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Unavailable), (write.Calls, write.Status));
        Assert.Equal((0, 0), (read.Calls, unsentWrite.Calls));

        _cluster.SetOwner(PartitionOf("k"), FakeCluster.B);
        _cluster.PublishTable();
        _time.Advance(_options.RetryInterval);
        _loop.RunOne();
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Ok), (read.Calls, read.Status));
        Assert.Equal((1, CacheStatus.Ok), (unsentWrite.Calls, unsentWrite.Status));
        Assert.Equal(["", "2"], _cluster.Executed.Select(e => e.Value));
    }

    [Fact]
    public void ABatchThatReachedNobodyIsSentAgainWritesToo()
    {
        RecordingSink first = Send("k", "1");
        _channel.Flush();
        RecordingSink second = Send("k", "2");
        _channel.Flush();
        _cluster.Fail(0, new BatchNotExecutedException("not known yet"));
        _loop.RunOne();
        Assert.Equal((0, 0), (first.Calls, second.Calls));
        _time.Advance(_options.RetryAfterUnreachableInterval);
        while (_cluster.Calls.Count == 0)
        {
            _time.Advance(_options.RetryInterval);
            _loop.RunPosted();
        }

        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal(["1", "2"], _cluster.Executed.Select(e => e.Value));
        Assert.Equal((CacheStatus.Ok, CacheStatus.Ok), (first.Status, second.Status));
    }

    [Fact]
    public void ASiloThatNeverAnswersIsGivenUpAfterTheBatchTimeout()
    {
        RecordingSink write = Send("k", "1");
        _channel.Flush();
        _time.Advance(_options.BatchTimeout + TimeSpan.FromMilliseconds(1));
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Unavailable), (write.Calls, write.Status));
        Assert.Contains("in time", write.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatTheExecutorDeferredIsSentAgainBeforeWhatCameLater()
    {
        RecordingSink[] sinks = [Send("k", "1"), Send("k", "2"), Send("k", "3")];
        _channel.Flush();
        sinks = [.. sinks, Send("k", "4")];
        _channel.Flush();
        _cluster.Answer(deferFrom: 1);
        _loop.RunOne();
        while (_cluster.Answer())
            _loop.RunOne();
        Assert.Equal(["1", "2", "3", "4"], _cluster.Executed.Select(e => e.Value));
        Assert.All(sinks, sink => Assert.Equal(1, sink.Calls));
    }

    [Fact]
    public void AMalformedReplyIsAnErrorForTheClientAndNothingElse()
    {
        RecordingSink write = Send("k", "1");
        _channel.Flush();
        FakeCluster.Call call = _cluster.Calls[0];
        _cluster.Calls.Clear();
        call.Completion.SetResult(new BatchReply(PooledBytes.Wrap(new byte[3], 3), 1, 1));
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Unavailable), (write.Calls, write.Status));
        RecordingSink next = Send("k", "2");
        _channel.Flush();
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Ok), (next.Calls, next.Status));
    }

    [Fact]
    public void BeyondTheQueueBoundRequestsAreRefusedAtOnce()
    {
        _channel = Open(_options with { QueuedBytesMax = 10_000 });
        var sinks = new List<RecordingSink>();
        for (int i = 0; i < 1000; i++)
            sinks.Add(Send("k", new string('v', 100)));
        _channel.Flush();
        Assert.All(sinks, sink => Assert.Equal(0, sink.Calls));
        _loop.RunPosted();
        int refused = sinks.Count(sink => sink.Status == CacheStatus.Unavailable);

        // Not the bytes of the requests alone: what waits for their answers is several times as much.
        Assert.InRange(refused, 980, 990);
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal(1000 - refused, sinks.Count(sink => sink.Status == CacheStatus.Ok));

        RecordingSink after = Send("k", "v");
        _channel.Flush();
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal(CacheStatus.Ok, after.Status);
    }

    [Fact]
    public void WhenTheClusterBeginsAnewWhatIsOutEndsInAClearErrorAndWhatComesLaterIsHashedAnew()
    {
        RecordingSink away = Send("k", "1");
        _channel.Flush();
        RecordingSink deferred = Send("k", "2");
        RecordingSink waiting = Send("k", "3");
        _channel.Flush();
        string homeless = Enumerable.Range(0, 100).Select(i => $"key{i}").First(key => PartitionOf(key) != PartitionOf("k"));
        _cluster.SetOwner(PartitionOf(homeless), default);
        _cluster.PublishTable();
        RecordingSink held = Send(homeless, "4");
        _channel.Flush();

        _cluster.BeginNewLife(new HashSeed(2, 2));
        RecordingSink late = Send("k", "5");
        for (int partition = 0; partition < Partitions; partition++)
            _cluster.SetOwner(partition, FakeCluster.A);
        KeyHasher former = _channel.Hasher;
        _cluster.PublishTable();
        Assert.Same(former, _channel.Hasher);
        _loop.RunOne();
        Assert.Equal(new HashSeed(2, 2), _channel.Hasher.Seed);
        Assert.All(new[] { deferred, waiting, held, late }, sink => Assert.Equal((1, CacheStatus.Unavailable), (sink.Calls, sink.Status)));
        Assert.Contains("begun anew", held.Reason, StringComparison.Ordinal);

        RecordingSink next = Send("k", "6");
        _channel.Flush();
        while (_cluster.Answer())
            _loop.RunOne();
        Assert.Equal((1, CacheStatus.Unavailable), (away.Calls, away.Status));
        Assert.Equal((1, CacheStatus.Ok), (next.Calls, next.Status));
        Assert.Equal(["6"], _cluster.Executed.Select(e => e.Value));
    }

    [Fact]
    public void WhatWasOnItsWayWhenTheClusterBeganAnewIsNotTriedAgain()
    {
        RecordingSink[] sinks = [Send("k", "1"), Send("k", "2", CacheOperation.Get)];
        _channel.Flush();
        _cluster.BeginNewLife(new HashSeed(2, 2));
        _cluster.PublishTable();
        _loop.RunOne();
        Assert.All(sinks, sink => Assert.Equal(0, sink.Calls));
        _cluster.Fail(0, new BatchNotExecutedException("gone"));
        _loop.RunOne();
        Assert.All(sinks, sink => Assert.Equal((1, CacheStatus.Unavailable), (sink.Calls, sink.Status)));
        Assert.Empty(_cluster.Calls);
    }

    /// <summary>
    /// Random owners, stale tables, deferrals, failures, timeouts and clusters that begin anew. Whatever happens: every request is answered exactly once and
    /// with its own answer, replies and effects of one key keep the order of the requests, and nothing takes effect twice.
    /// </summary>
    [Fact]
    public void UnderRandomMovesAndFaultsOrderAndExactlyOnceHold()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int run = 0; run < 30; run++)
        {
            var cluster = new FakeCluster(Partitions);
            var loop = new HandLoop();
            var time = new ManualTime();
            var channel = new ClusterRouter(Partitions, null, cluster, cluster, time, _options).OpenChannel(loop);
            var replies = new List<RecordingSink>();
            var sinks = new List<RecordingSink>();
            int lives = 1;
            void Step(bool faults)
            {
                if (faults && random.Next(10) == 0)
                    cluster.SetOwner(random.Next(Partitions), random.Next(5) switch { 0 => default, 1 or 2 => FakeCluster.A, _ => FakeCluster.B });
                if (faults && random.Next(600) == 0)
                {
                    cluster.BeginNewLife(new HashSeed((ulong)random.NextInt64(), 1));
                    lives++;
                }

                if (random.Next(5) == 0)
                    cluster.PublishTable();
                if (cluster.Calls.Count > 0 && random.Next(2) == 0)
                {
                    int call = random.Next(cluster.Calls.Count);
                    if (faults && random.Next(30) == 0)
                        cluster.Fail(call, random.Next(2) == 0 ? new InvalidOperationException("gone") : new BatchNotExecutedException("unknown"));
                    else
                        cluster.Answer(call, random.Next(4) == 0 ? random.Next(1, 10) : int.MaxValue);
                    loop.RunOne();
                }

                if (random.Next(3) == 0)
                {
                    time.Advance(_options.RetryInterval);
                    loop.RunPosted();
                }
            }

            for (int i = 0; i < 2000; i++)
            {
                var sink = new RecordingSink($"{i}", replies);
                sinks.Add(sink);
                byte[] key = Encoding.ASCII.GetBytes($"key{random.Next(8)}");
                channel.Send(
                    new CacheRequest
                    {
                        Operation = CacheOperation.Append,
                        Key = key,
                        KeyHash = channel.Hasher.Compute(key),
                        Value = Encoding.ASCII.GetBytes($"{i}"),
                        ClientFlags = (uint)i,
                    },
                    sink);
                if (random.Next(3) == 0)
                    channel.Flush();
                Step(faults: true);
            }

            for (int partition = 0; partition < Partitions; partition++)
                cluster.SetOwner(partition, FakeCluster.A);
            cluster.PublishTable();
            channel.Flush();
            for (int i = 0; i < 20_000 && sinks.Exists(sink => sink.Calls == 0); i++)
                Step(faults: false);

            string context = $"seed {seed}, run {run}";
            Assert.True(sinks.TrueForAll(sink => sink.Calls == 1), $"not exactly one reply each, {context}");
            Assert.True(sinks.TrueForAll(sink => sink.Status != CacheStatus.Ok || sink.ClientFlags == uint.Parse(sink.Name)),
                $"another request's reply, {context}");
            foreach (var ofKey in cluster.Executed.GroupBy(e => e.Key))
            {
                int[] order = [.. ofKey.Select(e => int.Parse(e.Value))];
                Assert.True(order.SequenceEqual(order.Distinct().Order()), $"effects of {ofKey.Key} out of order or repeated, {context}");
            }

            var executed = cluster.Executed.Select(e => e.Value).ToHashSet();
            Assert.True(sinks.TrueForAll(sink => sink.Status != CacheStatus.Ok || executed.Contains(sink.Name)), $"an answer without its effect, {context}");
            Assert.True(lives > 1 || executed.Count > 1000, $"only {executed.Count} of 2000 took effect, {context}");
        }
    }

    /// <summary>A replica that does not answer holds up what waits for it, and nothing that shares its batch or comes behind it.</summary>
    [Fact]
    public void WhatThePartitionsReplicasHaveNotGotYetHoldsUpNothingElse()
    {
        RecordingSink slow = Send("slow", "1");
        RecordingSink other = Send("other", "2");
        _channel.Flush();
        _cluster.Answer(pending: static key => key == "slow");
        _loop.RunOne();
        Assert.Equal((0, 1), (slow.Calls, other.Calls));

        RecordingSink behind = Send("slow", "3");
        RecordingSink behindOther = Send("other", "4");
        _channel.Flush();
        _cluster.Answer(pending: static key => key == "slow");
        _loop.RunOne();
        Assert.Equal((0, 0, 1), (slow.Calls, behind.Calls, behindOther.Calls));

        _cluster.AnswerCollect(BatchFormat.StatusPending);
        _loop.RunOne();
        Assert.Equal(0, slow.Calls);
        Assert.Equal(2, _cluster.CollectCalls.Count);
        _cluster.AnswerCollect((byte)CacheStatus.Ok);
        _loop.RunOne();
        _cluster.AnswerCollect((byte)CacheStatus.Ok);
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Ok, 1, CacheStatus.Ok), (slow.Calls, slow.Status, behind.Calls, behind.Status));
        Assert.Empty(_cluster.CollectCalls);
        Assert.Equal(4, _cluster.Executed.Count);
    }

    [Fact]
    public void WhatIsCollectedInPartsIsGivenToWhomItBelongs()
    {
        RecordingSink[] sinks = [.. Enumerable.Range(0, 4).Select(i => Send($"k{i}", $"{i}"))];
        _channel.Flush();
        _cluster.Answer(pending: static key => key != "k1");
        _loop.RunOne();
        Assert.Equal([0, 1, 0, 0], sinks.Select(static sink => sink.Calls));
        _cluster.AnswerCollect(BatchFormat.StatusPending, (byte)CacheStatus.Ok, BatchFormat.StatusPending);
        _loop.RunOne();
        Assert.Equal([0, 1, 1, 0], sinks.Select(static sink => sink.Calls));
        _cluster.AnswerCollect((byte)CacheStatus.Ok, BatchFormat.StatusUnacknowledged);
        _loop.RunOne();
        Assert.Equal([1, 1, 1, 1], sinks.Select(static sink => sink.Calls));
        Assert.Equal([CacheStatus.Ok, CacheStatus.Ok, CacheStatus.Ok, CacheStatus.Unavailable], sinks.Select(static sink => sink.Status));
    }

    [Fact]
    public void WhenTheSiloIsLostThatKeepsResultsTheirRequestsSayThatTheyAreUnknown()
    {
        RecordingSink pending = Send("k", "1");
        _channel.Flush();
        _cluster.Answer(pending: static _ => true);
        _loop.RunOne();
        _cluster.CollectCalls[0].Completion.SetException(new InvalidOperationException("gone"));
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Unavailable), (pending.Calls, pending.Status));
        Assert.Contains("may have taken effect", pending.Reason, StringComparison.Ordinal);

        // Nothing of it is left: the partition's next request goes its way.
        RecordingSink next = Send("k", "2");
        _channel.Flush();
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Ok), (next.Calls, next.Status));
    }

    /// <summary>Also what stood before the damage and was to be collected: with that reply its ticket is worth nothing.</summary>
    [Fact]
    public void WhenAReplyIsDamagedNobodyWaitsForEver()
    {
        RecordingSink kept = Send("kept", "1");
        RecordingSink damaged = Send("damaged", "2");
        _channel.Flush();
        _cluster.AnswerCutShort();
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Unavailable), (kept.Calls, kept.Status));
        Assert.Equal((1, CacheStatus.Unavailable), (damaged.Calls, damaged.Status));
        Assert.Empty(_cluster.CollectCalls);

        RecordingSink next = Send("kept", "3");
        _channel.Flush();
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Ok), (next.Calls, next.Status));
    }

    [Fact]
    public void WhatTheReplicasWillNeverHaveIsReadAgainAndWritesSayThatTheyAreUnknown()
    {
        RecordingSink write = Send("k", "1");
        RecordingSink read = Send("k", "", CacheOperation.Get);
        _channel.Flush();
        _cluster.AnswerUnacknowledged();
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Unavailable, 0), (write.Calls, write.Status, read.Calls));
        _cluster.SetOwner(PartitionOf("k"), FakeCluster.B);
        _cluster.PublishTable();
        _time.Advance(_options.RetryInterval);
        _loop.RunOne();
        _cluster.Answer();
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Ok), (read.Calls, read.Status));
    }

    private RouterChannel Open(ClusterRouterOptions options) =>
        new ClusterRouter(Partitions, null, _cluster, _cluster, _time, options).OpenChannel(_loop);

    private int PartitionOf(string key) => PartitionId.OfHash(_channel.Hasher.Compute(Encoding.ASCII.GetBytes(key)), Partitions).Value;

    private RecordingSink Send(string key, string value, CacheOperation operation = CacheOperation.Set)
    {
        byte[] keyBytes = Encoding.ASCII.GetBytes(key);
        var sink = new RecordingSink(value);
        var request = new CacheRequest
        {
            Operation = operation,
            Flags = operation == CacheOperation.Get ? RequestFlags.ReturnValue : RequestFlags.None,
            Key = keyBytes,
            KeyHash = _channel.Hasher.Compute(keyBytes),
            Value = Encoding.ASCII.GetBytes(value),
        };
        Assert.False(_channel.TryExecute(in request, 1, sink));
        _channel.Send(in request, sink);
        return sink;
    }
}
