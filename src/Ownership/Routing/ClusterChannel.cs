using OrleansCache.Ownership.Replication;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Routing;

/// <summary>
/// One I/O loop's way to all partitions.
///
/// Order: the operations of one partition are at any time either on their way to one silo or parked until the partition has an owner that answers. While some
/// are on their way, later ones follow them into the same lane; when the silo answers that it is not the owner, all of them (those refused, then those that
/// wait behind) are parked, and sent on together. The direct path is closed to a partition for as long as any of its operations is out.
///
/// Retries: an operation that was refused, or never left, was not executed: it is tried again until <see cref="ClusterRouterOptions.RequestTimeout"/>. One that
/// the same owner has refused for a while goes to the partition itself, in a lane of its own for as long as anything is in it (<see cref="BatchTarget"/>).
/// An operation whose batch got no answer may have been executed: a plain read is tried again (if no write of its key follows in the batch), everything
/// else is answered with Unavailable.
///
/// Replicas: a request to a partition of this silo that has copies is executed here, and its reply is kept (<see cref="DeferredReplies"/>) until they have
/// what it tells of. It is not outstanding meanwhile: later requests see what it has done, and wait for the same copies. Another silo does the same
/// (<see cref="BatchServer"/>): its reply leaves out what takes long, so that this holds up nothing else, and the batch stays here, beside its lane, until
/// all of it has been collected. Such an operation is outstanding, but executed: what follows it in its lane is executed after it.
///
/// A cluster that was lost as a whole begins anew with another seed of the key hash. Then (a gateway alone lives to see it) the hashes
/// of all operations that are out mean nothing any more: those that were not executed are answered with Unavailable, at a moment
/// between two turns of the loop, and what comes later is hashed under the new seed.
///
/// Goals: no lock and no allocation per operation; every wait bounded. Non-goals: thread safety (all members run on the loop), batches across loops.
/// </summary>
internal sealed class ClusterChannel : RouterChannel
{
    private const int PooledBatchesMax = 16;

    private readonly int _partitionCount;
    private readonly PartitionSet? _local;
    private readonly ITableCache _table;
    private readonly IBatchTransport _transport;
    private readonly ICompletionQueue _loop;
    private readonly int _laneNumber;
    private readonly ClusterRouterOptions _options;
    private readonly TimeProvider _time;
    private readonly FreezeDetector? _freeze;
    private readonly Replicator? _replicator;
    private readonly DeferredReplies? _deferred;

    /// <summary>Per partition: operations sent and not yet answered, wherever they are.</summary>
    private readonly int[] _outstanding;

    /// <summary>Per partition: the lane that its outstanding operations are in; null if there are none or they are parked.</summary>
    private readonly Lane?[] _laneOf;

    /// <summary>Per partition: its outstanding operations, while they wait for an owner.</summary>
    private readonly ParkedRequests?[] _parked;

    private readonly List<int> _parkedPartitions = [];
    private readonly List<int> _newlyParked = [];
    private readonly Dictionary<SiloId, Lane> _lanes = [];
    private readonly List<Lane> _dirtyLanes = [];
    private readonly Stack<Batch> _batchPool = new();
    private readonly RetryTick _retryTick;
    private readonly RefusedWork _refused;
    private readonly NewLife _newLife;
    private readonly RoutingCounters _counters;
    private PartitionTable? _tableSeen;
    private Lane?[] _laneByOwnerIndex = [];
    private long _queuedBytes;
    private long _now;
    private bool _clockIsRead;
    private bool _freezeIsChecked;
    private int _delivered;

    public ClusterChannel(
        int partitionCount,
        PartitionSet? local,
        ITableCache table,
        IBatchTransport transport,
        ICompletionQueue loop,
        int laneNumber,
        ClusterRouterOptions options,
        TimeProvider time,
        FreezeDetector? freeze = null,
        RoutingCounters? counters = null,
        Replicator? replicator = null)
        : base(table.Current.Hasher)
    {
        _replicator = replicator;
        _deferred = replicator is null ? null : new DeferredReplies(loop, replicator);
        _partitionCount = partitionCount;
        _local = local;
        _table = table;
        _transport = transport;
        _loop = loop;
        _laneNumber = laneNumber;
        _options = options;
        _time = time;
        _freeze = freeze;
        _counters = counters ?? new RoutingCounters();
        _outstanding = new int[partitionCount];
        _laneOf = new Lane?[partitionCount];
        _parked = new ParkedRequests?[partitionCount];
        _retryTick = new RetryTick(this);
        _refused = new RefusedWork(this);
        _newLife = new NewLife(this);
        table.Changed += _newLife.OnTable;
        _newLife.OnTable(table.Current);
    }

