using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// Notices a silo whose process is gone sooner than missed probes do. When a connection to a silo ends, its port is tried: a living silo listens until it has
/// left, so one that refuses again and again is dead, and the membership is told. A silo that only does not answer (frozen, overloaded, cut off) refuses
/// nothing, and is left to the probes.
/// </summary>
internal sealed partial class DeathWatch(IClusterMembershipService membership, TimeProvider time, ILoggerFactory loggers)
{
    /// <summary>
    /// So many refusals in a row, so far apart. A process that is started again at the address listens within that time, or is told apart by its generation.
    /// </summary>
    private const int RefusalsMin = 3;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(80);
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RefreshTimeout = TimeSpan.FromSeconds(2);

    private readonly ILogger _logger = loggers.CreateLogger(ClusterNode.JournalCategory);
    private readonly HashSet<SiloAddress> _checking = [];

    /// <summary>A connection to this address has ended, for whatever reason.</summary>
    public void OnClosed(EndPoint? remote)
    {
        if (remote is not IPEndPoint address || FindActive(address) is not { } silo)
            return;
        lock (_checking)
        {
            if (!_checking.Add(silo))
                return;
        }

        _ = Task.Run(() => CheckAsync(silo));
    }

    private async Task CheckAsync(SiloAddress silo)
    {
        try
        {
            for (int refusals = 0; refusals < RefusalsMin; refusals++)
            {
                if (refusals > 0)
                    await Task.Delay(Interval, time);
                if (!await RefusesAsync(silo.Endpoint))
                    return;
            }

            // It may have left in the meantime, with a word.
            await membership.Refresh(default).AsTask().WaitAsync(RefreshTimeout, time);
            if (FindActive(silo.Endpoint)?.Equals(silo) == true && await membership.TryKill(silo))
                LogGone(_logger, silo.Endpoint);
        }
        catch (Exception)
        {
            // The membership does not answer; the probes go on.
        }
        finally
        {
            lock (_checking)
            {
                _checking.Remove(silo);
            }
        }
    }

    private SiloAddress? FindActive(IPEndPoint address)
    {
        foreach ((SiloAddress silo, ClusterMember member) in membership.CurrentSnapshot.Members)
        {
            if (member.Status == SiloStatus.Active && silo.Endpoint.Equals(address))
                return silo;
        }

        return null;
    }

    private static async Task<bool> RefusesAsync(IPEndPoint address)
    {
        using Socket socket = new(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using CancellationTokenSource limit = new(ConnectTimeout);
        try
        {
            await socket.ConnectAsync(address, limit.Token);
            return false;
        }
        catch (SocketException exception)
        {
            return exception.SocketErrorCode == SocketError.ConnectionRefused;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The process of {Silo} is gone: its port refuses connections")]
    private static partial void LogGone(ILogger logger, IPEndPoint silo);
}
