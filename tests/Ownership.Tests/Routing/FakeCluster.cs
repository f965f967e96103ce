using System.Text;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Routing;

/// <summary>Silos that only write down what they execute. Each answer can be held back, refused, deferred or made to fail.</summary>
internal sealed class FakeCluster(int partitionCount) : ITableCache, IBatchTransport
{
    private readonly SiloId[] _owners = new SiloId[partitionCount];
    private long _version;
    private long _tickets;

    public static SiloId A { get; } = SiloId.Create("127.0.0.1:1", 1);

    public static SiloId B { get; } = SiloId.Create("127.0.0.1:2", 2);

    public PartitionTable Current { get; private set; } =
        PartitionTable.Create(default, new HashSeed(1, 1), new SiloId[partitionCount], new long[partitionCount]);

    /// <summary>What the silos hash keys with.</summary>
    public KeyHasher Hasher { get; private set; } = new(new HashSeed(1, 1));

    public SiloId LocalSilo { get; init; }

    /// <summary>Batches that arrived and wait for their answer, in order of arrival.</summary>
    public List<Call> Calls { get; } = [];

    /// <summary>Those who wait for kept results, in order of arrival.</summary>
    public List<CollectCall> CollectCalls { get; } = [];

    /// <summary>Every operation that any silo executed, in order: key and value.</summary>
    public List<(string Key, string Value, SiloId Silo)> Executed { get; } = [];

    public int RefreshRequests { get; private set; }

    public event Action<PartitionTable>? Changed;

    /// <summary>The truth: which silo executes a partition now.</summary>
    public void SetOwner(int partition, SiloId silo) => _owners[partition] = silo;

    public SiloId OwnerOf(int partition) => _owners[partition];

    /// <summary>All silos were lost; others have their names and another seed. The table does not show it yet.</summary>
    public void BeginNewLife(HashSeed seed) => Hasher = new KeyHasher(seed);

    /// <summary>Lets the table show the truth.</summary>
    public void PublishTable()
    {
        Current = PartitionTable.Create(new PartitionTableVersion(1, ++_version), Hasher.Seed, _owners, new long[partitionCount]);
        Changed?.Invoke(Current);
    }

    public void RequestRefresh() => RefreshRequests++;

    public ValueTask<BatchReply> SendAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        var call = new Call(target, lane, request, new TaskCompletionSource<BatchReply>());
        Calls.Add(call);
        return new ValueTask<BatchReply>(call.Completion.Task);
    }

    public ValueTask<BatchReply> CollectAsync(BatchTarget target, long ticket, CancellationToken cancellationToken)
    {
        var call = new CollectCall(target, ticket, new TaskCompletionSource<BatchReply>());
        CollectCalls.Add(call);
        return new ValueTask<BatchReply>(call.Completion.Task);
    }

    public ValueTask<ItemScanPage?> ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken) =>
        ValueTask.FromResult<ItemScanPage?>(null);

    public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <summary>
    /// Executes the oldest waiting batch of a silo (or any) and answers it. Operations from index <paramref name="deferFrom"/> on are deferred; those that
    /// <paramref name="pending"/> names by their keys are executed, and their results kept.
    /// </summary>
    public bool Answer(int callIndex = 0, int deferFrom = int.MaxValue, Predicate<string>? pending = null)
    {
        if (Calls.Count <= callIndex)
            return false;
        Call call = Calls[callIndex];
        Calls.RemoveAt(callIndex);
        var writer = new ReplyWriter();
        var reader = new BatchReader(call.Request.Payload.Span);
        int index = 0;
        while (reader.TryRead(out CacheRequest request))
        {
            int partition = PartitionId.OfHash(request.KeyHash, partitionCount).Value;
            if (index++ >= deferFrom)
            {
                writer.WriteStatus(BatchFormat.StatusDeferred);
            }
            else if ((call.Target.Partition is null && _owners[partition] != call.Target.Silo) || _owners[partition].IsNone
                || reader.HashFingerprint != Hasher.Fingerprint)
            {
                writer.WriteStatus(BatchFormat.StatusNotOwner);
            }
            else
            {
                Executed.Add((Encoding.ASCII.GetString(request.Key), Encoding.ASCII.GetString(request.Value), _owners[partition]));
                if (pending?.Invoke(Executed[^1].Key) == true)
                    writer.WriteStatus(BatchFormat.StatusPending);
                else
                    writer.OnReply(new CacheReply { Status = CacheStatus.Ok, ClientFlags = request.ClientFlags });
            }
        }

        call.Completion.SetResult(new BatchReply(writer.TakeReply(pending is null ? 0 : ++_tickets), 1, _version));
        return true;
    }

    /// <summary>Answers the oldest batch: executed, and nobody will ever know whether the partitions' copies have it.</summary>
    public void AnswerUnacknowledged()
    {
        (Call call, ReplyWriter writer) = TakeOldest(BatchFormat.StatusUnacknowledged);
        call.Completion.SetResult(new BatchReply(writer.TakeReply(), 1, _version));
    }

    /// <summary>Answers the oldest batch with a reply that keeps the first result and is cut short behind it.</summary>
    public void AnswerCutShort()
    {
        (Call call, ReplyWriter writer) = TakeOldest(BatchFormat.StatusPending);
        byte[] whole = writer.TakeReply(++_tickets).Span.ToArray();
        int cut = BatchFormat.ReplyHeaderBytes + BatchFormat.ResultHeaderBytes;
        call.Completion.SetResult(new BatchReply(PooledBytes.Wrap(whole, cut), 1, _version));
    }

    /// <summary>Answers the oldest who collects: a result for each that is pending, Ok or one of the format's own statuses.</summary>
    public void AnswerCollect(params byte[] statuses)
    {
        CollectCall call = CollectCalls[0];
        CollectCalls.RemoveAt(0);
        var writer = new ReplyWriter();
        foreach (byte status in statuses)
        {
            if (status == (byte)CacheStatus.Ok)
                writer.OnReply(new CacheReply { Status = CacheStatus.Ok });
            else
                writer.WriteStatus(status);
        }

        call.Completion.SetResult(new BatchReply(writer.TakeReply(call.Ticket), 1, _version));
    }

    public void Fail(int callIndex, Exception exception)
    {
        Call call = Calls[callIndex];
        Calls.RemoveAt(callIndex);
        call.Completion.SetException(exception);
    }

    /// <summary>The oldest batch, and a reply in which every result is this.</summary>
    private (Call Call, ReplyWriter Reply) TakeOldest(byte status)
    {
        Call call = Calls[0];
        Calls.RemoveAt(0);
        var writer = new ReplyWriter();
        var reader = new BatchReader(call.Request.Payload.Span);
        while (reader.TryRead(out _))
            writer.WriteStatus(status);
        return (call, writer);
    }

    internal sealed record CollectCall(BatchTarget Target, long Ticket, TaskCompletionSource<BatchReply> Completion);

    internal sealed record Call(BatchTarget Target, int Lane, BatchRequest Request, TaskCompletionSource<BatchReply> Completion);
}
