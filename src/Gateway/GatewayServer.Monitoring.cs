using System.Globalization;
using OrleansCache.Gateway.Metering;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Stats;

namespace OrleansCache.Gateway;

/// <content>What monitoring reads of a gateway beside <see cref="Statistics"/>. Callable from any thread; cold.</content>
public sealed partial class GatewayServer
{
    public DateTimeOffset StartedAt => _shared.StartedAt;

    public bool Accepting => _shared.Accepting;

    /// <summary>As the commands have left them.</summary>
    public LruSettings Lru => _shared.Lru;

    /// <summary>The lines of `stats settings`.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> ReadSettings() => StatsText.ReadSettings(_shared);

    /// <summary>All silos; a single node answers for itself. Throws <see cref="RouterException"/> as <see cref="IClusterView.ReadStatisticsAsync"/>.</summary>
    public ValueTask<ClusterStatistics> ReadClusterAsync(CancellationToken cancellationToken) => ClusterText.ReadAsync(_shared, cancellationToken);

    /// <summary>The first <paramref name="max"/> connections, by age, and how many there are beside them.</summary>
    public IReadOnlyList<ConnectionState> ReadConnections(int max, out int more)
    {
        uint now = (uint)_shared.TimeProvider.GetUtcNow().ToUnixTimeSeconds();
        ConnectionInfo[] all = [.. _shared.Connections];
        more = Math.Max(0, all.Length - max);
        return [.. all.Take(max).Select(one => new ConnectionState(one.Id, one.IsDatagram ? "udp:" + one.Address : one.Address, one.ListenAddress,
            StateOf(one), Math.Max(0, (long)now - one.LastActiveUnixSeconds)))];
    }

    /// <summary>How long commands took since the start, by command and outcome; empty unless <see cref="GatewayOptions.MeterCommands"/>.</summary>
    public IReadOnlyList<CommandLatencies> ReadCommands()
    {
        var all = new Dictionary<(string Command, string Outcome), CommandLatencies>();
        foreach (LoopReadings loop in _shared.Loops)
            loop.Meter?.AddTo(all);
        return [.. all.Values.OrderBy(static one => one.Command, StringComparer.Ordinal).ThenBy(static one => one.Outcome, StringComparer.Ordinal)];
    }

    /// <summary>The hottest <paramref name="max"/> keys and the largest values; empty unless <see cref="GatewayOptions.MeterCommands"/>.</summary>
    public KeySamples ReadKeys(int max)
    {
        var hot = new Dictionary<ulong, HotKey>();
        var large = new Dictionary<ulong, LargeValue>();
        long samples = 0;
        foreach (LoopReadings loop in _shared.Loops)
            samples += loop.Meter?.Keys.AddTo(hot, large) ?? 0;
        return new KeySamples(
            _shared.Options.MeterCommands ? KeySampler.SampleInterval : 0,
            samples,
            [.. hot.Values.Where(static key => key.Sampled > 0).OrderByDescending(static key => key.Sampled).Take(max)],
            [.. large.Values.OrderByDescending(static value => value.ValueBytes).Take(max)]);
    }

    /// <summary>Processor time of each I/O loop that has a thread of its own, where the system tells it (Linux); by the loops' numbers.</summary>
    public IReadOnlyList<TimeSpan> ReadLoopTimes()
    {
        var times = new List<TimeSpan>();
        foreach (LoopReadings loop in _shared.Loops)
        {
            if (loop.ThreadName is { } thread && ReadThreadTime(thread) is { } time)
                times.Add(time);
        }

        return times;
    }

    private static string StateOf(ConnectionInfo connection) =>
        connection.IsDumping ? "dump"
        : connection.IsWatching ? "watch"
        : connection.IsReceivingValue ? "value"
        : connection.IsWaiting ? "wait"
        : "read";

    /// <summary>The first number of schedstat: nanoseconds on a processor.</summary>
    private static TimeSpan? ReadThreadTime(string thread)
    {
        try
        {
            ReadOnlySpan<char> text = File.ReadAllText($"/proc/{thread}/schedstat");
            int end = text.IndexOf(' ');
            return end > 0 && long.TryParse(text[..end], NumberStyles.None, CultureInfo.InvariantCulture, out long nanoseconds)
                ? TimeSpan.FromMicroseconds(nanoseconds / 1000) : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

/// <summary>One client's connection.</summary>
/// <param name="Id">Rises with each connection.</param>
/// <param name="Address">The client's, as in `stats conns`.</param>
/// <param name="ListenAddress">Where it came in.</param>
/// <param name="State">read, value (a data block arrives), wait (for other silos, or for the client to read), dump or watch.</param>
/// <param name="IdleSeconds">Since the last bytes arrived.</param>
public sealed record ConnectionState(long Id, string Address, string ListenAddress, string State, long IdleSeconds);