    public override bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        if (_local is null || !MayServe())
            return false;
        var id = PartitionId.OfHash(request.KeyHash, _partitionCount);
        if (_outstanding[id.Value] != 0)
            return false;
        Partition? partition = _local.TryGet(id);
        return partition is not null && partition.TryExecute(in request, nowUnixSeconds, sink);
    }

    public override void Send(in CacheRequest request, ReplySink sink)
    {
        if (_queuedBytes + (_deferred?.Bytes ?? 0) > _options.QueuedBytesMax)
        {
            _refused.Add(sink);
            return;
        }

        int partition = PartitionId.OfHash(request.KeyHash, _partitionCount).Value;

        // One reading of the clock serves a whole turn of the loop.
        if (!_clockIsRead)
        {
            _now = _time.GetTimestamp();
            _clockIsRead = true;
        }

        long now = _now;
        if (_deferred is not null && _outstanding[partition] == 0 && MayServe() && TryExecuteDeferred(partition, in request, NowUnixSeconds, sink, now))
            return;
        _outstanding[partition]++;
        Lane? lane = _laneOf[partition];
        if (lane is null)
        {
            if (_parked[partition] is not null || (lane = RemoteLaneOf(partition)) is null)
            {
                Park(partition, Encode(in request), sink, now);
                return;
            }

            _laneOf[partition] = lane;
        }

        _queuedBytes += Collecting(lane).Add(in request, partition, sink, now);
        MarkDirty(lane);
    }

    public override void Prefetch(ReadOnlySpan<ulong> keyHashes) => _local?.Prefetch(keyHashes);

    public override void Flush()
    {
        _clockIsRead = false;
        _freezeIsChecked = false;
        _replicator?.Flush();
        foreach (Lane lane in _dirtyLanes)
        {
            lane.IsDirty = false;
            SendNext(lane);
        }

        _dirtyLanes.Clear();
    }

    /// <summary>Runs on the loop when a batch was answered or failed.</summary>
    internal void OnBatchDone(Batch batch)
    {
        Lane lane = batch.Lane!;
        lane.InFlight = null;
        int handled = 0;
        if (batch.Failure is null)
        {
            try
            {
                handled = Deliver(batch);
            }
            catch (InvalidDataException e)
            {
                // What was handed out before the damage stands; the rest got no answer.
                handled = _delivered;
                batch.Failure = e;
            }
        }

        if (batch.Failure is not null)
        {
            Fail(lane, batch, handled);
        }
        else
        {
            if (_newlyParked.Count > 0)
                ParkWhatFollows(lane, batch, handled);
            if (handled < batch.Count)
                RequeueRest(lane, batch, handled);
            if (batch.ReplyTable > _table.Current.Version)
                _table.RequestRefresh();
        }

        _newlyParked.Clear();
        CollectOrEnd(batch);
        SendNext(lane);
    }

    /// <summary>Runs on the loop when the silo has told more of what it had kept, or has not.</summary>
    internal void OnCollected(Batch batch)
    {
        int told = 0;
        int left = 0;
        try
        {
            if (batch.Failure is null)
            {
                var reader = new ReplyReader(batch.Reply!.Span);
                if (reader.Count != batch.Pending.Count)
                    throw BatchFormat.Malformed("reply");
                while (reader.TryRead(out byte wireStatus, out CacheReply reply))
                {
                    int index = batch.Pending[told++];
                    if (wireStatus == BatchFormat.StatusPending)
                        batch.Pending[left++] = index;
                    else if (wireStatus == BatchFormat.StatusUnacknowledged)
                        CompleteUnacknowledged(in batch[index]);
                    else
                        Complete(batch[index].Partition, batch[index].Sink, in reply);
                }

                batch.Pending.RemoveRange(left, batch.Pending.Count - left);
            }
        }
        catch (InvalidDataException e)
        {
            batch.Failure = e;
            batch.Pending.RemoveRange(left, told - left);
        }

        if (batch.Failure is not null)
        {
            _counters.Values.BatchesFailed++;
            _table.RequestRefresh();
        }

        CollectOrEnd(batch);
    }

    /// <summary>What is pending is asked for, unless that has failed: then nobody will ever know.</summary>
    private void CollectOrEnd(Batch batch)
    {
        if (batch.Pending.Count > 0 && batch.Failure is null)
        {
            Send(batch);
            return;
        }

        foreach (int index in batch.Pending)
            CompleteUnacknowledged(in batch[index]);
        _queuedBytes -= batch.Bytes;
        _counters.Values.QueuedBytes = _queuedBytes;
        Return(batch);
    }

    private void CompleteUnacknowledged(ref readonly Batch.Operation operation) => Complete(operation.Partition, operation.Sink, new CacheReply
    {
        Status = CacheStatus.Unavailable, Reason = "the partition's replicas did not answer in time, or its silo was lost; the request may have taken effect",
    });

    /// <summary>Hands out the results in order. Returns how many operations were executed or parked; the rest was deferred by the executor.</summary>
    private int Deliver(Batch batch)
    {
        _delivered = 0;
        var reader = new ReplyReader(batch.Reply!.Span);
        if (reader.Count != batch.Count)
            throw BatchFormat.Malformed("reply");
        Dictionary<ulong, int>? lastWrites = null;
        while (reader.TryRead(out byte wireStatus, out CacheReply reply))
        {
            if (wireStatus == BatchFormat.StatusDeferred)
                break;
            ref readonly Batch.Operation operation = ref batch[_delivered];
            if (wireStatus == BatchFormat.StatusNotOwner)
                Refuse(batch, _delivered, _options.RetryInterval);
            else if (wireStatus == BatchFormat.StatusPending && reader.Ticket == 0)
                throw BatchFormat.Malformed("reply");
            else if (wireStatus == BatchFormat.StatusPending)
                batch.Pending.Add(_delivered);
            else if (wireStatus == BatchFormat.StatusUnacknowledged && MayRepeat(batch, _delivered, lastWrites ??= LastWrites(batch, _delivered)))
                Refuse(batch, _delivered, _options.RetryAfterFailureInterval);
            else if (wireStatus == BatchFormat.StatusUnacknowledged)
                CompleteUnacknowledged(in operation);
            else
                Complete(operation.Partition, operation.Sink, in reply);
            _delivered++;
        }

        batch.Ticket = batch.Pending.Count > 0 ? reader.Ticket : 0;
        return _delivered;
    }

    /// <summary>By hash of the key: the last operation from this index on that is no plain read.</summary>
    private static Dictionary<ulong, int> LastWrites(Batch batch, int from)
    {
        Dictionary<ulong, int> last = [];
        for (int index = from; index < batch.Count; index++)
        {
            if (!BatchReader.IsRepeatable(batch.EncodedAt(index)))
                last[BatchReader.KeyHashOf(batch.EncodedAt(index))] = index;
        }

        return last;
    }

    /// <summary>Whether the operation is a plain read, and no write of its key stands behind it in the batch, which it might see.</summary>
    private static bool MayRepeat(Batch batch, int index, Dictionary<ulong, int> lastWrites) =>
        lastWrites.GetValueOrDefault(BatchReader.KeyHashOf(batch.EncodedAt(index)), -1) < index;

    /// <summary>The clock is looked at once a turn; in between the flag says enough.</summary>
    private bool MayServe()
    {
        if (_freeze is null)
            return true;
        if (_freezeIsChecked)
            return _freeze.MayServe;
        _freezeIsChecked = true;
        return _freeze.MayServeNow();
    }

    private uint NowUnixSeconds => (uint)_time.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>
    /// Executes a request whose reply has to wait for the partition's copies. False, and nothing was done, if the partition is not served here, has no
    /// copies, or if those are so far behind that nothing may be added.
    /// </summary>
    private bool TryExecuteDeferred(int partition, in CacheRequest request, uint nowUnixSeconds, ReplySink sink, long createdAt)
    {
        if (_local?.TryGet(new PartitionId(partition)) is not { Effects: PartitionLog log } gate || _replicator!.IsOverloaded
            || !gate.TryExecuteLogged(in request, nowUnixSeconds, _deferred!.Capture(), out _))
            return false;
        _deferred.Keep(log, log.NeedOf(request.KeyHash), sink, createdAt);
        _retryTick.Arm();
        return true;
    }

    private void Complete(int partition, ReplySink sink, in CacheReply reply)
    {
        if (--_outstanding[partition] == 0)
            _laneOf[partition] = null;
        sink.OnReply(in reply);
    }

    /// <summary>An operation was not executed: it is parked, unless its hash is one of a former life.</summary>
    private void Refuse(Batch batch, int index, TimeSpan avoidFor)
    {
        ref readonly Batch.Operation operation = ref batch[index];
        if (batch.Hasher != Hasher)
        {
            EndWithFormerLife(operation.Partition, operation.Sink);
            return;
        }

        if (_parked[operation.Partition] is null)
            _newlyParked.Add(operation.Partition);
        ParkedRequests parked = Park(operation.Partition, batch.EncodedAt(index).ToArray(), operation.Sink, operation.CreatedAt);
        if (parked.Avoid.IsNone)
        {
            if (batch.Lane!.Target.Partition is not null)
                avoidFor = _options.AskPartitionAfter;
            parked.Avoid = batch.Lane.Silo;
            parked.AvoidUntil = _time.GetTimestamp() + (long)(avoidFor.TotalSeconds * _time.TimestampFrequency);
        }
    }

    private ParkedRequests Park(int partition, byte[] encoded, ReplySink sink, long createdAt)
    {
        ParkedRequests? parked = _parked[partition];
        if (parked is null)
        {
            _parked[partition] = parked = new ParkedRequests();
            _laneOf[partition] = null;
            _parkedPartitions.Add(partition);
            _table.RequestRefresh();
            _retryTick.Arm();
        }

        var operation = new ParkedRequest(encoded, sink, createdAt);
        _counters.Values.RequestsHeld++;
        parked.Operations.Enqueue(operation);
        _queuedBytes += operation.Bytes;
        return parked;
    }

    /// <summary>
    /// What the newly parked partitions still have behind the refused operations (the deferred rest of the batch, then what waits) is parked behind them, in
    /// order.
    /// </summary>
    private void ParkWhatFollows(Lane lane, Batch batch, int handled)
    {
        for (int index = handled; index < batch.Count; index++)
        {
            if (_newlyParked.Contains(batch[index].Partition))
                Park(batch[index].Partition, batch.EncodedAt(index).ToArray(), batch[index].Sink, batch[index].CreatedAt);
        }

        for (int i = 0; i < lane.Waiting.Count; i++)
        {
            Batch waiting = lane.Waiting[i];
            Batch kept = Rent(lane);
            for (int index = 0; index < waiting.Count; index++)
            {
                ref readonly Batch.Operation operation = ref waiting[index];
                if (_newlyParked.Contains(operation.Partition))
                    Park(operation.Partition, waiting.EncodedAt(index).ToArray(), operation.Sink, operation.CreatedAt);
                else
                    _queuedBytes += kept.Add(waiting.EncodedAt(index), operation.Partition, operation.Sink, operation.CreatedAt);
            }

            _queuedBytes -= waiting.Bytes;
            Return(waiting);
            lane.Waiting[i] = kept;
        }

        for (int i = lane.Waiting.Count - 1; i >= 0; i--)
        {
            if (lane.Waiting[i].Count == 0)
            {
                Return(lane.Waiting[i]);
                lane.Waiting.RemoveAt(i);
            }
        }
    }

    /// <summary>The executor deferred the rest, because its reply had grown long: it goes first, before anything that collected behind it.</summary>
    private void RequeueRest(Lane lane, Batch batch, int handled)
    {
        Batch rest = Rent(lane);
        for (int index = handled; index < batch.Count; index++)
        {
            ref readonly Batch.Operation operation = ref batch[index];
            if (batch.Hasher != Hasher)
                EndWithFormerLife(operation.Partition, operation.Sink);
            else if (!_newlyParked.Contains(operation.Partition))
                _queuedBytes += rest.Add(batch.EncodedAt(index), operation.Partition, operation.Sink, operation.CreatedAt);
        }

        if (rest.Count > 0)
            lane.Waiting.Insert(0, rest);
        else
            Return(rest);
    }

    /// <summary>
    /// No answer came. If it is certain that nothing was executed, everything is parked and sent again; else plain reads are, unless a write of the same key
    /// stands behind them, which they might see, and everything else is answered with Unavailable. What waited behind was never sent: it is parked, and goes
    /// where the table says by then.
    /// </summary>
    private void Fail(Lane lane, Batch batch, int handled)
    {
        _counters.Values.BatchesFailed++;
        _table.RequestRefresh();
        bool notExecuted = batch.Failure is BatchNotExecutedException;
        TimeSpan pause = notExecuted ? _options.RetryAfterUnreachableInterval : _options.RetryAfterFailureInterval;
        string who = lane.Target.Partition is { } asked ? $"partition {asked.Value}" : $"silo {lane.Silo}";
        string reason = batch.Failure is TimeoutException ? $"{who} did not answer in time" : $"{who} is unavailable";
        Dictionary<ulong, int> lastWrites = notExecuted ? [] : LastWrites(batch, handled);
        for (int index = handled; index < batch.Count; index++)
        {
            if (MayRepeat(batch, index, lastWrites))
                Refuse(batch, index, pause);
            else
                Complete(batch[index].Partition, batch[index].Sink, new CacheReply { Status = CacheStatus.Unavailable, Reason = reason });
        }

        foreach (Batch waiting in lane.Waiting)
        {
            for (int index = 0; index < waiting.Count; index++)
                Refuse(waiting, index, pause);
            _queuedBytes -= waiting.Bytes;
            Return(waiting);
        }

        lane.Waiting.Clear();
    }

    /// <summary>Tries every parked partition again: here if this silo has the partition open by now, otherwise at the owner that the table names.</summary>
    private void RetryParked()
    {
        long now = _time.GetTimestamp();
        uint nowUnixSeconds = NowUnixSeconds;
        for (int i = _parkedPartitions.Count - 1; i >= 0; i--)
        {
            int partition = _parkedPartitions[i];
            ParkedRequests parked = _parked[partition]!;
            ExecuteParkedHere(partition, parked, nowUnixSeconds);
            ExpireParked(partition, parked, now);
            if (parked.Operations.Count > 0 && LaneForParked(partition, parked, now) is { } lane)
                SendParked(partition, parked, lane);
            if (parked.Operations.Count == 0)
            {
                _parked[partition] = null;
                _parkedPartitions.RemoveAt(i);
            }
        }

        Flush();
        _deferred?.Expire(_time, _options.RequestTimeout);
        if (_parkedPartitions.Count > 0)
        {
            _table.RequestRefresh();
            _retryTick.Arm();
        }
        else if (_deferred is { Count: > 0 })
            _retryTick.Arm();
    }

    /// <summary>Where parked requests may be tried now: at the owner by the table, or, when that has not helped for a while, at the partition itself.</summary>
    private Lane? LaneForParked(int partition, ParkedRequests parked, long now)
    {
        Lane? owner = RemoteLaneOf(partition);
        if (owner is not null && parked.Avoid != owner.Silo)
            return owner;
        if (now < parked.AvoidUntil)
            return null;
        bool isTableOld = _time.GetElapsedTime(parked.Operations.Peek().CreatedAt, now) > _options.AskPartitionAfter;
        return isTableOld ? new Lane(new BatchTarget(owner?.Silo ?? default, new PartitionId(partition))) : owner;
    }

    private void ExecuteParkedHere(int partition, ParkedRequests parked, uint nowUnixSeconds)
    {
        Partition? gate = MayServe() ? _local?.TryGet(new PartitionId(partition)) : null;
        while (gate is not null && parked.Operations.TryPeek(out ParkedRequest operation))
        {
            CacheRequest request = BatchReader.Decode(operation.Encoded);
            if (!gate.TryExecute(in request, nowUnixSeconds, operation.Sink)
                && (_deferred is null || !TryExecuteDeferred(partition, in request, nowUnixSeconds, operation.Sink, operation.CreatedAt)))
                return;
            parked.Operations.Dequeue();
            _queuedBytes -= operation.Bytes;
            _outstanding[partition]--;
        }
    }

    private void ExpireParked(int partition, ParkedRequests parked, long now)
    {
        bool evicted = _freeze is { IsEvicted: true };
        while (parked.Operations.TryPeek(out ParkedRequest operation) && (evicted || _time.GetElapsedTime(operation.CreatedAt, now) > _options.RequestTimeout))
        {
            parked.Operations.Dequeue();
            _queuedBytes -= operation.Bytes;
            string reason = evicted ? "this silo did not answer the others for a while and has been replaced; it leaves"
                : $"partition {partition} has no owner that answers";
            Complete(partition, operation.Sink, new CacheReply { Status = CacheStatus.Unavailable, Reason = reason });
        }
    }

    private void SendParked(int partition, ParkedRequests parked, Lane lane)
    {
        _laneOf[partition] = lane;
        while (parked.Operations.TryDequeue(out ParkedRequest operation))
        {
            _queuedBytes -= operation.Bytes;
            _queuedBytes += Collecting(lane).Add(operation.Encoded, partition, operation.Sink, operation.CreatedAt);
        }

        MarkDirty(lane);
    }

    /// <summary>
    /// The lane to the owner by the table, if it is another silo. Null if nobody has the partition, or this silo should: then it is about to open or was just
    /// sealed.
    /// </summary>
    private Lane? RemoteLaneOf(int partition)
    {
        PartitionTable table = _table.Current;
        if (!ReferenceEquals(table, _tableSeen))
            AdoptTable(table);
        int owner = table.OwnerIndexOf(new PartitionId(partition));
        return owner < 0 ? null : _laneByOwnerIndex[owner];
    }

    /// <summary>One lane per silo of the table; lanes of silos that left it go once nothing is in them.</summary>
    private void AdoptTable(PartitionTable table)
    {
        _tableSeen = table;
        ReadOnlySpan<SiloId> silos = table.Silos;
        _laneByOwnerIndex = new Lane?[silos.Length];
        for (int i = 0; i < silos.Length; i++)
        {
            if (silos[i] == _table.LocalSilo)
                continue;
            if (!_lanes.TryGetValue(silos[i], out Lane? lane))
                _lanes.Add(silos[i], lane = new Lane(new(silos[i])));
            _laneByOwnerIndex[i] = lane;
        }

        foreach ((SiloId silo, Lane lane) in _lanes)
        {
            if (lane.InFlight is null && lane.Waiting.Count == 0 && !silos.Contains(silo))
                _lanes.Remove(silo);
        }
    }

    /// <summary>
    /// From now on keys are hashed under another seed. What has not left is answered; what is in flight comes back as a batch of the
    /// former life.
    /// </summary>
    private void BeginNewLife(KeyHasher hasher)
    {
        Hasher = hasher;
        foreach (Lane lane in _lanes.Values.Concat(_laneOf.OfType<Lane>().Where(static lane => lane.Target.Partition is not null)))
        {
            foreach (Batch waiting in lane.Waiting)
            {
                for (int index = 0; index < waiting.Count; index++)
                    EndWithFormerLife(waiting[index].Partition, waiting[index].Sink);
                _queuedBytes -= waiting.Bytes;
                Return(waiting);
            }

            lane.Waiting.Clear();
        }

        foreach (int partition in _parkedPartitions)
        {
            while (_parked[partition]!.Operations.TryDequeue(out ParkedRequest operation))
            {
                _queuedBytes -= operation.Bytes;
                EndWithFormerLife(partition, operation.Sink);
            }

            _parked[partition] = null;
        }

        _parkedPartitions.Clear();
    }

    private void EndWithFormerLife(int partition, ReplySink sink) =>
        Complete(partition, sink, new CacheReply { Status = CacheStatus.Unavailable, Reason = "the cluster was lost and has begun anew" });

    private Batch Collecting(Lane lane)
    {
        if (lane.Waiting.Count > 0 && !lane.Waiting[^1].IsFull)
            return lane.Waiting[^1];
        Batch batch = Rent(lane);
        lane.Waiting.Add(batch);
        return batch;
    }

    private void MarkDirty(Lane lane)
    {
        if (lane.IsDirty)
            return;
        lane.IsDirty = true;
        _dirtyLanes.Add(lane);
    }

    private void SendNext(Lane lane)
    {
        if (lane.InFlight is not null || lane.Waiting.Count == 0)
            return;
        Batch batch = lane.Waiting[0];
        lane.Waiting.RemoveAt(0);
        lane.InFlight = batch;
        _counters.Values.Batches++;
        _counters.Values.BatchRequests += batch.Count;
        _counters.Values.QueuedBytes = _queuedBytes;
        Send(batch);
    }

    private void Send(Batch batch) => _ = batch.SendAsync(_transport, _laneNumber, _options.BatchTimeout, _time, _loop);

    private Batch Rent(Lane lane)
    {
        Batch batch = _batchPool.TryPop(out Batch? pooled) ? pooled : new Batch(this);
        batch.Lane = lane;
        batch.Hasher = Hasher;
        return batch;
    }

    private void Return(Batch batch)
    {
        batch.Reset();
        if (_batchPool.Count < PooledBatchesMax)
            _batchPool.Push(batch);
    }

    private static byte[] Encode(in CacheRequest request)
    {
        var writer = new BatchWriter();
        return writer.OperationAt(writer.Append(in request)).ToArray();
    }

    /// <summary>Brings the loop back to what is parked after a while. One timer, armed at most once at a time.</summary>
    private sealed class RetryTick : LoopWorkItem
    {
        private readonly ClusterChannel _channel;
        private static readonly TimeSpan ExpiryInterval = TimeSpan.FromMilliseconds(250);

        private readonly ITimer _timer;
        private bool _armed;
        private bool _isFast;
        private int _isQueued;

        public RetryTick(ClusterChannel channel)
        {
            _channel = channel;
            _timer = channel._time.CreateTimer(static state => ((RetryTick)state!).Fire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        public void Arm()
        {
            if (_armed && (_isFast || _channel._parkedPartitions.Count == 0))
                return;
            _armed = true;

            // What waits for replicas is only looked at for its time-out.
            TimeSpan interval = _channel._parkedPartitions.Count > 0 ? _channel._options.RetryInterval : ExpiryInterval;
            _isFast = _channel._parkedPartitions.Count > 0;
            _timer.Change(interval, Timeout.InfiniteTimeSpan);
        }

        public override void Execute()
        {
            Volatile.Write(ref _isQueued, 0);
            _armed = false;
            _channel.RetryParked();
        }

        /// <summary>The timer may have been armed again, for sooner, before the loop has come to what it fired for: an item is queued once at a time.</summary>
        private void Fire()
        {
            if (Interlocked.Exchange(ref _isQueued, 1) == 0)
                _channel._loop.Post(this);
        }
    }

    /// <summary>Watches the table for another seed, and brings the news to the loop.</summary>
    private sealed class NewLife(ClusterChannel channel) : LoopWorkItem
    {
        private int _posted;

        public void OnTable(PartitionTable table)
        {
            if (table.HashSeed != channel.Hasher.Seed && Interlocked.Exchange(ref _posted, 1) == 0)
                channel._loop.Post(this);
        }

        public override void Execute()
        {
            Volatile.Write(ref _posted, 0);
            KeyHasher hasher = channel._table.Current.Hasher;
            if (hasher.Seed != channel.Hasher.Seed)
                channel.BeginNewLife(hasher);
        }
    }

    /// <summary>Answers requests that were refused because too much is queued; later, because a sink is never called from within Send.</summary>
    private sealed class RefusedWork(ClusterChannel channel) : LoopWorkItem
    {
        private readonly List<ReplySink> _sinks = [];
        private bool _posted;

        public void Add(ReplySink sink)
        {
            _sinks.Add(sink);
            if (_posted)
                return;
            _posted = true;
            channel._loop.Post(this);
        }

        public override void Execute()
        {
            _posted = false;
            foreach (ReplySink sink in _sinks)
                sink.OnReply(new CacheReply { Status = CacheStatus.Unavailable, Reason = "too many requests wait for other silos" });
            _sinks.Clear();
        }
    }
}
