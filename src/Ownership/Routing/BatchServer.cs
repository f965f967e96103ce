using OrleansCache.Ownership.Replication;

namespace OrleansCache.Ownership.Routing;

/// <summary>
/// One silo's side of batches: executes them, and keeps their results until the copies of the partitions concerned have what they tell of.
/// <para>
/// A batch's reply leaves as a whole as soon as everything in it is acknowledged. What takes longer than <see cref="ReplyPatience"/> (a replica's silo is slow
/// or lost) must not hold up what shares the batch, nor what waits behind it in its lane: the reply leaves without it, with <see
/// cref="BatchFormat.StatusPending"/> in its place and a ticket, and the asker collects the rest with that.
/// </para>
/// <para>
/// Bounded: what has been executed and not acknowledged by the end of <see cref="AcknowledgementTimeout"/> is answered with <see
/// cref="BatchFormat.StatusUnacknowledged"/>; what is not collected is forgotten some seconds later; beyond <see cref="SplitBytesMax"/> of kept results no
/// further reply is split, and waits as a whole.
/// </para>
/// Goals: nothing but a look at each result where nothing waits. Safe to call from any thread. Answers are given on whatever thread makes them possible.
/// </summary>
public sealed class BatchServer : IAckListener, IDisposable
{
    /// <summary>A reply waits so long for all of its results.</summary>
    public static readonly TimeSpan ReplyPatience = TimeSpan.FromMilliseconds(10);

    /// <summary>Who collects waits so long for a first result, and is told then that there is none yet.</summary>
    public static readonly TimeSpan CollectPatience = TimeSpan.FromSeconds(1);

    /// <summary>Longer than a lost replica's silo takes to be noticed.</summary>
    public static readonly TimeSpan AcknowledgementTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Bytes of results that are kept for those who collect them.</summary>
    public const long SplitBytesMax = 64L * 1024 * 1024;

    /// <summary>When the first result of those collected has come, others that come as soon go along with it.</summary>
    private static readonly TimeSpan GatherPatience = TimeSpan.FromMilliseconds(2);

    private static readonly TimeSpan ForgetAfter = TimeSpan.FromSeconds(5);

    private readonly BatchExecutor _executor;
    private readonly Replicator _replicator;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private readonly List<HeldReply> _held = [];
    private readonly List<(Action<PooledBytes> Answer, PooledBytes Reply)> _ready = [];
    private long _lastTicket;
    private long _splitBytes;
    private long _timerAt = long.MaxValue;
    private volatile int _count;

    public BatchServer(BatchExecutor executor, Replicator replicator, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(replicator);
        ArgumentNullException.ThrowIfNull(time);
        _executor = executor;
        _replicator = replicator;
        _time = time;
        _timer = time.CreateTimer(static server => ((BatchServer)server!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        replicator.Register(this);
    }

    /// <summary>Replies that wait for copies, or to be collected.</summary>
    public int HeldCount => _count;

    /// <summary>
    /// Executes a batch, and returns its reply, which may leave if <paramref name="unacknowledged"/> is null; otherwise <see cref="Hold"/> it. Throws
    /// <see cref="InvalidDataException"/> on bytes that are no batch.
    /// </summary>
    internal PooledBytes Execute(ReadOnlySpan<byte> batch, out List<UnacknowledgedResult>? unacknowledged)
    {
        PooledBytes reply = _executor.Execute(batch, out unacknowledged);
        _replicator.Flush();
        return reply;
    }

    /// <summary>Keeps the reply, and gives <paramref name="answer"/> what may leave when it may, perhaps before this returns.</summary>
    internal void Hold(PooledBytes reply, List<UnacknowledgedResult> unacknowledged, Action<PooledBytes> answer)
    {
        long now = _time.GetTimestamp();
        HeldReply held = new(reply, unacknowledged, answer) { DueAt = now + Ticks(ReplyPatience), Deadline = now + Ticks(AcknowledgementTimeout) };
        lock (_lock)
        {
            _held.Add(held);
            _count = _held.Count;
            ArmFor(held.DueAt, now);
        }

        // The acknowledgement may have come before the entry in the list.
        Look();
    }

    /// <summary>
    /// More of the results that a reply left out: the new one has a result for each of them, in their order, some of which may be pending still. False for a
    /// ticket that is not known, or not any more; otherwise <paramref name="answer"/> gets the reply, perhaps before this returns.
    /// </summary>
    public bool TryCollect(long ticket, Action<PooledBytes> answer)
    {
        lock (_lock)
        {
            HeldReply? held = _held.Find(held => held.Ticket == ticket);
            if (held is null || held.Answer is not null)
                return false;
            held.Answer = answer;
            long now = _time.GetTimestamp();
            held.DueAt = now + Ticks(CollectPatience);
            ArmFor(held.DueAt, now);
        }

        Look();
        return true;
    }

    void IAckListener.OnAcknowledged()
    {
        if (_count > 0)
            Look();
    }

    public void Dispose() => _timer.Dispose();

    /// <summary>It may have fired a little too early: then it is armed again.</summary>
    private void OnTimer()
    {
        lock (_lock)
        {
            _timerAt = long.MaxValue;
        }

        Look();
    }

    private long Ticks(TimeSpan span) => (long)(span.TotalSeconds * _time.TimestampFrequency);

    /// <summary>Under the lock.</summary>
    private void ArmFor(long at, long now)
    {
        if (at >= _timerAt)
            return;
        _timerAt = at;
        TimeSpan wait = TimeSpan.FromSeconds(Math.Max(0, (double)(at - now) / _time.TimestampFrequency));
        _timer.Change(TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds)), Timeout.InfiniteTimeSpan);
    }

