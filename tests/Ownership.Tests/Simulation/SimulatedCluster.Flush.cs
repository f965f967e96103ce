namespace OrleansCache.Ownership.Tests.Simulation;

// A client that flushes everything now and then, as FlushAttempt does it over this network, and waits for the OK. To the keys' histories a flush is one more
// operation: what was stored before it asked is gone, what is stored after the OK stays. A flush at a given time is one at that time.
internal sealed partial class SimulatedCluster
{
    private FlushClient? _flush;
    private FlushClient? _scheduled;

    /// <summary>Flushes that have got their OK.</summary>
    public int FlushesDone { get; private set; }

    public bool IsFlushing => _flush is not null;

    /// <summary>Flushes, now (0) or in some seconds. One at a time.</summary>
    public void FlushAll(uint delaySeconds)
    {
        if (_flush is not null)
            return;

        // A newer flush replaces one that is still to come, here earlier and there later.
        FlushClient? replaced = _scheduled is { HasFired: false } ? _scheduled : null;
        _flush = new FlushClient(this, delaySeconds == 0 ? 0 : NowSeconds + delaySeconds, replaced);
        _scheduled = delaySeconds == 0 ? null : _flush;
        _flush.Ask();
    }

    /// <summary>A gateway with one flush_all: asks whom a silo of its choice takes for the coordinator, again and again, until it has its answer.</summary>
    private sealed class FlushClient
    {
        private readonly SimulatedCluster _cluster;
        private readonly FlushAttempt _attempt;
        private readonly uint _at;
        private readonly FlushClient? _replaces;
        private readonly HistoryOperation _operation;
        private readonly int _lossesBefore;
        private int _question;
        private bool _isAnswered;
        private bool _isReplaced;
        private bool _isReplacementDone;

        public FlushClient(SimulatedCluster cluster, uint at, FlushClient? replaces)
        {
            _cluster = cluster;
            _at = at;
            _replaces = replaces;
            _lossesBefore = cluster._lossTimes.Count;
            _attempt = new FlushAttempt(at);
            _operation = new HistoryOperation { Kind = HistoryKind.Vanish, Invoked = cluster.NextStamp() };
            if (replaces is not null)
                replaces._isReplaced = true;
            if (at == 0)
                AddToHistories();
            else
                cluster.At(Math.Max(0, ((at - StartUnixSeconds) * 1000) - cluster.Now - 1), AddToHistories);
        }

        public bool HasFired { get; private set; }

        public void Ask()
        {
            if (_cluster._flush != this)
                return;
            int question = ++_question;
            SimulatedNode[] silos = [.. _cluster.Members];
            long expected = _attempt.ExpectedNumber;
            SimulatedNode? gateway = silos.Length == 0 ? null : silos[_cluster._random.Next(silos.Length)];
            if (gateway is not null && !gateway.Agent.Coordinator.IsNone)
            {
                _cluster.Send(gateway, gateway.Agent.Coordinator, SimulatedTraffic.Control, node =>
                {
                    node.Coordinator.TryFlush(expected, _at, _cluster.NowSeconds, _cluster.Now);
                    if (!node.Coordinator.Leads || !node.Coordinator.Recovered)
                        return;
                    FlushProgress progress = node.Coordinator.FlushProgress;
                    if (!_cluster.IsLossy())
                        _cluster.At(_cluster.Delay(1, 15), () => OnAnswer(question, progress));
                });
            }

            _cluster.At(200, () =>
            {
                if (question == _question)
                    Ask();
            });
        }

        private void OnAnswer(int question, FlushProgress progress)
        {
            if (question != _question || _cluster._flush != this)
                return;
            _question++;
            if (!_attempt.OnReport(progress.Mark.Number, progress.Mark.Cut, progress.Mark.AtUnixSeconds, progress.SettledNumber))
            {
                _cluster.At(_attempt.IsUnderWay ? 10 : 0, Ask);
                return;
            }

            _cluster._flush = null;
            _cluster.FlushesDone++;
            _isAnswered = true;
            if (_replaces is not null)
                _replaces._isReplacementDone = true;
            _replaces?.CloseIfOver();
            CloseIfOver();
        }

        /// <summary>Every silo that knew of it is lost.</summary>
        public void Forget()
        {
            _isReplaced = _isReplacementDone = true;
            CloseIfOver();
        }

        /// <summary>From here on it may take effect.</summary>
        private void AddToHistories()
        {
            _operation.Invoked = _cluster.NextStamp();
            foreach (List<HistoryOperation> history in _cluster._histories.Values)
                history.Add(_operation);
            if (_at == 0)
            {
                HasFired = true;
                return;
            }

            _cluster.At(2, () =>
            {
                HasFired = true;
                CloseIfOver();
            });
        }

        /// <summary>It has certainly taken effect, unless another one took its place before.</summary>
        private void CloseIfOver()
        {
            if (!HasFired || !_isAnswered || _operation.Ended != long.MaxValue || (_isReplaced && !_isReplacementDone))
                return;
            _operation.Status = _isReplaced ? CacheStatus.None : CacheStatus.Ok;
            _operation.Ended = _cluster.NextStamp();

            // Carried out here and there, forgotten with the silos that knew of it, and carried out again.
            for (int again = Math.Min(2, _cluster._lossTimes.Count - _lossesBefore); again > 0; again--)
            {
                var repeated = new HistoryOperation { Kind = HistoryKind.Vanish, Invoked = _operation.Invoked, Ended = _operation.Ended };
                foreach (List<HistoryOperation> history in _cluster._histories.Values)
                    history.Add(repeated);
            }
        }
    }
}
