namespace OrleansCache.Ownership.Rehearsing;

/// <summary>Where a <see cref="Rehearsal"/> is played: its silos, what is on the way between them, and the time. In one thread.</summary>
internal sealed class RehearsalStage : TimeProvider, IDisposable
{
    private const int StepMilliseconds = 5;
    private const int TickMilliseconds = 250;

    private readonly Queue<Action> _messages = new();
    private readonly List<(long At, Action Action)> _later = [];
    private readonly List<RehearsedSilo> _silos = [];

    public long Now { get; private set; } = 1_000;

    public uint NowUnixSeconds => (uint)GetUtcNow().ToUnixTimeSeconds();

    public IReadOnlyList<RehearsedSilo> Silos => _silos;

    public override long TimestampFrequency => 1_000;

    public override long GetTimestamp() => Now;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeSeconds(1_700_000_000).AddMilliseconds(Now);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        StageTimer timer = new(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    public RehearsedSilo Add(string address)
    {
        _silos.Add(new RehearsedSilo(this, SiloId.Create(address, _silos.Count + 1)));
        SiloId[] all = [.. _silos.Select(static silo => silo.Id)];
        foreach (RehearsedSilo silo in _silos)
        {
            silo.Agent.OnMembership(all.Length, all);
            silo.Coordinator.OnMembership(all.Length, all, Now);
        }

        return _silos[^1];
    }

    public void Post(Action action) => _messages.Enqueue(action);

    public void At(long milliseconds, Action action)
    {
        if (milliseconds <= Now)
            Post(action);
        else
            _later.Add((milliseconds, action));
    }

    public RehearsedSilo Find(SiloId id) => _silos.Find(silo => silo.Id == id) ?? throw new InvalidOperationException($"No silo {id}.");

    /// <summary>Delivers what is on its way, then time passes.</summary>
    public void Step()
    {
        // What one delivers may make more; what goes round without end is left for the next step.
        for (int count = 0; count < 1_000 && _messages.TryDequeue(out Action? action); count++)
            action();
        bool isTick = Now % TickMilliseconds == 0;
        Now += StepMilliseconds;
        foreach ((long _, Action action) in _later.FindAll(due => due.At <= Now))
            Post(action);
        _later.RemoveAll(due => due.At <= Now);
        foreach (RehearsedSilo silo in isTick ? _silos : [])
            silo.Tick();
    }

    public void Dispose()
    {
        foreach (RehearsedSilo silo in _silos)
            silo.Dispose();
    }

    private sealed class StageTimer(RehearsalStage stage, Action callback) : ITimer
    {
        private int _setting;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            int setting = ++_setting;
            if (dueTime != Timeout.InfiniteTimeSpan)
                stage.At(stage.Now + (long)dueTime.TotalMilliseconds, () => Fire(setting));
            return true;
        }

        public void Dispose() => _setting++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Fire(int setting)
        {
            if (setting == _setting)
                callback();
        }
    }
}