    /// <summary>Lets go what may leave. Answers are given off the lock.</summary>
    private void Look()
    {
        (Action<PooledBytes> Answer, PooledBytes Reply)[] ready;
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            long next = long.MaxValue;
            for (int i = _held.Count - 1; i >= 0; i--)
            {
                HeldReply held = _held[i];
                if (LookAt(held, now))
                {
                    _held.RemoveAt(i);
                    if (held.Ticket != 0)
                        _splitBytes -= held.Reply.Length;
                }
                else
                    next = Math.Min(next, held.Answer is null ? held.Deadline + Ticks(ForgetAfter) : Math.Min(held.DueAt, held.Deadline));
            }

            _count = _held.Count;
            if (next != long.MaxValue)
                ArmFor(next, now);
            if (_ready.Count == 0)
                return;
            ready = [.. _ready];
            _ready.Clear();
        }

        foreach ((Action<PooledBytes> answer, PooledBytes reply) in ready)
            answer(reply);
    }

    /// <summary>Under the lock. Returns whether nothing is left of it.</summary>
    private bool LookAt(HeldReply held, long now)
    {
        bool isOver = now >= held.Deadline;
        if (held.Answer is not { } answer)
        {
            if (now < held.Deadline + Ticks(ForgetAfter))
                return false;
            held.Reply.Release();
            return true;
        }

        if (isOver || !held.HasPending())
        {
            _ready.Add((answer, held.Complete(isOver)));
            return true;
        }

        if (held.Ticket != 0 && !held.IsGathering && held.HasReady())
        {
            held.IsGathering = true;
            held.DueAt = Math.Min(held.DueAt, now + Ticks(GatherPatience));
        }

        if (now < held.DueAt)
            return false;
        if (held.Ticket == 0)
        {
            if (_splitBytes + held.Reply.Length > SplitBytesMax)
            {
                held.DueAt = held.Deadline;
                return false;
            }

            _splitBytes += held.Reply.Length;
        }

        _ready.Add((answer, held.Split(held.Ticket != 0 ? held.Ticket : ++_lastTicket)));
        return false;
    }

    /// <summary>A reply of which something is not acknowledged, or has not been when it was asked for last. Guarded by the server's lock.</summary>
    private sealed class HeldReply(PooledBytes reply, List<UnacknowledgedResult> left, Action<PooledBytes> answer)
    {
        private List<UnacknowledgedResult> _left = left;
        private (int Start, int Length)[]? _spans;

        /// <summary>Those before it are acknowledged, or will not be.</summary>
        private int _firstPending;

        /// <summary>Everything that the batch has given.</summary>
        public PooledBytes Reply => reply;

        /// <summary>0 as long as nothing has left.</summary>
        public long Ticket { get; private set; }

        /// <summary>Who waits; null if nobody does.</summary>
        public Action<PooledBytes>? Answer { get; set; } = answer;

        /// <summary>Who waits gets what there is.</summary>
        public long DueAt { get; set; }

        /// <summary>What is not acknowledged by then will not be.</summary>
        public long Deadline { get; init; }

        /// <summary>Something is there for who collects, and waits a moment for more.</summary>
        public bool IsGathering { get; set; }

        public bool HasPending()
        {
            while (_firstPending < _left.Count && !_left[_firstPending].IsPending)
                _firstPending++;
            return _firstPending < _left.Count;
        }

        public bool HasReady() => _left.Exists(static result => !result.IsPending);

        /// <summary>The last reply: nothing is pending in it.</summary>
        public PooledBytes Complete(bool isOver)
        {
            if (Ticket == 0 && _left.TrueForAll(static result => result.IsAcknowledged))
                return reply;
            PooledBytes rest = Write(0, isOver);
            reply.Release();
            return rest;
        }

        /// <summary>What is there, and nobody waits any more.</summary>
        public PooledBytes Split(long ticket)
        {
            PooledBytes part = Write(ticket, isOver: false);
            Ticket = ticket;
            Answer = null;
            IsGathering = false;
            _firstPending = 0;
            return part;
        }

        private PooledBytes Write(long ticket, bool isOver)
        {
            _spans ??= ReplyReader.SpansOf(reply.Span);
            ReplyWriter writer = new();
            List<UnacknowledgedResult> pending = [];
            int next = 0;
            int count = Ticket == 0 ? _spans.Length : _left.Count;
            for (int i = 0; i < count; i++)
            {
                if (Ticket == 0 && (next == _left.Count || _left[next].Index != i))
                {
                    Copy(writer, i);
                    continue;
                }

                // Each is looked at once: it may be acknowledged at any moment.
                UnacknowledgedResult result = _left[next++];
                if (result.IsAcknowledged)
                    Copy(writer, result.Index);
                else if (isOver || result.Log.IsClosed)
                    writer.WriteStatus(BatchFormat.StatusUnacknowledged);
                else
                {
                    writer.WriteStatus(BatchFormat.StatusPending);
                    pending.Add(result);
                }
            }

            _left = pending;
            return writer.TakeReply(ticket);
        }

        private void Copy(ReplyWriter writer, int index)
        {
            (int start, int length) = _spans![index];
            writer.WriteEncoded(reply.Span.Slice(start, length));
        }
    }
}

/// <summary>A result that tells of something that not all complete copies of its partition had when it was executed.</summary>
/// <param name="Index">Its place in the batch.</param>
/// <param name="Log">Its partition's log.</param>
/// <param name="Need">What has to be acknowledged of that log.</param>
internal readonly record struct UnacknowledgedResult(int Index, PartitionLog Log, long Need)
{
    public bool IsAcknowledged => Log.Acknowledged >= Need;

    /// <summary>It may still be acknowledged.</summary>
    public bool IsPending => !IsAcknowledged && !Log.IsClosed;
}
