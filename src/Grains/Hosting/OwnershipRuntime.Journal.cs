using Microsoft.Extensions.Logging;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

// What an operator is told by default: joins, leaves, moves and hand-overs, one line each, with figures.
internal sealed partial class OwnershipRuntime
{
    private readonly OwnershipJournal _journal;
    private readonly ILogger _journalLogger;

    /// <summary>Tells what has not been told yet: the silo ends.</summary>
    public void EndJournal()
    {
        JournalEntry[] entries;
        lock (_lock)
        {
            entries = _journal.Take(NowMilliseconds, isEnd: true);
        }

        Tell(entries);
    }

    /// <summary>Under the lock.</summary>
    private JournalEntry[] ReadJournal(long nowMilliseconds)
    {
        _journal.OnSilos(_agent.Silos, isLeaving: _agent.Draining);
        return _journal.Take(nowMilliseconds);
    }

    /// <summary>Not under the lock: standard error may be a pipe that nobody reads.</summary>
    private void Tell(JournalEntry[] entries)
    {
        foreach (JournalEntry entry in entries)
        {
            ByteSize bytes = new(entry.Bytes);
            (string s, string p) = (entry.Silos == 1 ? "" : "s", entry.Partitions == 1 ? "" : "s");
            switch (entry.Kind)
            {
                case JournalKind.SiloJoined:
                    LogJoined(_journalLogger, entry.Silos, s, entry.Silo);
                    break;
                case JournalKind.SiloLeft:
                    LogLeft(_journalLogger, entry.Silos, s, entry.Silo);
                    break;
                case JournalKind.SiloLost when entry.Partitions > 0:
                    LogLost(_journalLogger, entry.Silos, s, entry.Silo, entry.Partitions, p);
                    break;
                case JournalKind.SiloLost:
                    LogLostEmpty(_journalLogger, entry.Silos, s, entry.Silo);
                    break;
                case JournalKind.WireVersionAgreed:
                    LogWireVersion(_journalLogger, entry.Silos, s, entry.WireVersion);
                    break;
                case JournalKind.TakenOver:
                    LogTakenOver(_journalLogger, entry.Silos, s, entry.Partitions, p, bytes, entry.Seconds);
                    break;
                case JournalKind.HandedOver:
                    LogHandedOver(_journalLogger, entry.Silos, s, entry.Partitions, p, bytes, entry.Seconds, entry.LongestPauseMilliseconds);
                    break;
                case JournalKind.Promoted:
                    LogPromoted(_journalLogger, entry.Silos, s, entry.Partitions, p, bytes);
                    break;
                default:
                    LogOpenedEmpty(_journalLogger, entry.Silos, s, entry.Partitions, p);
                    break;
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Silos} silo{S}; {Silo} joined")]
    private static partial void LogJoined(ILogger logger, int silos, string s, string silo);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Silos} silo{S}; {Silo} left")]
    private static partial void LogLeft(ILogger logger, int silos, string s, string silo);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Silos} silo{S}; {Silo} was lost; it served {Partitions} partition{P}")]
    private static partial void LogLost(ILogger logger, int silos, string s, string silo, int partitions, string p);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Silos} silo{S}; {Silo} was lost")]
    private static partial void LogLostEmpty(ILogger logger, int silos, string s, string silo);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Silos} silo{S}; {Partitions} partition{P} of a lost silo, {Bytes}, go on here from their replicas")]
    private static partial void LogPromoted(ILogger logger, int silos, string s, int partitions, string p, ByteSize bytes);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Silos} silo{S}; they write wire version {WireVersion} to each other from now on")]
    private static partial void LogWireVersion(ILogger logger, int silos, string s, int wireVersion);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Silos} silo{S}; {Partitions} partition{P}, {Bytes} taken over in {Seconds:F1} s")]
    private static partial void LogTakenOver(ILogger logger, int silos, string s, int partitions, string p, ByteSize bytes, double seconds);

    [LoggerMessage(
        Level = LogLevel.Information,
        Message = "{Silos} silo{S}; {Partitions} partition{P}, {Bytes} handed over in {Seconds:F1} s, each paused for {Pause} ms at most")]
    private static partial void LogHandedOver(ILogger logger, int silos, string s, int partitions, string p, ByteSize bytes, double seconds, long pause);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Silos} silo{S}; {Partitions} partition{P} of a lost silo opened empty here")]
    private static partial void LogOpenedEmpty(ILogger logger, int silos, string s, int partitions, string p);
}
