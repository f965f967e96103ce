using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Files;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Stats;
using OrleansCache.Gateway.Tls;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway;

/// <summary>What all loops of a gateway share.</summary>
internal sealed class GatewayShared
{
    private readonly ConcurrentDictionary<long, ConnectionInfo> _connections = new();
    private readonly TaskCompletionSource<string> _failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private static readonly TimeSpan s_storeSnapshotAge = TimeSpan.FromMilliseconds(1);

    private StoreSnapshot? _stores;
    private LoopReadings[] _loops = [];
    private long _connectionsCurrent;
    private long _connectionsTotal;
    private long _connectionIds;
    private long _connectionsRejected;
    private long _ports;
    private int _verbosity;
    private LruSettings _lru;
    private int _dumps;
    private long _dumpsStarted;
    private int _watchers;

    public GatewayShared(GatewayOptions options, IPartitionRouter router, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    {
        Options = options;
        Router = router;
        LoggerFactory = loggerFactory;
        TimeProvider = timeProvider;
        StartedAt = timeProvider.GetUtcNow();
        _verbosity = options.Verbosity;
        VersionNumber = Encoding.ASCII.GetBytes(options.Version);
        _lru = options.Lru;
        TracksSizes = options.TrackSizes;
        Detail = new PrefixCounters((byte)options.PrefixDelimiter) { IsEnabled = options.DetailEnabled };
        router.Stores.CrawlerEnabled = options.Lru.CrawlerEnabled;
        router.Stores.Tuning = options.Lru.Tuning;
        Logins = new LoginGuard(loggerFactory.CreateLogger("OrleansCache.Gateway.Logins"), timeProvider);
        AcceptPauses = new AcceptPauses(loggerFactory.CreateLogger("OrleansCache.Gateway"), timeProvider);
        Files = new FileReloader(options, loggerFactory.CreateLogger("OrleansCache.Gateway.Files"));
        VersionReply = Encoding.ASCII.GetBytes($"VERSION {options.Version}\r\n");
    }

    public GatewayOptions Options { get; }
    public IPartitionRouter Router { get; }
    public ILoggerFactory LoggerFactory { get; }
    public TimeProvider TimeProvider { get; }
    public DateTimeOffset StartedAt { get; }
    public byte[] VersionReply { get; }

    /// <summary>What the binary protocol's version answers.</summary>
    public byte[] VersionNumber { get; }

    /// <summary>As the commands have left them.</summary>
    public LruSettings Lru => Volatile.Read(ref _lru);

    /// <summary>`stats sizes` answers.</summary>
    public bool TracksSizes { get; set; }

    /// <summary>`stats detail`.</summary>
    public PrefixCounters Detail { get; }

    /// <summary>Where the gateway listens, for `stats conns`: memcached's way to write an address.</summary>
    public IReadOnlyList<string> Listeners { get; set; } = [];

    /// <summary>The listeners' descriptors, in the same order, where the transport knows them.</summary>
    public IReadOnlyList<int> ListenerDescriptors { get; set; } = [];

    /// <summary>Where the gateway answers datagrams.</summary>
    public IReadOnlyList<IPEndPoint> UdpEndPoints { get; set; } = [];

    /// <summary>Where the gateway listens; the first ones are the options' listeners, in their order.</summary>
    public IReadOnlyList<EndPoint> EndPoints { get; set; } = [];

    public bool Accepting { get; set; }

    /// <summary>As `stats settings` shows it.</summary>
    public int Verbosity => Volatile.Read(ref _verbosity);

    public TlsCounters Tls { get; } = new();

    public LoginGuard Logins { get; }

    public FileReloader Files { get; }

    public AcceptPauses AcceptPauses { get; }

    /// <summary>Ends, with the reason, if something failed without which the gateway does not serve all of its connections.</summary>
    public Task<string> Failure => _failure.Task;

    /// <summary>From any thread. The first reason counts.</summary>
    public void Fail(string reason) => _failure.TrySetResult(reason);

    public IEnumerable<ConnectionInfo> Connections => _connections.Values.OrderBy(static c => c.Id);

    public IReadOnlyList<LoopReadings> Loops => Volatile.Read(ref _loops);

    public void RegisterLoop(LoopReadings readings)
    {
        lock (_connections)
            _loops = [.. _loops, readings];
    }

    /// <summary>
    /// The stores' counters and gauges. Adding them up walks over all partitions, so a sum of the last millisecond serves again as long as no loop has begun
    /// another request.
    /// </summary>
    public StoreStatistics ReadStores()
    {
        long operations = 0;
        foreach (LoopReadings loop in _loops)
            operations += Volatile.Read(ref loop.Counters.Operations) + Volatile.Read(ref loop.Counters.CmdFlush);
        long now = TimeProvider.GetTimestamp();
        StoreSnapshot? snapshot = Volatile.Read(ref _stores);
        if (snapshot is not null && snapshot.Operations == operations && TimeProvider.GetElapsedTime(snapshot.At, now) < s_storeSnapshotAge)
            return snapshot.Statistics;
        StoreStatistics statistics = Router.ReadStatistics(perClass: false);
        Volatile.Write(ref _stores, new StoreSnapshot(statistics, operations, now));
        return statistics;
    }

    /// <summary>What the buffers of all loops but one hold.</summary>
    public long BufferBytesOfOthers(LoopReadings own)
    {
        long bytes = 0;
        foreach (LoopReadings loop in _loops)
        {
            if (!ReferenceEquals(loop, own))
                bytes += loop.Chunks.RentedBytes;
        }

        return bytes;
    }

    /// <summary>Takes a place under -c; false if there is none. Counts the rejected.</summary>
    public bool TryEnter(ConnectionInfo info)
    {
        if (Interlocked.Increment(ref _connectionsCurrent) > Options.ConnectionsMax + Volatile.Read(ref _ports))
        {
            Interlocked.Decrement(ref _connectionsCurrent);
            Interlocked.Increment(ref _connectionsRejected);
            return false;
        }

        Interlocked.Increment(ref _connectionsTotal);
        info.Id = NextId();
        if (info.Descriptor == 0)
            info.Descriptor = (int)info.Id;
        _connections[info.Id] = info;
        if ((Router.Events.Watched & EventKinds.Connections) != 0)
            ConnectionEvents.Opened(Router.Events, info);
        return true;
    }

    /// <summary>One thread's share of a UDP socket: a connection to memcached's counters, but not under -c.</summary>
    public void EnterPort(ConnectionInfo info)
    {
        Interlocked.Increment(ref _connectionsCurrent);
        Interlocked.Increment(ref _ports);
        Interlocked.Increment(ref _connectionsTotal);
        info.Id = NextId();
        _connections[info.Id] = info;
    }

    public void Leave(ConnectionInfo info)
    {
        if (!_connections.TryRemove(info.Id, out _))
            return;
        Interlocked.Decrement(ref _connectionsCurrent);
        if ((Router.Events.Watched & EventKinds.Connections) != 0 && !info.IsDatagram)
            ConnectionEvents.Closed(Router.Events, info);
    }

    /// <summary>Not the counter of connections: that begins again after `stats reset`, and a number must not have two owners.</summary>
    private long NextId() => Interlocked.Increment(ref _connectionIds);

    /// <summary>verbosity: levels above memcached's highest are that one.</summary>
    public void SetVerbosity(long level)
    {
        const int LevelMax = 2;
        int verbosity = (int)Math.Min(level, LevelMax);
        Volatile.Write(ref _verbosity, verbosity);
        Options.VerbosityChanged?.Invoke(verbosity);
    }

    /// <summary>A command changes settings, and the stores follow; two at the same time both count.</summary>
    public void ChangeLru(Func<LruSettings, LruSettings> change)
    {
        lock (_connections)
        {
            Volatile.Write(ref _lru, change(_lru));
            Router.Stores.Tuning = _lru.Tuning;
        }
    }

    /// <summary>Takes one of the few places for connections that watch.</summary>
    public bool TryEnterWatcher()
    {
        if (Interlocked.Increment(ref _watchers) <= Limits.WatchersMax)
            return true;
        Interlocked.Decrement(ref _watchers);
        return false;
    }

    public void LeaveWatcher() => Interlocked.Decrement(ref _watchers);

    /// <summary>Takes a place under <see cref="Limits.DumpsMax"/>; false if there is none. Leave with <see cref="EndDump"/>.</summary>
    public bool TryBeginDump()
    {
        if (Interlocked.Increment(ref _dumps) <= Limits.DumpsMax)
        {
            Interlocked.Increment(ref _dumpsStarted);
            return true;
        }

        Interlocked.Decrement(ref _dumps);
        return false;
    }

    public void EndDump() => Interlocked.Decrement(ref _dumps);

    /// <summary>stats reset.</summary>
    public void ResetCounters()
    {
        Volatile.Write(ref _stores, null);
        Interlocked.Exchange(ref _connectionsRejected, 0);
        Interlocked.Exchange(ref _connectionsTotal, 0);
        AcceptPauses.Reset();
        Interlocked.Exchange(ref _dumpsStarted, 0);
        Detail.Clear();
        Tls.Reset();

        // A loop that counts at this moment may keep its former number; memcached's own reset is no more exact across its threads.
        foreach (LoopReadings loop in _loops)
            CounterSums.Clear(ref loop.Counters);
    }

    public GatewayStatistics ReadStatistics()
    {
        GatewayCounters counters = default;
        long replyBytes = 0, replies = 0, bufferBytes = 0, bufferBytesFree = 0, buffers = 0;
        foreach (LoopReadings loop in _loops)
        {
            CounterSums.Add(ref counters, ref loop.Counters);
            replyBytes += loop.Chunks.ChunkBytesRented;
            replies += loop.Chunks.ChunksRented;
            bufferBytes += loop.Chunks.BufferBytesRented;
            bufferBytesFree += loop.Chunks.BufferBytesFree;
            buffers += loop.Chunks.BuffersRented;
        }

        return new GatewayStatistics
        {
            Counters = counters,
            ConnectionsMax = Options.ConnectionsMax,
            ConnectionsCurrent = Interlocked.Read(ref _connectionsCurrent),
            ConnectionsTotal = Interlocked.Read(ref _connectionsTotal),
            ConnectionsRejected = Interlocked.Read(ref _connectionsRejected),
            ListenDisabled = AcceptPauses.Count,
            ListenDisabledMicroseconds = AcceptPauses.Microseconds,
            Dumps = Volatile.Read(ref _dumps),
            DumpsStarted = Interlocked.Read(ref _dumpsStarted),
            Accepting = Accepting,
            ReplyBuffers = replies,
            ReplyBufferBytes = replyBytes,
            ReadBuffers = buffers,
            ReadBufferBytes = bufferBytes,
            ReadBufferBytesFree = bufferBytesFree,
            Threads = Options.Threads,
        };
    }
}

/// <summary>The stores' statistics, and what the loops had begun by then.</summary>
internal sealed record StoreSnapshot(StoreStatistics Statistics, long Operations, long At);

/// <summary>One connection as `stats conns` sees it. Written by its loop, read by any.</summary>
internal sealed class ConnectionInfo(Func<string> address, Func<string> listenAddress)
{
    /// <summary>Unix seconds of the last bytes received.</summary>
    public uint LastActiveUnixSeconds;

    /// <summary>Whether the connection waits for other silos or for the client to read.</summary>
    public volatile bool IsWaiting;

    /// <summary>Whether a dump of the keyspace is being sent on it.</summary>
    public volatile bool IsDumping;

    /// <summary>Whether it is a stream of event lines now.</summary>
    public volatile bool IsWatching;

    /// <summary>Whether the data block of a command is arriving.</summary>
    public volatile bool IsReceivingValue;

    public long Id { get; set; }

    /// <summary>Its name in event lines: the descriptor where the transport knows it, else its number.</summary>
    public int Descriptor { get; set; }

    /// <summary>Set as soon as it is known; nothing else than an error happened to a connection that says nothing.</summary>
    public ConnectionCloseReason CloseReason { get; set; }

    /// <summary>A UDP socket's share of a loop, not one client: what takes a connection over, or writes without end, is refused there.</summary>
    public bool IsDatagram { get; init; }

    /// <summary>What its listener speaks.</summary>
    public WireProtocol Protocol { get; init; }

    public string Address => address();
    public string ListenAddress => listenAddress();
}
