using System.Buffers;
using System.Text;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Routing;

/// <summary>One process's way into the cluster: its table, which may be stale, its loop, its channel, and the transport that the channel calls.</summary>
internal sealed class ModelChannel(ModelCluster cluster, SiloId localSilo, int partitionCount) : ITableCache, IBatchTransport, ICompletionQueue
{
    private readonly Lock _lock = new();
    private readonly Queue<LoopWorkItem> _posted = [];
    private int _postedCount;
    private RouterChannel? _channel;

    public RouterChannel Channel => _channel!;

    public PartitionTable Current { get; private set; } =
        PartitionTable.Create(default, ModelCluster.Hasher.Seed, new SiloId[partitionCount], new long[partitionCount]);

    public SiloId LocalSilo => localSilo;

    /// <summary>What has been posted to the loop so far.</summary>
    public int PostedCount => Volatile.Read(ref _postedCount);

    public event Action<PartitionTable>? Changed;

    public void Open(PartitionSet? local, TimeProvider time) => _channel = new ClusterRouter(partitionCount, local, this, this, time).OpenChannel(this);

    public void Adopt(PartitionTable table)
    {
        Current = table;
        Changed?.Invoke(table);
    }

    public void RequestRefresh()
    {
    }

    public void Post(LoopWorkItem work)
    {
        lock (_lock)
        {
            _posted.Enqueue(work);
            _postedCount++;
        }
    }

    public void RunPosted()
    {
        while (true)
        {
            LoopWorkItem? work;
            lock (_lock)
            {
                if (!_posted.TryDequeue(out work))
                    return;
            }

            work.Execute();
        }
    }

    public ValueTask<BatchReply> SendAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken) =>
        cluster.Send(this, target, request);

    public ValueTask<BatchReply> CollectAsync(BatchTarget target, long ticket, CancellationToken cancellationToken) =>
        throw new InvalidOperationException("Nothing has copies here.");

    public ValueTask<ItemScanPage?> ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken) =>
        ValueTask.FromResult<ItemScanPage?>(null);

    public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => ValueTask.CompletedTask;
}

/// <summary>
/// Two silos with real stores, gates and executors, and the channels of both and of a gateway alone. Everything that happens is drawn from one random
/// source, also what happens between two operations of a batch. Batches of one channel for one silo arrive in order; a call that failed takes no effect later.
/// </summary>
internal sealed class ModelCluster : IDisposable
{
    /// <summary>What everybody hashes keys with.</summary>
    public static readonly KeyHasher Hasher = new(new HashSeed(1, 1));

    private const int Partitions = 4;
    private static readonly SiloId[] s_silos = [FakeCluster.A, FakeCluster.B];
    private readonly Random _random;
    private readonly ManualTime _time = new();
    private readonly PartitionSet[] _stores;
    private readonly BatchExecutor[] _executors;
    private readonly List<Call> _calls = [];

    /// <summary>Which silo has each partition, sealed or not.</summary>
    private readonly int[] _holders = new int[Partitions];
    private readonly long[] _epochs = new long[Partitions];
    private long _version;
    private bool _faults = true;

    public ModelCluster(Random random)
    {
        _random = random;
        _stores = [.. s_silos.Select(_ => new PartitionSet(new StoreOptions { PartitionCount = Partitions, MemoryBytes = 8 << 20 }))];
        _executors = [.. _stores.Select(store => new BatchExecutor(store, _time) { BeforeOperation = ChangeAGate })];
        Channels = [.. s_silos.Append(default).Select(silo => new ModelChannel(this, silo, Partitions))];
        foreach (PartitionSet store in _stores)
            store.UseHashSeed(Hasher.Seed);
        for (int partition = 0; partition < Partitions; partition++)
        {
            _holders[partition] = partition % 2;
            _stores[partition % 2].Open(new PartitionId(partition), ++_epochs[partition]);
        }

        for (int i = 0; i < Channels.Count; i++)
        {
            Channels[i].Open(i < _stores.Length ? _stores[i] : null, _time);
            Channels[i].Adopt(Table());
        }
    }

    public List<ModelChannel> Channels { get; }

    public ValueTask<BatchReply> Send(ModelChannel from, BatchTarget target, BatchRequest request)
    {
        int silo = target.Partition is { } partition ? _holders[partition.Value] : Array.IndexOf(s_silos, target.Silo);
        var call = new Call(from, silo, request, new TaskCompletionSource<BatchReply>());
        _calls.Add(call);
        return new ValueTask<BatchReply>(call.Completion.Task);
    }

