namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>The clock of a simulated cluster. Its timers are events of the cluster's queue, so they fire in an order that the seed decides.</summary>
internal sealed class VirtualTime(SimulatedCluster cluster) : TimeProvider
{
    private static readonly DateTimeOffset s_start = DateTimeOffset.FromUnixTimeSeconds(SimulatedCluster.StartUnixSeconds);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => s_start.AddMilliseconds(cluster.Now);

    public override long GetTimestamp() => cluster.Now * TimeSpan.TicksPerMillisecond;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new VirtualTimer(cluster, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class VirtualTimer(SimulatedCluster cluster, TimerCallback callback, object? state) : ITimer
    {
        private int _setting;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            int setting = ++_setting;
            if (dueTime != Timeout.InfiniteTimeSpan)
                cluster.At((long)dueTime.TotalMilliseconds, () => Fire(setting, period));
            return true;
        }

        public void Dispose() => _setting++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Fire(int setting, TimeSpan period)
        {
            if (setting != _setting)
                return;
            if (period > TimeSpan.Zero)
                cluster.At((long)period.TotalMilliseconds, () => Fire(setting, period));
            callback(state);
        }
    }
}
