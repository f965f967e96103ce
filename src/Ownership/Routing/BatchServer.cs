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
    private readonly List<Departure> _departures = [];

    /// <summary>A batch for a partition is collected where the partition is by then: that silo must not take the ticket for one of its own.</summary>
    private long _lastTicket = Random.Shared.NextInt64(1L << 62);
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

    /// <summary>Lets go what may leave. Replies are put together, and answers given, off the lock.</summary>
    private void Look()
    {
        Departure[] departures;
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            long next = long.MaxValue;
            for (int i = _held.Count - 1; i >= 0; i--)
            {
                HeldReply held = _held[i];
                if (LookAt(held, now))
                    RemoveAt(i);
                else
                    next = Math.Min(next, held.Answer is null ? held.Deadline + Ticks(ForgetAfter) : Math.Min(held.DueAt, held.Deadline));
            }

            if (next != long.MaxValue)
                ArmFor(next, now);
            if (_departures.Count == 0)
                return;
            departures = [.. _departures];
            _departures.Clear();
        }

        foreach (Departure departure in departures)
        {
            PooledBytes reply = departure.Held.Compose(departure.IsOver);
            if (!departure.IsLast && !departure.Held.IsAnythingLeft)
                Remove(departure.Held);
            departure.Answer(reply);
        }
    }

    /// <summary>Under the lock. Returns whether it is not held any more.</summary>
    private bool LookAt(HeldReply held, long now)
    {
        bool isOver = now >= held.Deadline;
        // Results that nobody has fetched are left to the garbage collector: they may just be put together for who comes too late.
        if (held.Answer is null)
            return now >= held.Deadline + Ticks(ForgetAfter);
        bool isLast = isOver || !held.HasPending();
        if (!isLast)
        {
            if (held.Ticket != 0 && !held.IsGathering && held.HasReady())
            {
                held.IsGathering = true;
                held.DueAt = Math.Min(held.DueAt, now + Ticks(GatherPatience));
            }

            if (now < held.DueAt)
                return false;
            if (held.Ticket == 0)
            {
                if (_splitBytes + held.Bytes > SplitBytesMax)
                {
                    held.DueAt = held.Deadline;
                    return false;
                }

                _splitBytes += held.Bytes;
                held.Ticket = ++_lastTicket;
            }
        }

        _departures.Add(new Departure(held, held.TakeAnswer(), isOver, isLast));
        return isLast;
    }

    /// <summary>While the reply was put together, the last result that it was to leave out has been acknowledged.</summary>
    private void Remove(HeldReply held)
    {
        lock (_lock)
        {
            int index = _held.IndexOf(held);
            if (index >= 0)
                RemoveAt(index);
        }
    }

    /// <summary>Under the lock.</summary>
    private void RemoveAt(int index)
    {
        HeldReply held = _held[index];
        _held.RemoveAt(index);
        _count = _held.Count;
        if (held.Ticket != 0)
            _splitBytes -= held.Bytes;
    }

    /// <summary>A reply, or a part of one, on its way to who waits for it.</summary>
    /// <param name="Held">What it is taken from.</param>
    /// <param name="Answer">Gets it.</param>
    /// <param name="IsOver">What is not acknowledged will not be waited for.</param>
    /// <param name="IsLast">Nothing is held back.</param>
    private readonly record struct Departure(HeldReply Held, Action<PooledBytes> Answer, bool IsOver, bool IsLast);

    /// <summary>
    /// A reply of which something is not acknowledged, or has not been when it was asked for last. Guarded by the server's lock, but for <see cref="Compose"/>:
    /// between <see cref="TakeAnswer"/> and the answer nobody else looks at the results.
    /// </summary>
    private sealed class HeldReply(PooledBytes reply, List<UnacknowledgedResult> left, Action<PooledBytes> answer)
    {
        private List<UnacknowledgedResult> _left = left;
        private (int Start, int Length)[]? _spans;

        /// <summary>Those before it are acknowledged, or will not be.</summary>
        private int _firstPending;

        /// <summary>A part of it has left already.</summary>
        private bool _isSplit;

        /// <summary>Of all results together.</summary>
        public int Bytes => reply.Length;

        /// <summary>With which the results that are left are collected; 0 before any have been left out.</summary>
        public long Ticket { get; set; }

        /// <summary>Results that nobody has got yet.</summary>
        public bool IsAnythingLeft => _left.Count > 0;

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

        public Action<PooledBytes> TakeAnswer()
        {
            Action<PooledBytes> taken = Answer!;
            Answer = null;
            IsGathering = false;
            return taken;
        }

        /// <summary>
        /// What there is to tell. What is pending is left, unless waiting <paramref name="isOver"/>. When nothing is left, the results have been given away.
        /// </summary>
        public PooledBytes Compose(bool isOver)
        {
            if (!_isSplit && _left.TrueForAll(static result => result.IsAcknowledged))
            {
                _left = [];
                return reply;
            }

            _spans ??= ReplyReader.SpansOf(reply.Span);
            ReplyWriter writer = new();
            List<UnacknowledgedResult> pending = [];
            int next = 0;
            int count = _isSplit ? _left.Count : _spans.Length;
            for (int i = 0; i < count; i++)
            {
                if (!_isSplit && (next == _left.Count || _left[next].Index != i))
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
            _firstPending = 0;
            _isSplit = true;
            if (pending.Count == 0)
                reply.Release();
            return writer.TakeReply(pending.Count == 0 ? 0 : Ticket);
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
