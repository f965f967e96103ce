using System.Net;
using Microsoft.Extensions.Logging;

namespace OrleansCache.Gateway.Passwords;

/// <summary>
/// Makes guessing passwords slow without shutting others out. A failed login is answered only after a delay, which grows with the number of those of the
/// same address that wait already: so the answers to one address come at some 16 a second at most, however many connections it opens. A right login
/// is never delayed, whatever others behind the same address do. IPv6 addresses count by their network of 64 bits.
/// </summary>
internal sealed class LoginGuard(ILogger logger, TimeProvider timeProvider)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _delayed = [];
    private int _delayedInAll;
    private int _unlogged;
    private DateTimeOffset _loggedAt = DateTimeOffset.MinValue;

    /// <summary>Counts and logs a failed login, refused ones too.</summary>
    public void CountFailure(ConnectionInfo connection)
    {
        int count;
        lock (_lock)
        {
            _unlogged++;
            DateTimeOffset now = timeProvider.GetUtcNow();
            if (now - _loggedAt < TimeSpan.FromSeconds(Limits.LoginLogSeconds))
                return;
            _loggedAt = now;
            count = _unlogged;
            _unlogged = 0;
        }

        Log.LoginsFailed(logger, count, connection.Address);
    }

    /// <summary>
    /// Ends when the failed login may be answered; null if so many wait in all that this one is answered at once, and its connection closed. The delay lasts
    /// its time even if the connection ends before.
    /// </summary>
    public Task? TryDelay(ConnectionInfo connection)
    {
        string source = SourceOf(connection.Address);
        int waiting;
        lock (_lock)
        {
            if (_delayedInAll >= Limits.LoginFailuresInAllMax)
                return null;
            _delayedInAll++;
            waiting = _delayed.GetValueOrDefault(source);
            _delayed[source] = waiting + 1;
        }

        int milliseconds = Math.Min(Limits.LoginDelayMilliseconds * (1 + (waiting / Limits.LoginFailuresPerAddress)), Limits.LoginDelayMillisecondsMax);
        return DelayAsync(source, TimeSpan.FromMilliseconds(milliseconds));
    }

    private async Task DelayAsync(string source, TimeSpan delay)
    {
        await Task.Delay(delay, timeProvider).ConfigureAwait(false);
        lock (_lock)
        {
            _delayedInAll--;
            if (--_delayed[source] == 0)
                _delayed.Remove(source);
        }
    }

    /// <summary>"tcp:10.0.0.1:4711" to "10.0.0.1"; whatever has no port stays as it is.</summary>
    internal static string SourceOf(string address)
    {
        int colon = address.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0 || !IPEndPoint.TryParse(address.AsSpan(colon + 1), out IPEndPoint? endPoint))
            return address;
        IPAddress ip = endPoint.Address;
        if (ip.IsIPv4MappedToIPv6)
            ip = ip.MapToIPv4();
        byte[] bytes = ip.GetAddressBytes();
        if (bytes.Length == 16)
            bytes.AsSpan(8).Clear();
        return new IPAddress(bytes).ToString();
    }
}
