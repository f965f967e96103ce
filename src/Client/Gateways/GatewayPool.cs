using Microsoft.Extensions.Logging;
using OrleansCache.Client.Wire;

namespace OrleansCache.Client.Gateways;

/// <summary>
/// Keeps <see cref="OrleansCacheOptions.Connections"/> connections to the gateways, and finds one for each operation.
/// <para>
/// Each connection has a slot with a loop of its own: it chooses a gateway (the one with the fewest connections of ours that is not in its back-off), connects,
/// and waits for the connection's end. A gateway that fails rests for a time that doubles; the slot goes to another at once. Operations that find no connection
/// wait until one is made; once every gateway has refused, they fail at once, until one answers: a cache that is down must not cost each request a time-out.
/// </para>
/// <para>
/// An operation whose connection is lost goes to another connection if nothing of it had left, or if doing it twice does no harm: reads, and removals (a
/// repeated one loses an entry at worst). A store that was sent is answered with <see cref="OrleansCacheError.OutcomeUnknown"/>: repeated, it could undo
/// somebody else's later one (docs/decisions/0004).
/// </para>
/// </summary>
internal sealed partial class GatewayPool : IConnectionOwner, IAsyncDisposable
{
    /// <summary>An operation that has lost so many connections is perhaps what breaks them.</summary>
    private const int LossesMax = 3;

    private readonly Lock _lock = new();
    private readonly OrleansCacheOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ClientMetrics _metrics;
    private readonly Connector _connector;
    private readonly Slot[] _slots;
    private readonly CancellationTokenSource _stop = new();
    private readonly long _timeoutTicks;
    private readonly int _firstGateway;

    /// <summary>Connections that take nothing new and still wait for replies.</summary>
    private readonly List<Connection> _retiring = [];
    private List<Gateway> _gateways;
    private Queue<WireOperation> _waiting = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Exception? _downBecause;
    private Task[] _loops = [];
    private ITimer? _timer;
    private bool _isStarted;
    private bool _isDisposed;

    public GatewayPool(OrleansCacheOptions options, TimeProvider time, ILogger logger, ClientMetrics metrics)
    {
        _options = options;
        _time = time;
        _logger = logger;
        _metrics = metrics;
        _connector = new Connector(options);
        _gateways = [.. options.EndPoints.Select(text => new Gateway(Parse(text), isConfigured: true))];
        _slots = [.. Enumerable.Range(0, options.Connections).Select(_ => new Slot())];
        _timeoutTicks = (long)(options.OperationTimeout.TotalSeconds * time.TimestampFrequency);
        _firstGateway = Random.Shared.Next(_gateways.Count);
    }

    /// <summary>When an operation that begins now is overdue.</summary>
    public long DueAt => _time.GetTimestamp() + _timeoutTicks;

    public int Connections => _slots.Count(slot => slot.Current is { IsOpen: true });

    public int Pending => _slots.Sum(slot => slot.Current?.Pending ?? 0);

    /// <summary>Finds a connection for the operation, or lets it wait for one; or fails it.</summary>
    public void Submit(WireOperation operation)
    {
        if (!_isStarted)
            Start();
        while (true)
        {
            switch (Choose()?.TryEnqueue(operation))
            {
                case EnqueueResult.Queued:
                    return;
                case EnqueueResult.Full:
                    Fail(operation, new OrleansCacheException(
                        OrleansCacheError.Busy,
                            $"{_options.PendingOperationsMax} operations, or {_options.PendingBytesMax} bytes, wait already on each connection to the cache."));
                    return;
                case null when TryWait(operation):
                    return;
            }
        }
    }

    /// <summary>The open connection with the least to do.</summary>
    private Connection? Choose()
    {
        Connection? best = null;
        int least = int.MaxValue;
        foreach (Slot slot in _slots)
        {
            if (slot.Current is not { IsOpen: true } connection)
                continue;
            int pending = connection.Pending;
            if (pending < least)
            {
                best = connection;
                least = pending;
            }
        }

        return best;
    }

    /// <summary>False: there is a connection by now.</summary>
    private bool TryWait(WireOperation operation)
    {
        Exception? failure = null;
        lock (_lock)
        {
            if (Choose() is not null)
                return false;
            if (_isDisposed)
            {
                failure = new ObjectDisposedException(nameof(OrleansCacheClient));
            }
            else if (_downBecause is { } reason)
            {
                failure = new OrleansCacheException(OrleansCacheError.Unavailable, $"No gateway of the cache can be reached ({Names()}): {reason.Message}",
                    reason);
            }
            else if (_waiting.Count >= _options.PendingOperationsMax)
            {
                failure = new OrleansCacheException(OrleansCacheError.Busy, $"{_waiting.Count} operations wait already for a connection to the cache.");
            }
            else
            {
                operation.AddReference();
                _waiting.Enqueue(operation);
            }
        }

        if (failure is not null)
            Fail(operation, failure);
        return true;
    }

