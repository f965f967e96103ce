using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// systemd's protocol for services of Type=notify: says when the process serves, reloads and stops, and that it is alive (WatchdogSec=). Without
/// NOTIFY_SOCKET in the environment it does nothing. What the process does is told again for a second while the manager's queue is full; a sign of life, and
/// what does not get through by then, is lost: the service manager's own time-outs decide then.
/// </summary>
internal sealed class ServiceManager : IDisposable
{
    private static readonly TimeSpan s_retryTimeMax = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_retryInterval = TimeSpan.FromMilliseconds(5);

    private readonly Socket? _socket;
    private readonly UnixDomainSocketEndPoint? _place;
    private Timer? _watchdog;

    private ServiceManager(Socket? socket, UnixDomainSocketEndPoint? place, TimeSpan? watchdogInterval)
    {
        _socket = socket;
        _place = place;
        WatchdogInterval = watchdogInterval;
    }

    /// <summary>How often the manager wants a sign of life, halved; null: never.</summary>
    public TimeSpan? WatchdogInterval { get; }

    public static ServiceManager Connect(Func<string, string?> environment)
    {
        string? path = environment("NOTIFY_SOCKET");
        if (OperatingSystem.IsWindows() || string.IsNullOrEmpty(path))
            return new ServiceManager(null, null, null);

        // A leading @ stands for the abstract socket namespace.
        var place = new UnixDomainSocketEndPoint(path[0] == '@' ? "\0" + path[1..] : path);
        bool isOurs = environment("WATCHDOG_PID") is not { Length: > 0 } pid || pid == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        TimeSpan? interval = isOurs && long.TryParse(environment("WATCHDOG_USEC"), NumberStyles.None, CultureInfo.InvariantCulture, out long microseconds)
            && microseconds > 0
            ? TimeSpan.FromMicroseconds(microseconds / 2.0) : null;
        return new ServiceManager(new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false }, place, interval);
    }

    /// <summary>The process serves. From now on it also says that it is alive, from the thread pool: a process whose pool does not get on is not.</summary>
    public void Ready(string status)
    {
        Tell($"READY=1\nSTATUS={status}");
        if (WatchdogInterval is { } interval && _socket is not null)
            _watchdog = new Timer(_ => Send("WATCHDOG=1"), null, TimeSpan.Zero, interval);
    }

    /// <summary>Certificates and passwords are read again; <see cref="Reloaded"/> follows.</summary>
    public void Reloading() => Tell(string.Create(CultureInfo.InvariantCulture,
        $"RELOADING=1\nMONOTONIC_USEC={Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000)}"));

    public void Reloaded() => Tell("READY=1");

    /// <summary>The stop has begun, and may take so long.</summary>
    public void Stopping(TimeSpan timeMax) =>
        Tell(string.Create(CultureInfo.InvariantCulture, $"STOPPING=1\nSTATUS=handing over, stopping\nEXTEND_TIMEOUT_USEC={(long)timeMax.TotalMicroseconds}"));

    public void Dispose()
    {
        _watchdog?.Dispose();
        _socket?.Dispose();
    }

    private void Tell(string message)
    {
        long began = Stopwatch.GetTimestamp();
        while (!Send(message) && Stopwatch.GetElapsedTime(began) < s_retryTimeMax)
            Thread.Sleep(s_retryInterval);
    }

    /// <summary>False if the manager's queue is full.</summary>
    private bool Send(string message)
    {
        if (_socket is null || _place is null)
            return true;
        try
        {
            _socket.SendTo(Encoding.UTF8.GetBytes(message), _place);
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.WouldBlock)
        {
            return false;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Nobody listens.
        }

        return true;
    }
}
