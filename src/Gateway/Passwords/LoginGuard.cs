using System.Net;
using Microsoft.Extensions.Logging;

namespace OrleansCache.Gateway.Passwords;

/// <summary>
/// Makes guessing passwords slow without shutting others out. A failed login is answered only after a delay, and the delays under way are counted by address: while an address has
/// <see cref="Limits.LoginFailuresPerAddressMax"/> of them, or all together <see cref="Limits.LoginFailuresInAllMax"/>, its next login is refused without a look at the password.
/// So one address tries at most 16 passwords a second, however many connections it opens; and a client that goes on with an old password, one connection at a time, stays
/// below the bound and takes nothing from its neighbours behind the same address. IPv6 addresses count by their network of 64 bits.
/// </summary>
internal sealed class LoginGuard(ILogger logger, TimeProvider timeProvider)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _delayed = [];
    private int _delayedInAll;
    private int _unlogged;
    private DateTimeOffset _loggedAt = DateTimeOffset.MinValue;

    /// <summary>Whether a login of this connection is looked at.</summary>
    public bool Admits(ConnectionInfo connection)
    {
        string source = SourceOf(connection.Address);
        lock (_lock)
            return _delayedInAll < Limits.LoginFailuresInAllMax && _delayed.GetValueOrDefault(source) < Limits.LoginFailuresPerAddressMax;
    }

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

    /// <summary>Ends when the failed login may be answered. The delay lasts its time even if the connection ends before.</summary>
    public async Task DelayAsync(ConnectionInfo connection)
    {
        string source = SourceOf(connection.Address);
        lock (_lock)
        {
            _delayedInAll++;
            _delayed[source] = _delayed.GetValueOrDefault(source) + 1;
        }

        await Task.Delay(TimeSpan.FromMilliseconds(Limits.LoginDelayMilliseconds), timeProvider).ConfigureAwait(false);
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
