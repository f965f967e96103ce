using OrleansCache.Ownership.Replication;

namespace OrleansCache.Ownership.Routing;

/// <summary>
/// Replies of this silo's own partitions that wait until the replicas have what they tell of. Belongs to one loop; acknowledgements are posted to it.
/// Per partition they leave in the order of the requests.
/// </summary>
internal sealed class DeferredReplies : LoopWorkItem, IAckListener
{
    private readonly ICompletionQueue _loop;
    private readonly Dictionary<PartitionLog, Queue<Deferred>> _waiting = [];
    private readonly List<PartitionLog> _done = [];
    private readonly Stack<Queue<Deferred>> _queues = new();
    private readonly CapturingSink _capture = new();
    private int _posted;
    private volatile int _count;

    public DeferredReplies(ICompletionQueue loop, Replicator replicator)
    {
        _loop = loop;
        replicator.Register(this);
    }

    public int Count => _count;

    /// <summary>Bytes of values that wait, and what the waiting itself occupies.</summary>
    public long Bytes { get; private set; }

    /// <summary>Takes the next reply; then <see cref="Keep"/> it.</summary>
    public ReplySink Capture()
    {
        _capture.Reset();
        return _capture;
    }

    /// <summary>Keeps the captured reply until the partition's log is acknowledged up to this position.</summary>
    public void Keep(PartitionLog log, long need, ReplySink sink, long createdAt)
    {
        Deferred deferred = _capture.Take(sink, need, createdAt);
        if (!_waiting.TryGetValue(log, out Queue<Deferred>? queue))
            _waiting.Add(log, queue = _queues.TryPop(out Queue<Deferred>? used) ? used : new Queue<Deferred>());
        queue.Enqueue(deferred);
        Bytes += deferred.Bytes;

        // Either the acknowledging thread sees that something waits, or the acknowledgement is seen here: it may have come already, or none may be needed. A
        // sink is never called from within Send.
        Interlocked.Increment(ref _count);
        if (log.Acknowledged >= need || log.IsClosed)
            OnAcknowledged();
    }

    public void OnAcknowledged()
    {
        if (_count > 0 && Interlocked.Exchange(ref _posted, 1) == 0)
            _loop.Post(this);
    }

    public override void Execute()
    {
        Volatile.Write(ref _posted, 0);
        foreach ((PartitionLog log, Queue<Deferred> queue) in _waiting)
        {
            long acknowledged = log.Acknowledged;
            bool isClosed = log.IsClosed;
            while (queue.TryPeek(out Deferred deferred) && (isClosed || deferred.Need <= acknowledged))
            {
                queue.Dequeue();
                End(in deferred, deferred.Need <= acknowledged ? null : "the partition is not served here any more; the request may have taken effect");
            }

            if (queue.Count == 0)
                _done.Add(log);
        }

        RemoveDone();
    }

    /// <summary>Answers what has waited too long.</summary>
    public void Expire(TimeProvider time, TimeSpan timeout)
    {
        if (_count == 0)
            return;
        long now = time.GetTimestamp();
        foreach ((PartitionLog log, Queue<Deferred> queue) in _waiting)
        {
            while (queue.TryPeek(out Deferred deferred) && time.GetElapsedTime(deferred.CreatedAt, now) > timeout)
            {
                queue.Dequeue();
                End(in deferred, "a replica does not answer; the request may have taken effect");
            }

            if (queue.Count == 0)
                _done.Add(log);
        }

        RemoveDone();
    }

    private void RemoveDone()
    {
        foreach (PartitionLog log in _done)
        {
            if (_waiting.Remove(log, out Queue<Deferred>? queue))
                _queues.Push(queue);
        }

        _done.Clear();
    }

    private void End(in Deferred deferred, string? failure)
    {
        _count--;
        Bytes -= deferred.Bytes;
        CacheReply reply = failure is null ? deferred.Reply.ToReply() : new CacheReply { Status = CacheStatus.Unavailable, Reason = failure };
        deferred.Sink.OnReply(in reply);
        if (deferred.Reply.Value is { Length: >= WireBuffers.BytesMin } value)
            WireBuffers.Return(value);
    }

    private readonly record struct Deferred(ReplySink Sink, KeptReply Reply, long Need, long CreatedAt)
    {
        public long Bytes => Batch.OperationOverheadBytes + (Reply.Value?.Length ?? 0);
    }

    /// <summary>A reply without its lifetime.</summary>
    private readonly record struct KeptReply(
        CacheStatus Status,
        ItemFlags ItemFlags,
        byte SlabClass,
        uint ClientFlags,
        uint ExpiresAt,
        uint LastAccess,
        ulong Cas,
        ulong Number,
        int ValueLength,
        byte[]? Value)
    {
        public CacheReply ToReply() => new()
        {
            Status = Status,
            ItemFlags = ItemFlags,
            SlabClass = SlabClass,
            ClientFlags = ClientFlags,
            ExpiresAt = ExpiresAt,
            LastAccess = LastAccess,
            Cas = Cas,
            Number = Number,
            Value = Value is null ? ValueView.OfLength(ValueLength) : new ValueView(Value.AsSpan(0, ValueLength)),
        };
    }

    private sealed class CapturingSink : ReplySink
    {
        private KeptReply _reply;
        private PinnedValue _pinned;
        private bool _isPinned;

        public void Reset() => _reply = default;

        public override void OnReply(in CacheReply reply)
        {
            int length = reply.Value.Length;
            byte[]? value = null;
            if (length > 0 && reply.Value.HasBytes && reply.Status == CacheStatus.Ok)
            {
                value = length < WireBuffers.BytesMin ? new byte[length] : WireBuffers.Rent(length);
                if (length >= Limits.PinValueBytesMin && reply.Value.TryPin(out _pinned))
                    _isPinned = true;
                else
                    reply.Value.CopyTo(value);
            }

            _reply = new KeptReply(
                reply.Status, reply.ItemFlags, reply.SlabClass, reply.ClientFlags, reply.ExpiresAt, reply.LastAccess, reply.Cas, reply.Number, length, value);
        }

        /// <summary>Off the partition's lock: large values are copied here.</summary>
        public Deferred Take(ReplySink sink, long need, long createdAt)
        {
            if (_isPinned)
            {
                _pinned.CopyTo(0, _reply.Value.AsSpan(0, _pinned.Length));
                _pinned.Release();
                _pinned = default;
                _isPinned = false;
            }

            return new Deferred(sink, _reply, need, createdAt);
        }
    }
}