    /// <summary>Something happens.</summary>
    public void Step(bool faults)
    {
        _faults = faults;
        if (faults)
            ChangeAGate();
        if (_random.Next(4) == 0)
            Channels[_random.Next(Channels.Count)].Adopt(Table());
        if (_calls.Count > 0)
            Advance(_calls[_random.Next(_calls.Count)]);
        foreach (ModelChannel channel in Channels)
        {
            if (_random.Next(2) == 0)
                channel.RunPosted();
            if (_random.Next(2) == 0)
                channel.Channel.Flush();
        }

        if (_random.Next(4) == 0)
            _time.Advance(TimeSpan.FromMilliseconds(_random.Next(1, 100)));
    }

    /// <summary>From here on every partition stays where it is, and is served.</summary>
    public void Settle()
    {
        for (int partition = 0; partition < Partitions; partition++)
            _stores[_holders[partition]].TryGet(new PartitionId(partition))!.Unseal();
        foreach (ModelChannel channel in Channels)
            channel.Adopt(Table());
    }

    public string? Read(string key)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        var request = new CacheRequest { Operation = CacheOperation.Get, Flags = RequestFlags.ReturnValue, Key = bytes, KeyHash = Hasher.Compute(bytes) };
        PartitionId partition = PartitionId.OfHash(request.KeyHash, Partitions);
        var sink = new ValueSink();
        Assert.True(_stores[_holders[partition.Value]].TryGet(partition)!.TryExecute(in request, 1, sink));
        return sink.Value;
    }

    public void Dispose()
    {
        foreach (PartitionSet store in _stores)
            store.Dispose();
    }

    /// <summary>The table as it would be now: a sealed partition is still its holder's, or nobody's.</summary>
    private PartitionTable Table() => PartitionTable.Create(
        new PartitionTableVersion(1, ++_version),
        Hasher.Seed,
        [.. _holders.Select(holder => _faults && _random.Next(8) == 0 ? default : s_silos[holder])],
        _epochs);

    /// <summary>Seals a partition, opens it again where it is, or, once it is sealed, moves it with its items.</summary>
    private void ChangeAGate()
    {
        if (!_faults || _random.Next(3) != 0)
            return;
        int number = _random.Next(Partitions);
        PartitionId id = new(number);
        Partition gate = _stores[_holders[number]].TryGet(id)!;
        if (gate.State == PartitionState.Active)
        {
            // Rather open than closed.
            if (_random.Next(3) == 0)
                gate.Seal();
        }
        else if (_random.Next(2) == 0)
        {
            gate.Unseal();
        }
        else
        {
            Move(id, gate);
        }
    }

    private void Move(PartitionId id, Partition gate)
    {
        int source = _holders[id.Value];
        int target = 1 - source;
        Partition arrived = _stores[target].Open(id, ++_epochs[id.Value], PartitionState.Sealed);
        ExportCursor cursor = default;
        bool more = true;
        while (more)
        {
            ArrayBufferWriter<byte> items = new(64 * 1024);
            more = gate.Export(ref cursor, items, 64 * 1024, 1);
            Assert.Equal(ImportStatus.Ok, items.WrittenCount == 0 ? ImportStatus.Ok : arrived.Import(items.WrittenSpan, 1, out _));
        }

        _holders[id.Value] = target;
        arrived.Unseal();
        _stores[source].Close(id);
    }

    /// <summary>A call arrives, or its reply does; or it fails in one of three ways.</summary>
    private void Advance(Call call)
    {
        int fault = _faults ? _random.Next(60) : -1;
        if (call.Reply is null && fault is not (0 or 1))
        {
            call.Reply = _executors[call.Silo].Execute(call.Request.Payload.Span);
            return;
        }

        _calls.Remove(call);
        int posted = call.From.PostedCount;
        if (call.Reply is { } reply && fault is not (0 or 1))
            call.Completion.SetResult(new BatchReply(reply, 1, _version));
        else
        {
            bool isUnknown = fault == 0 || call.Reply is not null;
            call.Completion.SetException(isUnknown
                ? new InvalidOperationException("request or reply was lost") : new BatchNotExecutedException("unknown silo"));
        }

        // What follows runs on another thread; the order of events is the seed's all the same.
        SpinWait.SpinUntil(() => call.From.PostedCount > posted, TimeSpan.FromSeconds(20));
        Assert.True(call.From.PostedCount > posted, "the outcome of a call was not posted to the loop");
    }

    private sealed class Call(ModelChannel from, int silo, BatchRequest request, TaskCompletionSource<BatchReply> completion)
    {
        public ModelChannel From => from;

        public int Silo => silo;

        public BatchRequest Request => request;

        public TaskCompletionSource<BatchReply> Completion => completion;

        public PooledBytes? Reply { get; set; }
    }

    private sealed class ValueSink : ReplySink
    {
        public string? Value { get; private set; }

        public override void OnReply(in CacheReply reply)
        {
            if (reply.Status != CacheStatus.Ok)
                return;
            byte[] bytes = new byte[reply.Value.Length];
            reply.Value.CopyTo(bytes);
            Value = Encoding.ASCII.GetString(bytes);
        }
    }
}
