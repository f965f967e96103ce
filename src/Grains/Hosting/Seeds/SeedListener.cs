using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansCache.Grains.Hosting.Security;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>
/// The seed port: answers other silos before this one's Orleans has started, and after. Only members of the cluster get further than the handshake.
/// Bounded: <see cref="PendingMax"/> connections that have not proved themselves (one more closes the one that is at it for longest) and <see
/// cref="MembersMax"/> that have (one more is closed); one message of each is under way.
/// </summary>
internal sealed partial class SeedListener : IAsyncDisposable
{
    private const int PendingMax = 64;
    private const int MembersMax = 256;
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(5);
    private readonly Socket _listener;
    private readonly ClusterProbe _probe;
    private readonly Func<SeedGreeting, SeedGreeting> _greet;
    private readonly Func<ReadOnlyMemory<byte>, ValueTask<ReadOnlyMemory<byte>>> _answer;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly LinkedList<Socket> _pending = [];
    private readonly HashSet<MemberConnection> _members = [];
    private readonly Task _loop;
    private int _silent;
    private long _loggedAt = long.MinValue;
    private bool _disposed;

    /// <param name="endPoint">Where to listen; nobody else may.</param>
    /// <param name="greet">What this silo says of itself to one that says this.</param>
    /// <param name="answer">The register's answer to a message.</param>
    public SeedListener(IPEndPoint endPoint, ClusterProbe probe, Func<SeedGreeting, SeedGreeting> greet,
        Func<ReadOnlyMemory<byte>, ValueTask<ReadOnlyMemory<byte>>> answer, ILogger logger)
    {
        _probe = probe;
        _greet = greet;
        _answer = answer;
        _logger = logger;
        _listener = PortClaim.Listen(endPoint);
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        _loop = Task.Run(AcceptAsync);
    }

    /// <summary>Connections that have not said yet what they are: each may be a member's.</summary>
    public int PendingCount
    {
        get
        {
            lock (_members)
            {
                return _pending.Count + _silent;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _stop.CancelAsync();
        _listener.Dispose();
        lock (_members)
        {
            foreach (MemberConnection member in _members)
                member.Abort();
            foreach (Socket socket in _pending)
                socket.Dispose();
        }

        await _loop;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Socket accepted = await _listener.AcceptAsync(_stop.Token);
                accepted.NoDelay = true;
                _ = ServeAsync(accepted);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                if (_stop.IsCancellationRequested)
                    return;

                // Out of descriptors, for example: others may close some.
                await Task.Delay(TimeSpan.FromMilliseconds(50)).ConfigureAwait(false);
            }
        }
    }

    private async Task ServeAsync(Socket accepted)
    {
        await Task.Yield();
        LinkedListNode<Socket> pending = Enter(accepted);
        string peer = "somewhere";
        MemberConnection? connection = null;
        try
        {
            peer = accepted.RemoteEndPoint?.ToString() ?? peer;
            connection = await _probe.AcceptAsync(accepted, PeerKind.Seed, _stop.Token);
            connection?.KeepAlive();
        }
        catch (HandshakeException exception)
        {
            if (!exception.MayRetry)
                Refused(peer, exception.Message);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // It has gone.
        }
        finally
        {
            lock (_members)
            {
                if (pending.List is not null)
                    _pending.Remove(pending);
            }
        }

        if (connection is null)
            return;
        await using (connection)
        {
            lock (_members)
            {
                if (_disposed || _members.Count >= MembersMax)
                    return;
                _members.Add(connection);
                _silent++;
            }

            try
            {
                await ServeAsync(connection);
            }
            catch (InvalidDataException exception)
            {
                Refused(peer, $"has sent {exception.Message}");
            }
            catch (Exception exception)
                when (exception is IOException or SocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
            {
                // It has gone, or this listener ends.
            }
            finally
            {
                lock (_members)
                {
                    _members.Remove(connection);
                }
            }
        }
    }

    private async Task ServeAsync(MemberConnection connection)
    {
        SeedFrame? request;
        SeedFrame answer = default;
        try
        {
            request = await SeedFrame.ReadAsync(connection.Input, _stop.Token);
            if (request is { } first)
                answer = await AnswerAsync(first);
        }
        finally
        {
            lock (_members)
            {
                _silent--;
            }
        }

        while (request is not null)
        {
            await answer.WriteAsync(connection.Output, _stop.Token);
            request = await SeedFrame.ReadAsync(connection.Input, _stop.Token);
            if (request is { } next)
                answer = await AnswerAsync(next);
        }
    }

    private async Task<SeedFrame> AnswerAsync(SeedFrame request)
    {
        switch (request.Kind)
        {
            case SeedFrameKind.Greet:
                SeedGreeting theirs = SeedGreeting.Decode(request.Payload.Span) ?? throw new InvalidDataException("a greeting of another version");
                return request with { Payload = _greet(theirs).Encode() };
            case SeedFrameKind.Register:
                try
                {
                    return request with { Payload = await _answer(request.Payload) };
                }
                catch (Exception exception) when (exception is IOException or ObjectDisposedException or UnauthorizedAccessException)
                {
                    return request with { Kind = SeedFrameKind.Failed, Payload = Encoding.UTF8.GetBytes(exception.Message) };
                }

            default:
                throw new InvalidDataException($"a message of kind {(byte)request.Kind}");
        }
    }

    private LinkedListNode<Socket> Enter(Socket socket)
    {
        Socket? longest = null;
        LinkedListNode<Socket> node;
        lock (_members)
        {
            if (_pending.Count >= PendingMax)
            {
                longest = _pending.First!.Value;
                _pending.RemoveFirst();
            }

            node = _pending.AddLast(socket);
        }

        longest?.Dispose();
        return node;
    }

    private void Refused(string peer, string reason)
    {
        long now = Environment.TickCount64;
        long logged = Volatile.Read(ref _loggedAt);
        if ((logged == long.MinValue || now - logged >= LogInterval.TotalMilliseconds)
            && Interlocked.CompareExchange(ref _loggedAt, now, logged) == logged)
        {
            LogRefused(_logger, peer, reason);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A connection to this silo's seed port was refused: {Peer} {Reason}")]
    private static partial void LogRefused(ILogger logger, string peer, string reason);
}
