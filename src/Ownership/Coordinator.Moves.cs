namespace OrleansCache.Ownership;

// What an operator says about moves, and what he sees of them.
public sealed partial class Coordinator
{
    /// <summary>A move that an operator has given up is not begun again for so long, or until he lets moves go on.</summary>
    public const int AbortMilliseconds = 300_000;

    /// <summary>Weight of the newest measurement in a rate; those before count for some seconds.</summary>
    private const double RateWeight = 0.3;

    private readonly long[] _abortedUntil = new long[partitionCount];

    /// <summary>Silos that may be given partitions and copies, as of the last plan.</summary>
    private HashSet<SiloId> _candidates = [];
    private MoveSettings _moveSettings;
    private long _moveSettingsSettled;
    private int _partitionsToMove;

    /// <summary>Since when partitions move, or since the last order, and how many have been moved since.</summary>
    private long? _movingSince;
    private int _movedSince;

    /// <summary>--move-limit of this silo, which counts as long as no order has said anything else.</summary>
    public long MoveLimitAtStart { get; init; }

    /// <summary>Moves that an operator has given up.</summary>
    public long MovesAborted { get; private set; }

    public MoveSettings MoveSettings => _moveSettings;

    /// <summary>A silo that has not been told the newest settings; none if all have.</summary>
    public SiloId MoveSettingsAwaited
    {
        get
        {
            foreach ((SiloId silo, Member member) in _members)
            {
                if (MoveSettingsOf(member) < _moveSettings.Number)
                    return silo;
            }

            return default;
        }
    }

    /// <summary>
    /// Carries an order of the operator out. Null: it is carried out, or as good as; otherwise why not. A pause and a limit are known to all silos when
    /// <see cref="MoveSettingsAwaited"/> names none. Only while <see cref="Recovered"/>.
    /// </summary>
    public string? Order(MoveOrder order, long nowMilliseconds)
    {
        string? refusal = null;
        switch (order.Kind)
        {
            case MoveOrderKind.Pause:
                Change(_moveSettings with { IsPaused = true });
                break;
            case MoveOrderKind.Resume:
                Array.Clear(_abortedUntil);
                Change(_moveSettings with { IsPaused = false });
                break;
            case MoveOrderKind.Limit when order.Value >= 0:
                Change(_moveSettings with { LimitBytesPerSecond = order.Value });
                break;
            case MoveOrderKind.Abort when order.Value == MoveOrder.All:
                for (int partition = 0; partition < _owners.Length; partition++)
                    Abort(partition, nowMilliseconds);
                break;
            case MoveOrderKind.Abort when order.Value < 0 || order.Value >= _owners.Length:
                return $"there are partitions 0 to {_owners.Length - 1}";
            case MoveOrderKind.Abort:
                refusal = Abort((int)order.Value, nowMilliseconds);
                break;
            default:
                return "the coordinator does not know this order: it is of another version";
        }

        if (_movingSince is not null)
            (_movingSince, _movedSince) = (nowMilliseconds, 0);
        PlanSoon();
        Pump(nowMilliseconds);
        return refusal;
    }

    /// <summary>What is on its way, and how long it will take. Only while <see cref="Recovered"/>.</summary>
    public MovesOverview ReadMoves(long nowMilliseconds)
    {
        List<PartitionTransfer> transfers = [];
        long moveBytesLeft = 0, moveBytesTotal = 0, moveRate = 0;
        int measured = 0;
        for (int partition = 0; partition < _owners.Length; partition++)
        {
            _moves.TryGetValue(partition, out Move? move);
            if (move is not null)
            {
                Copy? copy = _copies[partition].Find(copy => copy.Target == move.Target && !copy.IsUnwanted);
                TransferStep step = _elections.ContainsKey(partition) || _promotions.ContainsKey(partition) || move.YieldCopy != 0 ? TransferStep.HandingOver
                    : IsResting(move) ? TransferStep.Resting
                    : copy is null ? TransferStep.Waiting : copy.State == CopyState.Synced ? TransferStep.HandingOver : TransferStep.Copying;
                transfers.Add(Describe(partition, move.Source, move.Target, true, ReasonOf(move), step, copy));
                if (copy is { BytesTotal: > 0 })
                {
                    measured++;
                    moveBytesTotal += copy.BytesTotal;
                    moveBytesLeft += copy.BytesTotal - copy.BytesDone;
                    moveRate += step == TransferStep.Copying ? copy.Rate : 0;
                }
            }

            foreach (Copy copy in _copies[partition])
            {
                if (copy.State != CopyState.Copying || copy.IsUnwanted || copy.Target == move?.Target)
                    continue;
                transfers.Add(Describe(
                    partition, _owners[partition], copy.Target, false, ReasonOf(partition, copy), IsResting(partition, copy) ? TransferStep.Resting
                        : TransferStep.Copying, copy));
            }
        }

        // Those that have not begun are taken to be as large as those under way.
        long average = measured == 0 ? 0 : moveBytesTotal / measured;
        long waiting = Math.Max(0, _partitionsToMove - measured) * average;
        long? secondsLeft = null;
        if (_partitionsToMove == 0)
            secondsLeft = 0;
        else if (!_moveSettings.IsPaused && moveRate > 0)
            secondsLeft = (moveBytesLeft + waiting + moveRate - 1) / moveRate;
        else if (!_moveSettings.IsPaused && _movedSince > 0 && _movingSince is { } since)
            secondsLeft = (((nowMilliseconds - since) * _partitionsToMove / _movedSince) + 999) / 1000;
        return new MovesOverview
        {
            IsPaused = _moveSettings.IsPaused,
            LimitBytesPerSecond = _moveSettings.LimitBytesPerSecond ?? MoveLimitAtStart,
            PartitionsToMove = _partitionsToMove,
            BytesLeft = transfers.Sum(static transfer => transfer.BytesTotal - transfer.BytesDone),
            BytesPerSecond = transfers.Sum(static transfer => transfer.BytesPerSecond),
            SecondsLeft = secondsLeft,
            Transfers = transfers,
            Aborted = [.. Enumerable.Range(0, _owners.Length).Where(partition => _abortedUntil[partition] > nowMilliseconds)
                .Select(partition => (partition, (int)((_abortedUntil[partition] - nowMilliseconds + 999) / 1000)))],
        };
    }

