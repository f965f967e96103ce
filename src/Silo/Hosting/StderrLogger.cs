using System.Globalization;
using Microsoft.Extensions.Logging;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// Logging for a daemon: one line per event on standard error, "time level category: message" or a JSON object, written by the thread that logs.
/// Goals: nothing to start (the framework's console logger brings dependency injection, options and a thread, which cost a tenth of a second of
/// start-up), and no line lost when the process ends. Stack traces only from debug level on. Non-goal: speed; the data path does not log.
/// </summary>
internal sealed class StderrLoggerProvider(LogVerbosity verbosity, LogFormat format) : ILoggerProvider
{
    /// <summary>Joins, leaves, moves and hand-overs: told by default.</summary>
    private const string JournalCategory = "OrleansCache.Cluster";

    /// <summary>The factory whose loggers follow this verbosity as it changes.</summary>
    public static LoggerFactory CreateFactory(LogVerbosity verbosity, LogFormat format) =>
        new([new StderrLoggerProvider(verbosity, format)], new LoggerFilterOptions { MinLevel = LogLevel.Trace });

    public ILogger CreateLogger(string categoryName) => new StderrLogger(categoryName, verbosity, format);

    public void Dispose()
    {
    }

    /// <summary>
    /// Orleans says more than an operator of a cache needs: its warnings come with -v, and what it says of every message that found no silo (the client gets an
    /// answer, and under load there are thousands) too.
    /// </summary>
    private static LogLevel Least(string category, LogLevel least) =>
        category == JournalCategory ? (least < LogLevel.Information ? least : LogLevel.Information)
        : least < LogLevel.Information || !category.StartsWith("Orleans.", StringComparison.Ordinal) ? least
        : least == LogLevel.Information ? LogLevel.Warning
        : category.StartsWith("Orleans.Messaging", StringComparison.Ordinal)
            || category.EndsWith(".GrainCallCancellationManager", StringComparison.Ordinal) ? LogLevel.Critical
        : LogLevel.Error;

    private sealed class StderrLogger(string category, LogVerbosity verbosity, LogFormat format) : ILogger
    {
        // By verbosity; more than the last means the last.
        private readonly LogLevel[] _least =
            [Least(category, LogLevel.Warning), Least(category, LogLevel.Information), Least(category, LogLevel.Debug), Least(category, LogLevel.Trace)];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= _least[Math.Min(verbosity.Level, _least.Length - 1)] && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel))
                return;
            bool isWordy = verbosity.Level >= 2;
            string level = logLevel switch
            {
                LogLevel.Trace => "trace",
                LogLevel.Debug => "debug",
                LogLevel.Information => "info",
                LogLevel.Warning => "warning",
                LogLevel.Error => "error",
                _ => "critical",
            };
            string message = isWordy ? formatter(state, exception) : FirstLine(formatter(state, exception));
            string? cause = exception is null ? null : isWordy ? exception.ToString() : $"{exception.GetType().Name}: {FirstLine(exception.Message)}";
            if (format == LogFormat.Json)
            {
                Console.Error.WriteLine(JsonLine.Of(level, category, message, state as IReadOnlyList<KeyValuePair<string, object?>>, cause));
                return;
            }

            string end = cause is null ? "" : isWordy ? "\n" + cause : $" ({cause})";
            string time = DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
            Console.Error.WriteLine($"{time} {level} {category}: {message}{end}");
        }

        /// <summary>Some messages carry the stack traces of other machines in them.</summary>
        private static string FirstLine(string message)
        {
            int end = message.AsSpan().IndexOfAny('\r', '\n');
            return end < 0 ? message : message[..end];
        }
    }
}

/// <summary>How much is said: warnings at 0, -v information, -vv debug (with stack traces), -vvv everything. Changes while the process runs.</summary>
internal sealed class LogVerbosity(int level)
{
    private volatile int _level = level;

    public int Level
    {
        get => _level;
        set => _level = Math.Max(value, 0);
    }
}
