using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Microsoft.AspNetCore.Connections;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Links;

namespace OrleansCache.Grains.Hosting.Links;

/// <summary>
/// The links of this silo: the short way for batches and replication, beside Orleans's calls. One is opened when something is to be sent to a silo and there is
/// none; until it is there, and wherever there is none (the other silo knows no links, or is leaving), the way is a grain call. So no link is ever waited for.
/// <para>
/// Faults: what has no answer when a link ends has failed, as a call to a lost silo has. Nothing is sent there after it for a while, by no way, unless there is
/// a link again: a silo whose links break is most often dead, and what is not sent is not lost with it. The death watch is told, and looks. A silo that is gone
/// for good takes its links along. One that owes answers and has been silent for longer than calls may take is cut off.
/// </para>
/// </summary>
/// <param name="transport">Null where links are not supported.</param>
internal sealed class SiloLinks(SiloTransport? transport, ClusterHandshake handshake, ClusterTls? tls, SiloId self, TimeSpan answerTimeout, TimeProvider time)
    : IDisposable
{
    /// <summary>So many to each silo; what one executes is executed by one thread there.</summary>
    private static readonly int s_linksPerSilo = SiloTransport.LoopCount;

    /// <summary>So long after a link has broken nothing goes to that silo by calls: longer than it takes to notice that its process is gone.</summary>
    private static readonly TimeSpan BrokenTime = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan RetryIntervalWhileBroken = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RetryIntervalMax = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<(SiloId Silo, int Index), Way> _ways = [];
    private readonly ConcurrentDictionary<Incoming, bool> _incoming = [];
    private readonly CancellationTokenSource _stop = new();
    private ITimer? _sweep;
    private int _isSweeping;
    private volatile bool _isLeaving;
    private volatile IReadOnlySet<SiloId> _gone = new HashSet<SiloId>();

    /// <summary>Links over which this silo asks others.</summary>
    public int Count => _ways.Values.Count(static way => way.Link is { IsClosing: false, IsOver: false });

    /// <summary>A link to this address has broken.</summary>
    public Action<EndPoint>? Broken { get; set; }

    /// <summary>The link for this lane. Without one null, and one is opened if it may be.</summary>
    public AskingLink? Find(SiloId silo, int lane)
    {
        if (transport is null || _isLeaving)
            return null;
        (SiloId, int) key = KeyOf(silo, lane);
        if (_ways.TryGetValue(key, out Way? way) && way.Link is { IsClosing: false } link)
            return link;
        if (_gone.Contains(silo))
            return null;
        way ??= _ways.GetOrAdd(key, static _ => new Way());
        if (time.GetTimestamp() >= Volatile.Read(ref way.RetryAt) && Interlocked.Exchange(ref way.IsOpening, 1) == 0)
            _ = Task.Run(() => OpenAsync(silo, way));
        return null;
    }

    /// <summary>There was a link for this lane a moment ago, and nothing is to be sent there by calls.</summary>
    public bool IsBroken(SiloId silo, int lane) => _ways.TryGetValue(KeyOf(silo, lane), out Way? way)
        && (way.Link is { } link ? link.IsOver : time.GetTimestamp() < Volatile.Read(ref way.BrokenUntil));

    /// <summary>Opens what is needed to ask that silo, before anything is to be asked.</summary>
    public void Prepare(SiloId silo)
    {
        for (int lane = 0; lane < s_linksPerSilo; lane++)
            Find(silo, lane);
    }

    /// <summary>A member wants a link to this silo; returns when it has ended.</summary>
    public async Task AcceptAsync(ConnectionContext context, ILinkTarget target)
    {
        SiloId? source;
        using (CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(context.ConnectionClosed, _stop.Token))
        {
            limit.CancelAfter(ClusterHandshake.Timeout);
            try
            {
                source = await LinkGreeting.ReceiveAsync(context.Transport, self, limit.Token).ConfigureAwait(false);
                if (source is null || _isLeaving || _gone.Contains(source.Value))
                    return;
                await LinkGreeting.WelcomeAsync(context.Transport, limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }

        Incoming incoming = new(source.Value, new AnsweringLink(context.Transport, target), context);
        _incoming.TryAdd(incoming, true);
        try
        {
            // This silo may have begun to leave, or that one may have been declared dead, before this was in the list.
            if (_gone.Contains(source.Value))
                return;
            if (_isLeaving)
                incoming.Link.BeginClosing();
            await incoming.Link.RunAsync(context.ConnectionClosed).ConfigureAwait(false);
        }
        catch (Exception exception) when (IsEnd(exception))
        {
        }
        finally
        {
            _incoming.TryRemove(incoming, out _);
        }
    }

    /// <summary>These silos are gone for good: what they owe has failed, and nothing is taken from them. The set takes the last one's place.</summary>
    public void End(IReadOnlySet<SiloId> gone)
    {
        _gone = gone;
        End(gone.Contains);
    }

    private void End(Func<SiloId, bool> isGone)
    {
        foreach (((SiloId Silo, int Index) key, Way way) in _ways)
        {
            if (isGone(key.Silo) && _ways.TryRemove(key, out _))
            {
                Volatile.Write(ref way.RetryAt, long.MaxValue);
                way.Context?.Abort();
            }
        }

        foreach (Incoming incoming in _incoming.Keys)
        {
            if (isGone(incoming.Source))
                incoming.Context.Abort();
        }
    }

    /// <summary>
    /// Nothing is asked of others any more, and they are told to ask nothing here; returns when all answers have been given, both ways, or time is up.
    /// </summary>
    public async Task LeaveAsync(TimeSpan timeout)
    {
        _isLeaving = true;
        List<Task> open = [];
        foreach (Way way in _ways.Values)
        {
            if (way.Link is not { } link)
                continue;
            link.BeginClosing();
            open.Add(link.Drained);
        }

        foreach (Incoming incoming in _incoming.Keys)
        {
            incoming.Link.BeginClosing();
            open.Add(incoming.Ended);
        }

        await Task.WhenAny(Task.WhenAll(open), Task.Delay(timeout, time)).ConfigureAwait(false);
    }

    /// <summary>For tests: what the network does when it cuts the links by which this silo asks.</summary>
    internal async Task BreakAsync()
    {
        List<Task> ended = [];
        foreach (Way way in _ways.Values)
        {
            if (way.Link is not { } link)
                continue;
            way.Context?.Abort();
            ended.Add(link.Drained);
        }

        await Task.WhenAll(ended).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _isLeaving = true;
        _sweep?.Dispose();
        if (!_stop.IsCancellationRequested)
            _stop.Cancel();
        End(static _ => true);
    }

    private static (SiloId Silo, int Index) KeyOf(SiloId silo, int lane) => (silo, (int)((uint)lane % (uint)s_linksPerSilo));

    private static bool IsEnd(Exception exception) => exception is IOException or InvalidDataException or OperationCanceledException or SocketException
        or ConnectionAbortedException or InvalidOperationException or ObjectDisposedException;

    private async Task OpenAsync(SiloId silo, Way way)
    {
        bool wasOpen = false;
        try
        {
            await using ConnectionContext context = await ConnectAsync(silo).ConfigureAwait(false);
            IDuplexPipe pipe;
            using (CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(context.ConnectionClosed, _stop.Token))
            {
                limit.CancelAfter(ClusterHandshake.Timeout);
                pipe = tls is null ? context.Transport
                    : new StreamPipe(await tls.ConnectAsync(new PipeStream(context.Transport), limit.Token).ConfigureAwait(false));
                await handshake.InitiateAsync(pipe, PeerKind.Link, limit.Token).ConfigureAwait(false);
                if (!await LinkGreeting.SendAsync(pipe, silo, self, limit.Token).ConfigureAwait(false))
                    return;
            }

            LoopConnection.Trust(context);
            wasOpen = true;
            AskingLink link = new(pipe, time);
            way.Context = context;
            way.Link = link;
            BeginSweeping();

            // It may have gone, or this silo, while the link was made.
            if (_isLeaving || Volatile.Read(ref way.RetryAt) == long.MaxValue)
                link.BeginClosing();
            Task running = link.RunAsync(context.ConnectionClosed);
            await Task.WhenAny(running, link.Drained).ConfigureAwait(false);
            if (link.IsClosing || _isLeaving)
                Volatile.Write(ref way.RetryAt, long.MaxValue);
            else
            {
                Volatile.Write(ref way.BrokenUntil, At(BrokenTime));
                Broken?.Invoke(IPEndPoint.Parse(silo.Address));
            }

            way.Link = null;
            context.Abort();
            await running.ConfigureAwait(false);
        }
        catch (Exception exception) when (IsEnd(exception) || exception is HandshakeException or AuthenticationException)
        {
            // Calls are the way until the next try.
        }
        finally
        {
            way.Link = null;
            way.Context = null;
            if (time.GetTimestamp() < Volatile.Read(ref way.BrokenUntil))
                way.Pause = wasOpen ? TimeSpan.Zero : RetryIntervalWhileBroken;
            else
                way.Pause = TimeSpan.FromTicks(Math.Clamp(2 * way.Pause.Ticks, RetryInterval.Ticks, RetryIntervalMax.Ticks));
            if (Volatile.Read(ref way.RetryAt) != long.MaxValue)
                Volatile.Write(ref way.RetryAt, At(way.Pause));
            Volatile.Write(ref way.IsOpening, 0);
        }
    }

    private long At(TimeSpan later) => time.GetTimestamp() + (long)(later.TotalSeconds * time.TimestampFrequency);

    private async Task<ConnectionContext> ConnectAsync(SiloId silo)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(ClusterHandshake.Timeout);
        return await transport!.ConnectAsync(IPEndPoint.Parse(silo.Address), limit.Token).ConfigureAwait(false);
    }

    private void BeginSweeping()
    {
        if (Interlocked.Exchange(ref _isSweeping, 1) == 0)
            _sweep = time.CreateTimer(static links => ((SiloLinks)links!).Sweep(), this, SweepInterval, SweepInterval);
    }

    private void Sweep()
    {
        foreach (Way way in _ways.Values)
        {
            if (way.Link is { } link && link.IsSilent(answerTimeout))
                way.Context?.Abort();
        }
    }

    /// <summary>To one silo.</summary>
    private sealed class Way
    {
        public volatile AskingLink? Link;
        public volatile ConnectionContext? Context;
        public long RetryAt = long.MinValue;
        public long BrokenUntil = long.MinValue;
        public int IsOpening;
        public TimeSpan Pause;
    }

    private sealed class Incoming(SiloId source, AnsweringLink link, ConnectionContext context)
    {
        public SiloId Source => source;

        public AnsweringLink Link => link;

        public ConnectionContext Context => context;

        public Task Ended { get; } = EndOf(context);

        private static Task EndOf(ConnectionContext context)
        {
            TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
            context.ConnectionClosed.UnsafeRegister(static ended => ((TaskCompletionSource)ended!).TrySetResult(), ended);
            return ended.Task;
        }
    }

    private sealed class StreamPipe(Stream stream) : IDuplexPipe
    {
        public PipeReader Input { get; } = PipeReader.Create(stream);

        public PipeWriter Output { get; } = PipeWriter.Create(stream);
    }
}
