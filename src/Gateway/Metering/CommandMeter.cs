using System.Diagnostics;
using System.Numerics;

namespace OrleansCache.Gateway.Metering;

/// <summary>
/// Latencies of one I/O loop's commands, by command and outcome. Written by the loop alone, without locks and atomics; read by anyone.
/// <para>
/// What is measured: from the beginning of the loop's turn in which a command's last bytes were received until its reply was handed to the kernel
/// (or, for a connection that does not read, queued). Commands that a connection has sent at once are measured together, with one reading of the clock:
/// they all have their last one's latency. A command that other silos answer is measured from the turn in which it was sent to the one in which its reply
/// came.
/// </para>
/// Cost: a few instructions for each command, one reading of the clock for each connection's turn.
/// </summary>
internal sealed class CommandMeter
{
    private const int OutcomeBits = 2;
    private const int Error = 3;

    /// <summary>Numbers beyond those of <see cref="CacheOperation"/>: what is a command of its own to clients.</summary>
    private const int GetAndTouch = 11;
    private const int CompareAndSet = 12;

    /// <summary>A bit each in <see cref="_touched"/>.</summary>
    private const int KindCount = (CompareAndSet + 1) << OutcomeBits;

    private static readonly string[] s_commands = ["", "get", "touch", "set", "add", "replace", "append", "prepend", "delete", "incr", "decr", "gat", "cas"];

    private readonly int[] _counts = new int[64];
    private readonly Latencies?[] _latencies = new Latencies?[KindCount];
    private ulong _touched;
    private long _turnBegan = Stopwatch.GetTimestamp();
    private long _repliesCame;

    public KeySampler Keys { get; } = new();

    /// <summary>When the loop's turn began.</summary>
    public long TurnBegan => _turnBegan;

    public void BeginTurn()
    {
        _turnBegan = Stopwatch.GetTimestamp();
        _repliesCame = 0;
    }

    /// <summary>The number of a command, for <see cref="Count"/>.</summary>
    public static int CommandOf(in CacheRequest request) => request.Operation switch
    {
        CacheOperation.Get => (request.Flags & RequestFlags.Touch) != 0 ? GetAndTouch : (int)CacheOperation.Get,
        CacheOperation.Set => (request.Flags & RequestFlags.CompareCas) != 0 ? CompareAndSet : (int)CacheOperation.Set,
        CacheOperation operation => (int)operation,
    };

    /// <summary>A command has been answered in this turn; it is measured when the turn of its connection ends.</summary>
    public void Count(int command, CacheStatus status)
    {
        int kind = KindOf(command, status);
        _counts[kind]++;
        _touched |= 1UL << kind;
    }

    /// <summary>A connection's turn is over: everything that was counted has taken so long.</summary>
    public void EndTurn()
    {
        if (_touched != 0)
            Record();
    }

    /// <summary>Another silo has answered a command that was sent then.</summary>
    public void CountRemote(int command, CacheStatus status, long sentAt)
    {
        // The replies of a batch come one after the other: one reading of the clock is enough for them.
        if (_repliesCame == 0)
            _repliesCame = Stopwatch.GetTimestamp();
        LatenciesOf(KindOf(command, status)).Add(Nanoseconds(_repliesCame - sentAt), 1);
    }

    /// <summary>Adds what this loop has measured.</summary>
    public void AddTo(Dictionary<(string Command, string Outcome), CommandLatencies> all)
    {
        for (int kind = 0; kind < KindCount; kind++)
        {
            if (Volatile.Read(ref _latencies[kind]) is not { } latencies)
                continue;
            (string, string) name = NameOf(kind);
            if (!all.TryGetValue(name, out CommandLatencies? sum))
                all.Add(name, sum = new CommandLatencies(name.Item1, name.Item2));
            latencies.AddTo(sum);
        }
    }

    private static int KindOf(int command, CacheStatus status)
    {
        int outcome = status switch
        {
            CacheStatus.Ok => 0,
            CacheStatus.NotFound => 1,
            CacheStatus.NotStored or CacheStatus.Exists => 2,
            _ => Error,
        };
        return (command << OutcomeBits) | outcome;
    }

    private static (string Command, string Outcome) NameOf(int kind)
    {
        int command = kind >> OutcomeBits;
        bool stores = command is >= (int)CacheOperation.Set and <= (int)CacheOperation.Prepend or CompareAndSet;
        string outcome = (kind & Error) switch
        {
            0 => stores ? "stored" : "hit",
            1 => "miss",
            2 => command is >= (int)CacheOperation.Add and <= (int)CacheOperation.Prepend ? "not_stored" : "exists",
            _ => "error",
        };
        return (s_commands[command], outcome);
    }

    private static long Nanoseconds(long ticks) => Stopwatch.Frequency == 1_000_000_000 ? ticks : (long)(ticks * (1e9 / Stopwatch.Frequency));

    private void Record()
    {
        long nanoseconds = Nanoseconds(Stopwatch.GetTimestamp() - _turnBegan);
        int bucket = LatencyBuckets.IndexOf(nanoseconds);
        for (ulong touched = _touched; touched != 0; touched &= touched - 1)
        {
            int kind = BitOperations.TrailingZeroCount(touched);
            LatenciesOf(kind).Add(bucket, nanoseconds, _counts[kind]);
            _counts[kind] = 0;
        }

        _touched = 0;
    }

    /// <summary>Made when the first such command comes; few are ever used.</summary>
    private Latencies LatenciesOf(int kind)
    {
        if (_latencies[kind] is { } known)
            return known;
        var made = new Latencies();
        Volatile.Write(ref _latencies[kind], made);
        return made;
    }

    private sealed class Latencies
    {
        private readonly long[] _buckets = new long[LatencyBuckets.Count];
        private long _sumNanoseconds;
        private long _maxNanoseconds;

        public void Add(long nanoseconds, int count) => Add(LatencyBuckets.IndexOf(nanoseconds), nanoseconds, count);

        public void Add(int bucket, long nanoseconds, int count)
        {
            _buckets[bucket] += count;
            _sumNanoseconds += nanoseconds * count;
            if (nanoseconds > _maxNanoseconds)
                _maxNanoseconds = nanoseconds;
        }

        public void AddTo(CommandLatencies sum) => sum.Add(_buckets, Volatile.Read(ref _sumNanoseconds), Volatile.Read(ref _maxNanoseconds));
    }
}
