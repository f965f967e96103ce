using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Datagrams;

namespace OrleansCache.Gateway.Epoll;

/// <summary>
/// Sockets on own epoll loops, one thread each (-t). The first loop accepts and deals connections out in turn, so that they spread evenly however they arrive.
/// </summary>
internal sealed class EpollTransport : GatewayTransport
{
    private readonly List<EpollDatagramPort> _ports = [];
    private List<Socket> _udpSockets = [];
    private EpollLoop[] _loops = [];
    private ITimer? _idleTimer;
    private uint _nextLoop;
    private int _stopped;

    public EpollTransport(GatewayShared shared)
    {
        Shared = shared;
        Logger = shared.LoggerFactory.CreateLogger("OrleansCache.Gateway.Epoll");
    }

    public static bool IsSupported => OperatingSystem.IsLinux() && Environment.Is64BitProcess;

    public GatewayShared Shared { get; }
    public ILogger Logger { get; }

    public EpollLoop NextLoop() => _loops[_nextLoop++ % (uint)_loops.Length];

    public override Task<IReadOnlyList<EndPoint>> StartAsync(CancellationToken cancellationToken)
    {
        GatewayOptions options = Shared.Options;
        var listeners = new List<EpollListener>();
        try
        {
            _udpSockets = DatagramSocket.Open(options.UdpEndPoints);
            foreach (ListenerOptions listener in options.Listeners)
                listeners.Add(Bind(listener.EndPoint, listener.Protocol));
            if (options.UnixSocketPath is { } path)
            {
                ListenErrors.PrepareUnixPath(path);
                listeners.Add(Bind(new UnixDomainSocketEndPoint(path), options.Protocol));
            }
        }
        catch
        {
            foreach (EpollListener listener in listeners)
                listener.Dispose();
            foreach (Socket socket in _udpSockets)
                socket.Dispose();
            throw;
        }

        Shared.Listeners = [.. listeners.Select(static l => l.Name)];
        _loops = new EpollLoop[Math.Max(1, options.Threads)];
        for (int i = 0; i < _loops.Length; i++)
            _loops[i] = new EpollLoop(this, i);
        foreach (EpollListener listener in listeners)
            _loops[0].Listen(listener);
        foreach (Socket socket in _udpSockets)
        {
            string name = DatagramSocket.NameOf(socket);
            _ports.AddRange(_loops.Select(loop => loop.AddPort(socket, name)));
        }

        Shared.UdpEndPoints = [.. _udpSockets.Select(static socket => (IPEndPoint)socket.LocalEndPoint!)];
        Shared.Accepting = true;
        foreach (EpollLoop loop in _loops)
            loop.Start();
        if (options.IdleTimeoutSeconds > 0)
            _idleTimer = Shared.TimeProvider.CreateTimer(CheckIdle, null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
        return Task.FromResult<IReadOnlyList<EndPoint>>([.. listeners.Select(static l => l.EndPoint)]);

        EpollListener Bind(EndPoint endPoint, WireProtocol protocol)
        {
            try
            {
                return new EpollListener(endPoint, protocol, options);
            }
            catch (Exception failure)
            {
                throw ListenErrors.Describe(endPoint, failure);
            }
        }
    }

    public override async Task StopAcceptingAsync()
    {
        if (_loops.Length == 0 || !Shared.Accepting)
            return;
        Shared.Accepting = false;
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _loops[0].Post(() =>
        {
            _loops[0].StopListening();
            done.SetResult();
        });
        await Task.WhenAny(done.Task, _loops[0].Ended).ConfigureAwait(false);
        if (_ports.Count > 0)
        {
            foreach (EpollLoop loop in _loops)
                loop.Post(loop.StopReceiving);
        }
    }

    public override async Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _stopped, 1) != 0)
            return;
        await StopAcceptingAsync().ConfigureAwait(false);
        if (_idleTimer is { } timer)
            await timer.DisposeAsync().ConfigureAwait(false);
        foreach (EpollLoop loop in _loops)
            loop.Post(loop.Finish);
        foreach (EpollDatagramPort port in _ports)
            port.Loop.Queue.Post(new ActionItem(port.Finish));
        try
        {
            await Task.WhenAll([.. _loops.Select(static l => l.Drained), .. _ports.Select(static p => p.Drained)]).WaitAsync(graceTime, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is TimeoutException or OperationCanceledException)
        {
            // What is left is cut.
        }

        foreach (EpollLoop loop in _loops)
            loop.Post(loop.Stop);
        await Task.WhenAll(_loops.Select(static l => l.Ended)).ConfigureAwait(false);
        foreach (Socket socket in _udpSockets)
            socket.Dispose();
    }

    public override async ValueTask DisposeAsync() => await StopAsync(TimeSpan.Zero, CancellationToken.None).ConfigureAwait(false);

    private void CheckIdle(object? state)
    {
        foreach (EpollLoop loop in _loops)
            loop.QueueIdleCheck(Shared.Options.IdleTimeoutSeconds);
    }
}