    private void Fail(WireOperation operation, Exception exception)
    {
        if (operation.Fail(exception))
            _metrics.OnFailed(operation.Command, exception);
    }

    private void Start()
    {
        lock (_lock)
        {
            if (_isStarted || _isDisposed)
                return;
            double milliseconds = Math.Clamp(_options.OperationTimeout.TotalMilliseconds / 8, 10, 250);
            _timer = _time.CreateTimer(static state => ((GatewayPool)state!).CheckTimeouts(), this, TimeSpan.FromMilliseconds(milliseconds),
                TimeSpan.FromMilliseconds(milliseconds));

            // Not in the flow of whoever happened to be the first caller.
            using (ExecutionContext.SuppressFlow())
                _loops = [.. _slots.Select(slot => Task.Run(() => KeepConnectedAsync(slot))), Task.Run(FollowClusterAsync)];
            _isStarted = true;
        }
    }

    private void CheckTimeouts()
    {
        long now = _time.GetTimestamp();
        foreach (Slot slot in _slots)
            slot.Current?.CheckTimeouts(now, _timeoutTicks);
        Connection[] retiring;
        lock (_lock)
        {
            retiring = [.. _retiring];
            int count = _waiting.Count;
            for (int i = 0; i < count; i++)
            {
                WireOperation operation = _waiting.Dequeue();
                if (operation.DueAt > now)
                {
                    _waiting.Enqueue(operation);
                    continue;
                }

                OnTimeout(operation, now);
                operation.Release();
            }
        }

        foreach (Connection connection in retiring)
            connection.CheckTimeouts(now, _timeoutTicks);
    }

    public void OnTimeout(Connection connection, WireOperation operation, long now) => OnTimeout(operation, now);

    private void OnTimeout(WireOperation operation, long now)
    {
        WireCommand command = operation.Command;
        if (operation.FailIfDue(now, _ =>
            new OrleansCacheException(OrleansCacheError.TimedOut, $"The cache has not answered within {_options.OperationTimeout.TotalSeconds:0.###} s.")))
            _metrics.OnFailed(command, OrleansCacheError.TimedOut);
    }

    public void OnLost(WireOperation operation, bool wasSent, Exception failure)
    {
        bool isAgain = (!wasSent || operation.IsRepeatable) && operation.Losses++ < LossesMax && !_isDisposed;
        if (isAgain)
            Submit(operation);
        else if (_isDisposed)
            Fail(operation, new ObjectDisposedException(nameof(OrleansCacheClient)));
        else if (wasSent && !operation.IsRepeatable)
            Fail(operation, new OrleansCacheException(OrleansCacheError.OutcomeUnknown,
                "The connection was lost before the cache has answered; whether the entry was stored is unknown.", failure));
        else
            Fail(operation, new OrleansCacheException(OrleansCacheError.Unavailable, $"The connection to the cache was lost {operation.Losses} times.",
                failure));
        operation.Release();
    }

    public async ValueTask DisposeAsync()
    {
        Queue<WireOperation> waiting;
        Connection[] retiring;
        lock (_lock)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            retiring = [.. _retiring];
            waiting = _waiting;
            _waiting = new Queue<WireOperation>();
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        foreach (WireOperation operation in waiting)
        {
            Fail(operation, new ObjectDisposedException(nameof(OrleansCacheClient)));
            operation.Release();
        }

        foreach (Slot slot in _slots)
            slot.Current?.Close(null);
        foreach (Connection connection in retiring)
            connection.Close(null);
        await Task.WhenAll([.. _loops, .. retiring.Select(connection => connection.Closed)]).ConfigureAwait(false);
        if (_timer is not null)
            await _timer.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    private static GatewayEndPoint Parse(string text) =>
        GatewayEndPoint.TryParse(text, out GatewayEndPoint? endPoint)
            ? endPoint! : throw new ArgumentException($"'{text}' is no host, host:port or unix:/path.");

    private string Names() => string.Join(", ", _gateways.Select(gateway => gateway.EndPoint));

    private sealed class Slot
    {
        private Connection? _current;

        /// <summary>The connection that serves.</summary>
        public Connection? Current
        {
            get => Volatile.Read(ref _current);
            set => Volatile.Write(ref _current, value);
        }

        /// <summary>The gateway of <see cref="Current"/>, and what makes the slot leave it.</summary>
        public Gateway? Gateway { get; set; }

        public TaskCompletionSource? Leave { get; set; }
    }
}
