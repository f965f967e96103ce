#if CLUSTER
using BenchmarkDotNet.Attributes;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Benchmarks;

/// <summary>
/// What a remote operation costs on both sides together, without Orleans and the network: encode into the batch, execute it on the owner, decode the
/// reply, call the sink. Per operation, 64 in a batch.
/// </summary>
public class ClusterRoutingBenchmarks : IDisposable
{
    private const int BatchOperations = 64;
    private const int Items = 100_000;
    private const uint NowUnixSeconds = 1_800_000_000;
    private readonly byte[] _keys = TestKeys.Range(0, Items);
    private readonly byte[] _value = new byte[100];
    private readonly CopyingSink _sink = new();
    private readonly InlineQueue _loop = new();
    private LocalRouter? _owner;
    private RouterChannel? _channel;
    private int _next;

    [GlobalSetup]
    public void SetUp()
    {
        _owner = new LocalRouter(new StoreOptions { MemoryBytes = 128L * 1024 * 1024 });
        var transport = new DirectTransport(new BatchExecutor(_owner.Partitions, TimeProvider.System));
        _channel = new ClusterRouter(_owner.PartitionCount, null, new RemoteTable(_owner.PartitionCount, _owner.Hasher.Seed), transport, TimeProvider.System)
            .OpenChannel(_loop);
        for (int i = 0; i < Items / BatchOperations; i++)
            SetBatch();
        if (_sink.LastStatus != CacheStatus.Ok)
            throw new InvalidOperationException($"The store does not take the items: {_sink.LastStatus}");
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _owner?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark(OperationsPerInvoke = BatchOperations)]
    public int GetBatch() => Send(CacheOperation.Get, RequestFlags.ReturnValue, default);

    [Benchmark(OperationsPerInvoke = BatchOperations)]
    public int SetBatch() => Send(CacheOperation.Set, RequestFlags.None, _value);

    private int Send(CacheOperation operation, RequestFlags flags, ReadOnlySpan<byte> value)
    {
        int before = _sink.Replies;
        for (int i = 0; i < BatchOperations; i++)
        {
            _next = (_next + 1) % Items;
            ReadOnlySpan<byte> key = _keys.AsSpan(_next * TestKeys.Bytes, TestKeys.Bytes);
            var request = new CacheRequest { Operation = operation, Flags = flags, Key = key, KeyHash = _channel!.Hasher.Compute(key), Value = value };
            if (_channel.TryExecute(in request, NowUnixSeconds, _sink))
                throw new InvalidOperationException("The partition should be elsewhere.");
            _channel.Send(in request, _sink);
        }

        _channel!.Flush();
        _loop.RunAll();
        if (_sink.Replies - before != BatchOperations)
            throw new InvalidOperationException($"{_sink.Replies - before} replies to {BatchOperations} requests");
        return _sink.Replies;
    }

    private sealed class InlineQueue : ICompletionQueue
    {
        private LoopWorkItem? _head;
        private LoopWorkItem? _tail;

        public void Post(LoopWorkItem work)
        {
            if (_tail is null)
                _head = work;
            else
                _tail.Next = work;
            _tail = work;
        }

        public void RunAll()
        {
            while (_head is { } work)
            {
                _head = work.Next;
                work.Next = null;
                if (_head is null)
                    _tail = null;
                work.Execute();
            }
        }
    }

    private sealed class DirectTransport(BatchExecutor executor) : IBatchTransport
    {
        public ValueTask<BatchReply> SendAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken) =>
            new(new BatchReply(executor.Execute(request.Payload.Span), 1, 1));

        public ValueTask<BatchReply> CollectAsync(BatchTarget target, long ticket, CancellationToken cancellationToken) =>
            throw new InvalidOperationException("Nothing has copies here.");

        public ValueTask<ItemScanPage?> ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken) =>
            throw new InvalidOperationException("Nobody scans here.");

        public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }

    /// <summary>All partitions belong to another silo, for ever.</summary>
    private sealed class RemoteTable : ITableCache
    {
        public RemoteTable(int partitionCount, HashSeed hashSeed)
        {
            var owners = new SiloId[partitionCount];
            Array.Fill(owners, SiloId.Create("192.0.2.1:11111", 1));
            long[] epochs = new long[partitionCount];
            Array.Fill(epochs, 1);
            Current = PartitionTable.Create(new PartitionTableVersion(1, 1), hashSeed, owners, epochs);
        }

        public event Action<PartitionTable>? Changed
        {
            add { }
            remove { }
        }

        public PartitionTable Current { get; }

        public SiloId LocalSilo => SiloId.Create("192.0.2.2:11111", 1);

        public void RequestRefresh()
        {
        }
    }
}
#endif
