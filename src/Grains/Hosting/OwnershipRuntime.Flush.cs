using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

// flush_all: carried out by the two state machines, asked for and waited for here (docs/decisions/0013-cluster-meaning.md).
internal sealed partial class OwnershipRuntime
{
    /// <summary>How long one question waits for the silos; the asker asks again.</summary>
    private static readonly TimeSpan FlushWait = TimeSpan.FromSeconds(1);

    private TaskCompletionSource _progress = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>
    /// To the coordinator's silo, and passed on to it by any other. Flushes if the newest flush is <paramref name="expectedNumber"/>, and waits for a while
    /// until all silos have done so; with a negative number it only says what the newest flush is. Null if nobody coordinates at the moment.
    /// </summary>
    public async ValueTask<FlushReport?> FlushAllAsync(long expectedNumber, uint atUnixSeconds, bool passOn)
    {
        Task progress;
        SiloId coordinator = default;
        long started = _time.GetTimestamp();
        lock (_lock)
        {
            _coordinator.TryFlush(expectedNumber, atUnixSeconds, NowUnixSeconds, NowMilliseconds);
            progress = _progress.Task;
            if (!_coordinator.Leads)
                coordinator = _agent.Coordinator;
            else if (!_coordinator.Recovered)
                return null;
            else if (expectedNumber < 0 || IsSettled(_coordinator.FlushProgress))
                return new FlushReport(_coordinator.FlushProgress);
            else
                coordinator = LocalSilo;
        }

        if (coordinator != LocalSilo)
            return passOn && !coordinator.IsNone
                ? await _silos.Of(coordinator).FlushAllAsync(expectedNumber, atUnixSeconds) : null;

        while (true)
        {
            TimeSpan left = FlushWait - _time.GetElapsedTime(started);
            bool late = left <= TimeSpan.Zero;
            if (!late)
                await Task.WhenAny(progress, Task.Delay(left, _time, _stop.Token)).ConfigureAwait(false);
            lock (_lock)
            {
                if (!_coordinator.Leads || _stop.IsCancellationRequested)
                    return null;
                if (late || IsSettled(_coordinator.FlushProgress))
                    return new FlushReport(_coordinator.FlushProgress);
                progress = _progress.Task;
            }
        }

        static bool IsSettled(FlushProgress now) => now.SettledNumber >= now.Mark.Number;
    }

    void ISiloAgentEnvironment.Flush(int partition, uint atUnixSeconds, long number) =>
        _partitions.TryGet(new PartitionId(partition))?.FlushAll(atUnixSeconds, NowUnixSeconds, number);

    void ISiloAgentEnvironment.NoteFlush(int partition, uint atUnixSeconds, long number) =>
        _partitions.TryGet(new PartitionId(partition))?.NoteFlush(atUnixSeconds, number);

    long ISiloAgentEnvironment.FlushNumberOf(int partition) => _partitions.TryGet(new PartitionId(partition))?.FlushNumber ?? 0;

    void ICoordinatorEnvironment.OnProgress()
    {
        TaskCompletionSource reached = _progress;
        _progress = new(TaskCreationOptions.RunContinuationsAsynchronously);
        reached.SetResult();
    }
}
