using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

// A silo that did not run for a while, and one that the cluster has declared dead.
public sealed partial class ClusterNode
{
    /// <summary>The membership store does not answer for so long: then nobody can be declared dead by it either, and the silo serves on.</summary>
    private static readonly TimeSpan UnconfirmedMax = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan RefreshTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Says when this silo's partitions may not be served; null in a gateway alone.</summary>
    public FreezeDetector? Freeze { get; }

    private void OnGap(TimeSpan gap) => _ = ConfirmMembershipAsync(gap);

    /// <summary>Serving is suspended. Asks the membership whether this silo is still in it: then it goes on, otherwise it leaves.</summary>
    private async Task ConfirmMembershipAsync(TimeSpan gap)
    {
        long started = _time.GetTimestamp();
        while (_host is { } host && !_stopped)
        {
            int gaps = Freeze!.GapCount;
            bool? isMember = await IsMemberAsync(host.Services);
            if (isMember == false)
            {
                Evicted();
                return;
            }

            bool unconfirmed = isMember is null && _time.GetElapsedTime(started) > UnconfirmedMax;
            if ((isMember == true || unconfirmed) && Freeze.TryResume(gaps, isMember == true))
            {
                ILogger logger = (_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger<ClusterNode>();
                if (unconfirmed)
                    LogUnconfirmed(logger, gap.TotalSeconds);
                else if (!Freeze.IsEvicted)
                    LogResumed(logger, gap.TotalSeconds);
                return;
            }

            await Task.Delay(PollInterval, _time);
        }
    }

    /// <summary>Null if the membership does not answer.</summary>
    private async Task<bool?> IsMemberAsync(IServiceProvider services)
    {
        IClusterMembershipService membership = services.GetRequiredService<IClusterMembershipService>();
        try
        {
            // The first may be one that was under way before the gap; the second has begun after it.
            for (int i = 0; i < 2; i++)
                await membership.Refresh(default).AsTask().WaitAsync(RefreshTimeout, _time);
        }
        catch (Exception)
        {
            return Freeze!.IsEvicted ? false : null;
        }

        SiloAddress self = services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        return !Freeze!.IsEvicted && membership.CurrentSnapshot.GetSiloStatus(self) is not (SiloStatus.Dead or SiloStatus.None);
    }

    private void Evicted()
    {
        Freeze?.Evict();
        _failure.TrySetResult(new ClusterFailure(
            "The cluster has declared this silo dead, because it did not answer for some seconds (frozen, overloaded or cut off), "
            + "and has opened its partitions elsewhere. Start it again to join anew.",
            IsEvicted: true));
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "What the silo will do was not rehearsed to the end")]
    private static partial void LogRehearsalFailed(ILogger logger, Exception? exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "This silo did not run for {Seconds:F1} s; the cluster still counts it in, and it serves again")]
    private static partial void LogResumed(ILogger logger, double seconds);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "This silo did not run for {Seconds:F1} s, and the membership store does not answer whether it is still in the cluster; it serves again")]
    private static partial void LogUnconfirmed(ILogger logger, double seconds);

    /// <summary>
    /// What Orleans takes for the end: mostly, that the membership shows this silo as dead. Its own handler prints pages and aborts the process.
    /// </summary>
    private sealed class FatalErrors(ClusterNode node) : IFatalErrorHandler
    {
        public bool IsUnexpected(Exception exception) => exception is not OperationCanceledException;

        public void OnFatalException(object? sender = null, string? context = null, Exception? exception = null)
        {
            if (node._stopped)
                return;
            if (exception is null)
                node.Evicted();
            else
            {
                string reason = $"{exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}";
                node._failure.TrySetResult(new ClusterFailure($"Orleans has failed ({context}): {reason}", IsEvicted: false));
            }


            node.Freeze?.Evict();
        }
    }

    /// <summary>
    /// Orleans's loggers, silent while serving is suspended (what it says then is about what it did not see, in hundreds of lines), and silent below
    /// debug level until the start has succeeded: why it did not is one line of ours.
    /// </summary>
    private sealed class MutedLoggers(ILoggerFactory inner, ClusterNode node) : ILoggerFactory
    {
        public void AddProvider(ILoggerProvider provider) => inner.AddProvider(provider);

        public ILogger CreateLogger(string categoryName)
        {
            ILogger logger = inner.CreateLogger(categoryName);
            return categoryName.StartsWith("OrleansCache.", StringComparison.Ordinal) ? logger : new MutedLogger(logger, node);
        }

        public void Dispose()
        {
        }

        private sealed class MutedLogger(ILogger inner, ClusterNode node) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => inner.BeginScope(state);

            public bool IsEnabled(LogLevel logLevel) =>
                node.Freeze?.MayServeNow() != false && inner.IsEnabled(logLevel) && (node._started || inner.IsEnabled(LogLevel.Debug));

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                if (IsEnabled(logLevel))
                    inner.Log(logLevel, eventId, state, exception, formatter);
            }
        }
    }
}

/// <summary>Why a node cannot be a member of its cluster any more.</summary>
/// <param name="Reason">For a person.</param>
/// <param name="IsEvicted">The cluster goes on without it; it may join anew.</param>
public sealed record ClusterFailure(string Reason, bool IsEvicted);
