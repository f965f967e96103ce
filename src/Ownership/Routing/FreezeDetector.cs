namespace OrleansCache.Ownership.Routing;

/// <summary>
/// Notices that this process did not run for a while: a frozen or paused machine, a stopped process. Meanwhile the cluster may have declared the silo dead
/// and opened its partitions elsewhere, so nothing may be read or written here until it is known whether it still counts as a member.
/// <para>
/// A thread of its own beats every <see cref="BeatInterval"/>. Serving asks twice: a flag, before every request, and the time since the last beat, at the
/// first request of each turn, because on wake-up a loop may run before the thread does.
/// </para>
/// <para>
/// A silo that runs but is cut off notices by its lease: each round of the coordinator renews it (<see cref="OnRound"/>), and without one for
/// <see cref="LeaseLength"/> nothing is served until the next. It is long enough for a coordinator to be lost and replaced.
/// </para>
/// Goals: no cost but a flag per request. What was under way at the moment of the freeze may still be answered.
/// </summary>
public sealed class FreezeDetector : IDisposable
{
    /// <summary>A gap this long cannot yet have cost the silo its membership; it is far beyond what a busy machine makes of a beat.</summary>
    public static readonly TimeSpan GapMax = TimeSpan.FromMilliseconds(1500);

    public static readonly TimeSpan BeatInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>So long a silo serves on that hears of no coordinator.</summary>
    public static readonly TimeSpan LeaseLength = TimeSpan.FromSeconds(5);

    private const int Serving = 0;
    private const int Suspended = 1;
    private const int Evicted = 2;

    private readonly TimeProvider _time;
    private readonly Action<TimeSpan> _onGap;
    private readonly ManualResetEventSlim _stop = new();
    private Thread? _thread;
    private volatile bool _isStarted;
    private volatile int _state;
    private volatile bool _isLeaseOver;
    private long _beat;
    private long _leaseFrom;
    private long _roundTerm = -1;
    private long _roundSequence;
    private long _roundAt;
    private int _gaps;

    /// <param name="time">The clock, which goes on while the process does not.</param>
    /// <param name="onGap">Called on a pool thread when serving has been suspended, with the length of the gap.</param>
    public FreezeDetector(TimeProvider time, Action<TimeSpan> onGap)
    {
        _time = time;
        _onGap = onGap;
    }

    /// <summary>Whether requests may be served, as far as is known without looking at the clock.</summary>
    public bool MayServe => _state == Serving && !_isLeaseOver;

    /// <summary>Nobody has renewed the lease for too long, although this process ran: a gap is another matter, and has words of its own.</summary>
    public bool IsLeaseOver => _isLeaseOver && _state == Serving;

    /// <summary>The cluster goes on without this silo.</summary>
    public bool IsEvicted => _state == Evicted;

    /// <summary>The gaps so far.</summary>
    public int GapCount => Volatile.Read(ref _gaps);

    /// <summary>Before this nothing is noticed: a silo that starts has nothing to lose yet.</summary>
    public void Start()
    {
        StartWithoutThread();
        _thread = new Thread(Run) { IsBackground = true, Name = "freeze-detector" };
        _thread.Start();
    }

    /// <summary>For tests, which call <see cref="Beat"/> themselves.</summary>
    internal void StartWithoutThread()
    {
        Volatile.Write(ref _beat, _time.GetTimestamp());
        _isStarted = true;
    }

    /// <summary>As <see cref="MayServe"/>, with a look at the clock.</summary>
    public bool MayServeNow()
    {
        if (_state != Serving || _isLeaseOver)
            return false;
        if (!_isStarted || _time.GetElapsedTime(Volatile.Read(ref _beat)) <= GapMax)
            return true;
        Suspend();
        return false;
    }

    public void Beat()
    {
        TimeSpan gap = _time.GetElapsedTime(Volatile.Read(ref _beat));
        if (gap > GapMax)
        {
            Suspend();
            Interlocked.Increment(ref _gaps);
        }

        Volatile.Write(ref _beat, _time.GetTimestamp());
        long leaseFrom = Volatile.Read(ref _leaseFrom);
        if (leaseFrom != 0 && _time.GetElapsedTime(leaseFrom) > LeaseLength)
            _isLeaseOver = true;
    }

    /// <summary>
    /// A coordinator asks, and is answered. If it grants a lease it has had the answer to its request before this one: so the lease begins when that one was
    /// answered, however long this one was on its way (what could not be delivered while a link was cut arrives when it is whole). Calls are serialised.
    /// </summary>
    /// <param name="term">Of the coordinator.</param>
    /// <param name="sequence">Of the request; what is not above the last one has come late, and counts for nothing.</param>
    /// <param name="grantsLease">It is not cut off itself and counts this silo in. Before the first time no lease is needed.</param>
    public void OnRound(long term, long sequence, bool grantsLease)
    {
        if (term == _roundTerm && sequence <= _roundSequence)
            return;
        if (grantsLease && term == _roundTerm)
            RenewLease(_roundAt);
        (_roundTerm, _roundSequence, _roundAt) = (term, sequence, _time.GetTimestamp());
    }

    private void RenewLease(long from)
    {
        Volatile.Write(ref _leaseFrom, from);
        _isLeaseOver = _time.GetElapsedTime(from) > LeaseLength;
    }

    /// <summary>Serves again, unless there was another gap since.</summary>
    /// <param name="gapCount">As it was before the membership was asked.</param>
    /// <param name="isMember">
    /// The membership has just been read: the lease begins anew, instead of with the time that was slept through. Otherwise it does not: who has slept longer
    /// than that, and is cut off when it wakes up, was replaced.
    /// </param>
    public bool TryResume(int gapCount, bool isMember)
    {
        if (GapCount != gapCount || _time.GetElapsedTime(Volatile.Read(ref _beat)) > GapMax)
            return false;

        if (isMember && Volatile.Read(ref _leaseFrom) != 0)
            RenewLease(_time.GetTimestamp());
        return Interlocked.CompareExchange(ref _state, Serving, Suspended) != Evicted;
    }

    public void Evict() => _state = Evicted;

    public void Dispose()
    {
        _stop.Set();
        _thread?.Join();
        _stop.Dispose();
    }

    private void Suspend()
    {
        TimeSpan gap = _time.GetElapsedTime(Volatile.Read(ref _beat));
        if (Interlocked.CompareExchange(ref _state, Suspended, Serving) == Serving)
            ThreadPool.UnsafeQueueUserWorkItem(static state => state.Self._onGap(state.Gap), (Self: this, Gap: gap), preferLocal: false);
    }

    private void Run()
    {
        while (!_stop.Wait(BeatInterval))
            Beat();
    }
}
