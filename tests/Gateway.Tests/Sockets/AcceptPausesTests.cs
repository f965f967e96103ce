using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Tests.Sockets;

public sealed class AcceptPausesTests
{
    [Fact]
    public void PausesMakeOneLineInAMinute()
    {
        var time = new ManualTime();
        var lines = new LineRecorder();
        var pauses = new AcceptPauses(lines, time);
        for (int i = 0; i < 650; i++)
        {
            pauses.Begin("no descriptor");
            pauses.End(TimeSpan.FromMilliseconds(100));
            time.Advance(TimeSpan.FromMilliseconds(100));
        }

        Assert.Equal((650, 65_000_000), (pauses.Count, pauses.Microseconds));
        Assert.Collection(lines.Lines,
            line => Assert.Contains("paused, 1 times since the last such line: no descriptor", line, StringComparison.Ordinal),
            line => Assert.Contains("paused, 600 times", line, StringComparison.Ordinal));
    }

    private sealed class LineRecorder : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add(formatter(state, exception));
    }
}
