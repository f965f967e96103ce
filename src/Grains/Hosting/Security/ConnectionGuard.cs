using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using OrleansCache.Grains.Hosting.Links;

namespace OrleansCache.Grains.Hosting.Security;

/// <summary>
/// Stands before Orleans on every connection between the members of a cluster, and lets only members through (<see cref="ClusterHandshake"/>).
/// Bounded: of the connections that have not proved themselves yet at most <see cref="PendingMax"/> stay; one more closes the one that is at it for longest.
/// </summary>
internal sealed partial class ConnectionGuard(ClusterHandshake handshake, ILogger<ConnectionGuard> logger)
{
    private const int PendingMax = 256;
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(5);
    private readonly LinkedList<ConnectionContext> _pending = [];
    private long _loggedAt = long.MinValue;
    private int _refused;

    public ConnectionDelegate Outbound(ConnectionDelegate next, PeerKind kind) => async context =>
    {
        await handshake.InitiateAsync(context.Transport, kind, context.ConnectionClosed);
        LoopConnection.Trust(context);
        try
        {
            await next(context);
        }
        finally
        {
            if (kind == PeerKind.Silo)
                OutboundClosed?.Invoke(context.RemoteEndPoint);
        }
    };

    /// <summary>A connection from here to another silo has ended.</summary>
    public Action<EndPoint?>? OutboundClosed { get; set; }

    /// <summary>A silo has opened a link to this one (<see cref="SiloLinks"/>); ends when the link does.</summary>
    public Func<ConnectionContext, Task>? LinkAccepted { get; set; }

    /// <param name="next">Orleans.</param>
    /// <param name="served">What may talk to Orleans here. Probes may come anywhere.</param>
    public ConnectionDelegate Inbound(ConnectionDelegate next, PeerKind served) => async context =>
    {
        PeerKind? kind;
        LinkedListNode<ConnectionContext> pending = Enter(context);
        try
        {
            kind = await handshake.AcceptAsync(context.Transport, said => Admits(served, said), context.ConnectionClosed);
        }
        catch (HandshakeException exception)
        {
            if (!exception.MayRetry)
                Refused(context, exception.Message);
            return;
        }
        catch (OperationCanceledException)
        {
            return;
        }
        finally
        {
            Leave(pending);
        }

        if (kind is not null)
            LoopConnection.Trust(context);
        if (kind == PeerKind.Link)
            await LinkAccepted!(context);
        else if (kind == PeerKind.Probe)
        {
            // Closed from here it could lose what it has not read yet.
            await WaitForCloseAsync(context.Transport.Input, ClusterHandshake.Timeout);
        }
        else if (kind == served)
            await next(context);
    };

    private static bool Admits(PeerKind served, PeerKind said) =>
        said == served || said == PeerKind.Probe || (said == PeerKind.Link && served == PeerKind.Silo);

    /// <summary>Until the other end goes; it has nothing to say any more.</summary>
    private static async Task WaitForCloseAsync(PipeReader input, TimeSpan timeout)
    {
        using CancellationTokenSource limit = new(timeout);
        try
        {
            ReadResult result = await input.ReadAsync(limit.Token);
            input.AdvanceTo(result.Buffer.End);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private LinkedListNode<ConnectionContext> Enter(ConnectionContext context)
    {
        ConnectionContext? longest = null;
        LinkedListNode<ConnectionContext> node;
        lock (_pending)
        {
            if (_pending.Count >= PendingMax)
            {
                longest = _pending.First!.Value;
                _pending.RemoveFirst();
            }

            node = _pending.AddLast(context);
        }

        longest?.Abort(new ConnectionAbortedException("Too many connections have not proved to be of this cluster."));
        return node;
    }

    private void Leave(LinkedListNode<ConnectionContext> node)
    {
        lock (_pending)
        {
            if (node.List is not null)
                _pending.Remove(node);
        }
    }

    private void Refused(ConnectionContext context, string reason)
    {
        int count = Interlocked.Increment(ref _refused);
        long now = Environment.TickCount64;
        long logged = Volatile.Read(ref _loggedAt);
        if ((logged != long.MinValue && now - logged < LogInterval.TotalMilliseconds) || Interlocked.CompareExchange(ref _loggedAt, now, logged) != logged)
            return;
        LogRefused(logger, count, context.RemoteEndPoint?.ToString() ?? "somewhere", reason);
        Interlocked.Add(ref _refused, -count);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} connections to this silo were refused; the last, from {Peer}, {Reason}")]
    private static partial void LogRefused(ILogger logger, int count, string peer, string reason);
}
