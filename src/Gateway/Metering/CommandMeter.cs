using System.Diagnostics;

namespace OrleansCache.Gateway.Metering;

/// <summary>
/// Latencies of one I/O loop's commands, by command and outcome. Written by the loop alone, without locks and atomics; read by anyone.
/// <para>
/// What is measured: from the beginning of the loop's turn in which a command's last bytes were received until its reply was handed to the kernel (or, for a
/// connection that does not read, queued). A command that other silos answer is measured from the turn in which it was sent to the one in which its reply came.
/// </para>
/// <para>
/// Algorithm. A reading of the clock costs more than everything else here, so the clock is read once for up to <see cref="ConnectionsMax"/> connections that
/// are served one after the other, and once at the end of the loop's turn: the time between two readings is divided evenly among the connections in between.
/// Commands that a connection has sent at once have one latency, that of the last of them.
/// </para>
/// </summary>
internal sealed class CommandMeter
{
    private const int OutcomeBits = 2;
    private const int Error = 3;

    /// <summary>Numbers beyond those of <see cref="CacheOperation"/>: what is a command of its own to clients.</summary>
    private const int GetAndTouch = 11;
    private const int CompareAndSet = 12;

    private const int KindCount = (CompareAndSet + 1) << OutcomeBits;

    private static readonly string[] s_commands = ["", "get", "touch", "set", "add", "replace", "append", "prepend", "delete", "incr", "decr", "gat", "cas"];

    /// <summary>Connections that share a reading of the clock.</summary>
    private const int ConnectionsMax = 32;

    private const int EntriesMax = 64;

    // What has been counted since the clock was read last: which command, of which connection, how often. The first entry is none.
    private readonly Entry[] _entries = new Entry[EntriesMax + 1];
    private readonly Latencies?[] _latencies = new Latencies?[KindCount];
    private int _used;
    private int _connection;
    private long _turnBegan = Stopwatch.GetTimestamp();
    private long _readAt = Stopwatch.GetTimestamp();
    private long _repliesCame;

    public KeySampler Keys { get; } = new();

    /// <summary>When the loop's turn began.</summary>
    public long TurnBegan => _turnBegan;

    public void BeginTurn()
    {
        _turnBegan = _readAt = Stopwatch.GetTimestamp();
        _repliesCame = 0;
    }

    /// <summary>The number of a command, for <see cref="Count"/>.</summary>
    public static int CommandOf(in CacheRequest request) => request.Operation switch
    {
        CacheOperation.Get => (request.Flags & RequestFlags.Touch) != 0 ? GetAndTouch : (int)CacheOperation.Get,
        CacheOperation.Set => (request.Flags & RequestFlags.CompareCas) != 0 ? CompareAndSet : (int)CacheOperation.Set,
        CacheOperation operation => (int)operation,
    };

    /// <summary>A command has been answered; it is measured when its connection's turn ends, or some others' after it.</summary>
    public void Count(int command, CacheStatus status)
    {
        int key = (_connection << 8) | KindOf(command, status);
        ref Entry last = ref _entries[_used];
        if (last.Key == key && _used > 0)
            last.Count++;
        else
            Append(key);
    }

    /// <summary>A connection's turn is over.</summary>
    public void EndConnectionTurn()
    {
        if (_used > 0 && _entries[_used].Key >> 8 == _connection && ++_connection == ConnectionsMax)
            Record();
    }

    /// <summary>The loop's turn is over: what has been counted is measured now.</summary>
    public void EndTurn()
    {
        if (_used > 0)
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

    private void Append(int key)
    {
        if (_used == EntriesMax)
        {
            Record();
            key &= 0xFF; // The connection goes on as the first of those that come now.
        }

        _entries[++_used] = new Entry { Key = key, Count = 1 };
    }

    private void Record()
    {
        long now = Stopwatch.GetTimestamp();
        long before = Nanoseconds(_readAt - _turnBegan);
        long share = Nanoseconds(now - _readAt) / ((_entries[_used].Key >> 8) + 1);
        for (int i = 1; i <= _used; i++)
        {
            Entry entry = _entries[i];
            LatenciesOf(entry.Key & 0xFF).Add(before + (share * ((entry.Key >> 8) + 1)), entry.Count);
        }

        _used = 0;
        _connection = 0;
        _readAt = now;
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

    /// <summary>The number of the connection since the last reading of the clock, 8 bits of the kind; and how many commands.</summary>
    private struct Entry
    {
        public int Key;
        public int Count;
    }

    private sealed class Latencies
    {
        private readonly long[] _buckets = new long[LatencyBuckets.Count];
        private long _sumNanoseconds;
        private long _maxNanoseconds;

        public void Add(long nanoseconds, int count)
        {
            _buckets[LatencyBuckets.IndexOf(nanoseconds)] += count;
            _sumNanoseconds += nanoseconds * count;
            if (nanoseconds > _maxNanoseconds)
                _maxNanoseconds = nanoseconds;
        }

        public void AddTo(CommandLatencies sum) => sum.Add(_buckets, Volatile.Read(ref _sumNanoseconds), Volatile.Read(ref _maxNanoseconds));
    }
}
