using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

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
    private int _firstSiloLife;
    private int _conflictingLife;

    /// <summary>Of an embedded cluster: the generation of the first silo that this process is a member with; 0 while it is none.</summary>
    public int FirstSiloLife
    {
        get => Volatile.Read(ref _firstSiloLife);
        set => Volatile.Write(ref _firstSiloLife, value);
    }

    /// <summary>
    /// Called once if a silo shows up whose embedded cluster had another first silo at this address: that cluster lives, and this process's is a second
    /// one.
    /// </summary>
    public Action? OtherClusterFound { get; set; }

    public ConnectionDelegate Outbound(ConnectionDelegate next, PeerKind kind) => async context =>
    {
        await handshake.InitiateAsync(context.Transport, new Hello(kind, FirstSiloLife), context.ConnectionClosed);
        await next(context);
    };

    /// <param name="next">Orleans.</param>
    /// <param name="served">What may talk to Orleans here. Probes and witnesses may come anywhere.</param>
    public ConnectionDelegate Inbound(ConnectionDelegate next, PeerKind served) => async context =>
    {
        Hello? hello;
        LinkedListNode<ConnectionContext> pending = Enter(context);
        try
        {
            hello = await handshake.AcceptAsync(
                context.Transport, said => said.Kind == served || said.Kind is PeerKind.Probe or PeerKind.Witness, context.ConnectionClosed);
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

        if (hello?.Kind == PeerKind.Witness)
        {
            CompareLives(hello.Value.FirstSiloLife);
            await WaitForCloseAsync(context.Transport.Input, Timeout.InfiniteTimeSpan);
        }
        else if (hello?.Kind == PeerKind.Probe)
        {
            // Closed from here it could lose what it has not read yet.
            await WaitForCloseAsync(context.Transport.Input, ClusterHandshake.Timeout);
        }
        else if (hello?.Kind == served)
            await next(context);
    };

    private void CompareLives(int life)
    {
        int own = FirstSiloLife;
        if (life != 0 && own != 0 && life != own && Interlocked.Exchange(ref _conflictingLife, life) == 0)
            OtherClusterFound?.Invoke();
    }

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
