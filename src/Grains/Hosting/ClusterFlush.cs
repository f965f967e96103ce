using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

/// <summary>A <see cref="FlushProgress"/> on its way between silos.</summary>
[GenerateSerializer, Immutable, Alias("oc.FlushReport")]
public sealed class FlushReport
{
    public FlushReport(FlushProgress progress)
    {
        (Number, Cut, AtUnixSeconds) = progress.Mark;
        SettledNumber = progress.SettledNumber;
        Awaited = progress.Awaited.Text;
    }

    [Id(0)]
    public long Number { get; private set; }

    [Id(1)]
    public long Cut { get; private set; }

    [Id(2)]
    public uint AtUnixSeconds { get; private set; }

    [Id(3)]
    public long SettledNumber { get; private set; }

    /// <summary>A silo that has not flushed yet; empty if all have.</summary>
    [Id(4)]
    public string Awaited { get; private set; }
}

/// <summary>
/// Carries one flush_all through for the gateway that was asked for it: asks as <see cref="FlushAttempt"/> says until it is done or the time is up.
/// </summary>
internal static class ClusterFlush
{
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// Ends when every silo has flushed; throws <see cref="RouterException"/> if that takes too long. <paramref name="ask"/> asks the coordinator; null where
    /// it does not answer.
    /// </summary>
    public static async ValueTask RunAsync(Func<long, ValueTask<FlushReport?>> ask, uint atUnixSeconds, TimeProvider time, CancellationToken cancellationToken)
    {
        long started = time.GetTimestamp();
        FlushAttempt attempt = new(atUnixSeconds);
        FlushReport? last = null;
        while (true)
        {
            bool isWaiting = attempt.IsUnderWay;
            FlushReport? report = await TryAskAsync(ask, attempt.ExpectedNumber);
            if (report is not null)
            {
                last = report;
                bool isFirst = attempt.ExpectedNumber < 0;
                if (attempt.OnReport(report.Number, report.Cut, report.AtUnixSeconds, report.SettledNumber))
                    return;
                if (isFirst)
                    continue;
            }

            if (time.GetElapsedTime(started) >= Timeout)
            {
                throw new RouterException(last is { Awaited.Length: > 0 }
                    ? $"flush_all: silo {last.Awaited} has not answered; it may still take effect"
                    : "flush_all: the cluster's coordinator does not answer; it may still take effect");
            }

            cancellationToken.ThrowIfCancellationRequested();
            if (report is null || !isWaiting)
                await Task.Delay(RetryInterval, time, cancellationToken);
        }
    }

    private static async ValueTask<FlushReport?> TryAskAsync(Func<long, ValueTask<FlushReport?>> ask, long expected)
    {
        try
        {
            return await ask(expected);
        }
        catch (Exception)
        {
            // Whatever it was: it is asked again, or given up, by the caller.
            return null;
        }
    }
}
