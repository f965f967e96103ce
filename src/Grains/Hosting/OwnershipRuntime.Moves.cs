using System.Globalization;
using Microsoft.Extensions.Logging;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

// What an operator says about moves, and what he sees of them: decided by the coordinator, asked for here.
internal sealed partial class OwnershipRuntime
{
    public const string NoCoordinator = "nobody coordinates the cluster at the moment; try again";

    /// <summary>How long an order waits until all silos know it.</summary>
    private static readonly TimeSpan OrderWait = TimeSpan.FromSeconds(2);

    private readonly long _moveLimitAtStart;
    private long _moveLimit;
    private bool _isStopping;

    /// <summary>To the coordinator's silo, and passed on to it by any other. Null if nobody coordinates at the moment.</summary>
    public async ValueTask<MovesOverview?> ReadMovesAsync(bool passOn)
    {
        SiloId coordinator;
        lock (_lock)
        {
            if (_coordinator.Leads)
                return _coordinator.Recovered ? _coordinator.ReadMoves(NowMilliseconds) : null;
            coordinator = _agent.Coordinator;
        }

        return passOn && !coordinator.IsNone
            && await _silos.Of(coordinator).ReadMovesAsync().ConfigureAwait(false) is { } answer
            && MovesFormat.TryDecode(answer.Payload.Span, out MovesOverview? overview) ? overview : null;
    }

    /// <summary>Nothing if somebody else coordinates.</summary>
    private MovesOverview ReadOwnMoves()
    {
        lock (_lock)
        {
            return _coordinator is { Leads: true, Recovered: true } ? _coordinator.ReadMoves(NowMilliseconds) : MovesOverview.Nothing;
        }
    }

    /// <summary>As <see cref="ReadMovesAsync"/>. Null: it is carried out, and all silos know it; otherwise why not, or not yet.</summary>
    public async ValueTask<string?> OrderMovesAsync(MoveOrder order, bool passOn)
    {
        SiloId coordinator = default;
        string? refusal = NoCoordinator;
        long started = _time.GetTimestamp();
        lock (_lock)
        {
            if (!_coordinator.Leads)
                coordinator = _agent.Coordinator;
            else if (_coordinator.Recovered)
                refusal = _coordinator.Order(order, NowMilliseconds);
        }

        if (refusal is null)
        {
            string said = Describe(order);
            LogMoveOrder(_journalLogger, said);
        }

        if (!coordinator.IsNone && passOn)
            return await _silos.Of(coordinator).OrderMovesAsync((byte)order.Kind, order.Value).ConfigureAwait(false);
        return refusal ?? await WaitUntilKnownAsync(started).ConfigureAwait(false);
    }

    /// <summary>As it is written on the command line.</summary>
    private static string Describe(MoveOrder order) => order switch
    {
        { Kind: MoveOrderKind.Pause } => "pause",
        { Kind: MoveOrderKind.Resume } => "resume",
        { Kind: MoveOrderKind.Limit, Value: 0 } => "limit off",
        { Kind: MoveOrderKind.Limit } => $"limit {new ByteSize(order.Value)} per second",
        { Value: MoveOrder.All } => "abort all",
        _ => string.Create(CultureInfo.InvariantCulture, $"abort {order.Value}"),
    };

    private async Task<string?> WaitUntilKnownAsync(long started)
    {
        while (true)
        {
            Task progress;
            lock (_lock)
            {
                if (!_coordinator.Leads)
                    return "the coordinator has changed; see whether it has taken effect";
                if (_coordinator.MoveSettingsAwaited is not { IsNone: false } awaited)
                    return null;
                if (_time.GetElapsedTime(started) >= OrderWait)
                    return $"silo {awaited.Address} has not heard of it yet, and will as soon as it answers";
                progress = _progress.Task;
            }

            TimeSpan left = OrderWait - _time.GetElapsedTime(started);
            if (left > TimeSpan.Zero)
                await Task.WhenAny(progress, Task.Delay(left, _time, _stop.Token)).ConfigureAwait(false);
        }
    }

    /// <summary>Under the lock. A silo that is about to end is not slowed down: what it does not hand over in time may be lost.</summary>
    private void ApplyMoveLimit() => _replicator.LimitScans(_isStopping ? 0 : _moveLimit);

    void ISiloAgentEnvironment.Rest(int partition, long copy, bool isResting) => _replicator.Rest(partition, copy, isResting);

    (long BytesDone, long BytesTotal) ISiloAgentEnvironment.ProgressOf(int partition, long copy) => _replicator.ProgressOf(partition, copy);

    void ISiloAgentEnvironment.LimitCopies(long? bytesPerSecond)
    {
        _moveLimit = bytesPerSecond ?? _moveLimitAtStart;
        ApplyMoveLimit();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "An operator says: moves {Order}")]
    private static partial void LogMoveOrder(ILogger logger, string order);
}