    private static PartitionTransfer Describe(int partition, SiloId from, SiloId to, bool isMove, TransferReason reason, TransferStep step, Copy? copy)
    {
        long rate = step == TransferStep.Copying ? copy?.Rate ?? 0 : 0;
        long done = copy?.BytesDone ?? 0;
        long total = copy?.BytesTotal ?? 0;
        long? secondsLeft = step == TransferStep.HandingOver ? 0 : rate > 0 ? (total - done + rate - 1) / rate : null;
        return new PartitionTransfer(partition, from.Address, to.Address, isMove, reason, step, done, total, rate, secondsLeft);
    }

    private void Change(MoveSettings settings) =>
        _moveSettings = settings with { Number = Math.Max(_moveSettings.Number + 1, _term << EpochBits) };

    private long MoveSettingsOf(Member member) => member.Reply is null ? 0 : IsUsable(member) ? member.Reply.Moves.Number : long.MaxValue;

    private void SettleMoveSettings()
    {
        if (_moveSettingsSettled == _moveSettings.Number || !MoveSettingsAwaited.IsNone)
            return;
        _moveSettingsSettled = _moveSettings.Number;
        environment.OnProgress();
    }

    /// <summary>
    /// Gives up what moves for balance, and keeps it from beginning again. The copy is dropped as any other that is not wanted any more. Null, or why not.
    /// </summary>
    private string? Abort(int partition, long now)
    {
        bool isAborted = false;
        if (_moves.TryGetValue(partition, out Move? move))
        {
            if (ReasonOf(move) != TransferReason.Balance)
                return $"partition {partition} leaves a silo that drains: that is not given up";
            if (move.YieldCopy != 0)
                return $"partition {partition} is being handed over";
            _moves.Remove(partition);
            if (_copies[partition].Find(copy => copy.Target == move.Target) is { } copy && !IsNeeded(partition, copy))
                copy.IsUnwanted = true;
            MovesAborted++;
            environment.OnEvent(CoordinatorEvent.MoveAborted, partition, move.Target);
            isAborted = true;
        }

        foreach (Copy copy in _copies[partition])
        {
            if (copy.State != CopyState.Copying || copy.IsUnwanted || ReasonOf(partition, copy) != TransferReason.Balance)
                continue;
            copy.IsUnwanted = true;
            isAborted = true;
        }

        if (!isAborted)
            return _copies[partition].Exists(static copy => copy.State == CopyState.Copying && !copy.IsUnwanted)
                ? $"partition {partition} gets a replica that it lacks: that is not given up" : $"partition {partition} does not move";
        _abortedUntil[partition] = now + AbortMilliseconds;
        return null;
    }

    private TransferReason ReasonOf(Move move) => IsDraining(move.Source) ? TransferReason.Drain : TransferReason.Balance;

    /// <summary>Why a copy is made that is not a move's.</summary>
    private TransferReason ReasonOf(int partition, Copy copy) => !IsNeeded(partition, copy) ? TransferReason.Balance
        : _copies[partition].Exists(other => other.State == CopyState.Synced && IsDraining(other.Target)) ? TransferReason.Drain : TransferReason.Repair;

    private bool IsDraining(SiloId silo) => _members.TryGetValue(silo, out Member? member) && member.Reply?.Draining == true;

    /// <summary>Whether the partition has too few complete copies without this one.</summary>
    private bool IsNeeded(int partition, Copy copy)
    {
        _moves.TryGetValue(partition, out Move? move);
        int others = _copies[partition].Count(other => other != copy && Counts(partition, other)
            && _candidates.Contains(other.Target) && other.Target != move?.Target);
        return others < CopiesWanted(partition);
    }

    /// <summary>An owner that leaves is no candidate: until it has handed over, all others can keep copies.</summary>
    private int CopiesWanted(int partition) =>
        Math.Min(replicas, _candidates.Contains(_owners[partition]) ? _candidates.Count - 1 : _candidates.Count);

    /// <summary>The move is for balance, those are paused, and its owner has not been told to hand over yet.</summary>
    private bool IsResting(Move move) => _moveSettings.IsPaused && move.YieldCopy == 0 && ReasonOf(move) == TransferReason.Balance;

    /// <summary>Whether no items are to be read for this copy at the moment.</summary>
    private bool IsResting(int partition, Copy copy)
    {
        if (!_moveSettings.IsPaused || copy.State != CopyState.Copying || copy.IsUnwanted)
            return false;
        return _moves.TryGetValue(partition, out Move? move) && move.Target == copy.Target ? IsResting(move)
            : ReasonOf(partition, copy) == TransferReason.Balance;
    }

    /// <summary>Balance may be seen to: nobody has paused it, nor given this partition's move up.</summary>
    private bool MayBalance(int partition, long now) => !_moveSettings.IsPaused && now >= _abortedUntil[partition];

    private void CountPartitionsToMove(int count, long now)
    {
        _partitionsToMove = count;
        if (count == 0)
            _movingSince = null;
        else if (_movingSince is null)
            (_movingSince, _movedSince) = (now, 0);
    }
}
