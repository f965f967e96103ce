using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansCache.Gateway.Datagrams;

namespace OrleansCache.Gateway.Pipelines;

/// <summary>
/// System.IO.Pipelines over Kestrel's socket transport: for every system that .NET runs on, and the place where TLS will join.
/// Connections are dealt out in turn to as many loops as -t says.
/// </summary>
internal sealed class PipelinesTransport : GatewayTransport
{
    private readonly GatewayShared _shared;
    private readonly ILogger _logger;
    private readonly List<(IConnectionListener Listener, WireProtocol Protocol)> _listeners = [];
    private readonly List<Task> _acceptTasks = [];
    private readonly List<PipelinesDatagramPort> _ports = [];
    private PipelinesLoop[] _loops = [];
    private ITimer? _idleTimer;
    private uint _nextLoop;
    private int _stopped;

    public PipelinesTransport(GatewayShared shared)
    {
        _shared = shared;
        _logger = shared.LoggerFactory.CreateLogger("OrleansCache.Gateway.Pipelines");
    }

    public override async Task<IReadOnlyList<EndPoint>> StartAsync(CancellationToken cancellationToken)
    {
        GatewayOptions options = _shared.Options;
        var transportOptions = new SocketTransportOptions
        {
            Backlog = options.Backlog,
            NoDelay = true,
            UnsafePreferInlineScheduling = true,
            WaitForDataBeforeAllocatingBuffer = true,
            CreateBoundListenSocket = endPoint => CreateSocket(endPoint, options.UnixSocketMode),
        };
        var factory = new SocketTransportFactory(Options.Create(transportOptions), _shared.LoggerFactory);
        List<(EndPoint EndPoint, WireProtocol Protocol)> endPoints = [.. options.Listeners.Select(static l => ((EndPoint)l.EndPoint, l.Protocol))];
        if (options.UnixSocketPath is { } path)
        {
            ListenErrors.PrepareUnixPath(path);
            endPoints.Add((new UnixDomainSocketEndPoint(path), options.Protocol));
        }

        List<Socket> udpSockets = DatagramSocket.Open(options.UdpEndPoints);
        foreach ((EndPoint endPoint, WireProtocol protocol) in endPoints)
        {
            try
            {
                _listeners.Add((await factory.BindAsync(endPoint, cancellationToken).ConfigureAwait(false), protocol));
            }
            catch (Exception failure)
            {
                foreach ((IConnectionListener listener, _) in _listeners)
                    await listener.DisposeAsync().ConfigureAwait(false);
                _listeners.Clear();
                foreach (Socket socket in udpSockets)
                    socket.Dispose();
                throw ListenErrors.Describe(endPoint, failure);
            }
        }

        _shared.Listeners = [.. _listeners.Select(static l => ConnectionName.Of(l.Listener.EndPoint))];
        _loops = new PipelinesLoop[Math.Max(1, options.Threads)];
        for (int i = 0; i < _loops.Length; i++)
            _loops[i] = new PipelinesLoop(_shared, _logger);
        _shared.UdpEndPoints = [.. udpSockets.Select(static socket => (IPEndPoint)socket.LocalEndPoint!)];
        _shared.Accepting = true;
        for (int i = 0; i < udpSockets.Count; i++)
        {
            var port = new PipelinesDatagramPort(_loops[i % _loops.Length], udpSockets[i]);
            _ports.Add(port);
            port.Start();
        }

        foreach ((IConnectionListener listener, WireProtocol protocol) in _listeners)
            _acceptTasks.Add(AcceptAsync(listener, protocol));
        if (options.IdleTimeoutSeconds > 0)
            _idleTimer = _shared.TimeProvider.CreateTimer(CheckIdle, null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
        return [.. _listeners.Select(static l => l.Listener.EndPoint)];
    }

    public override async Task StopAcceptingAsync()
    {
        if (!_shared.Accepting)
            return;
        _shared.Accepting = false;
        foreach ((IConnectionListener listener, _) in _listeners)
            await listener.UnbindAsync().ConfigureAwait(false);
        foreach (PipelinesDatagramPort port in _ports)
            port.StopReceiving();
        await Task.WhenAll([.. _acceptTasks, .. _ports.Select(static p => p.Receiving)]).ConfigureAwait(false);
    }

    public override async Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _stopped, 1) != 0)
            return;
        await StopAcceptingAsync().ConfigureAwait(false);
        if (_idleTimer is { } timer)
            await timer.DisposeAsync().ConfigureAwait(false);
        foreach (PipelinesLoop loop in _loops)
            loop.Post(loop.Finish);
        foreach (PipelinesDatagramPort port in _ports)
            port.Loop.Queue.Post(new ActionItem(port.Finish));
        Task drained = Task.WhenAll([.. _loops.Select(static l => l.Drained), .. _ports.Select(static p => p.Drained)]);
        try
        {
            await drained.WaitAsync(graceTime, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is TimeoutException or OperationCanceledException)
        {
            foreach (PipelinesLoop loop in _loops)
                loop.Post(loop.Stop);
            foreach (PipelinesDatagramPort port in _ports)
                port.Loop.Queue.Post(new ActionItem(port.Dispose));
            await drained.ConfigureAwait(false);
        }

        foreach (PipelinesDatagramPort port in _ports)
            port.Dispose();

        foreach ((IConnectionListener listener, _) in _listeners)
            await listener.DisposeAsync().ConfigureAwait(false);
    }

    public override async ValueTask DisposeAsync() => await StopAsync(TimeSpan.Zero, CancellationToken.None).ConfigureAwait(false);

    private static Socket CreateSocket(EndPoint endPoint, int unixSocketMode)
    {
        Socket socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endPoint);
        if (endPoint is UnixDomainSocketEndPoint && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(endPoint.ToString()!, (UnixFileMode)(unixSocketMode & 0x1FF));
        return socket;
    }

    private async Task AcceptAsync(IConnectionListener listener, WireProtocol protocol)
    {
        string listenName = ConnectionName.Of(listener.EndPoint);
        while (true)
        {
            try
            {
                ConnectionContext? connection = await listener.AcceptAsync().ConfigureAwait(false);
                if (connection is null)
                    return;
                var info = new ConnectionInfo(
                    () => connection.RemoteEndPoint is IPEndPoint remote ? ConnectionName.Of(remote) : listenName, () => listenName)
                {
                    Protocol = protocol,
                };
                if (_shared.TryEnter(info))
                    _ = new PipelinesConnection(_loops[_nextLoop++ % (uint)_loops.Length], connection, info).RunAsync();
                else
                    _ = RefuseAsync(connection);
            }
            catch (Exception failure)
            {
                if (!_shared.Accepting)
                    return;

                // Out of descriptors, most likely: look away for a while.
                _shared.CountListenDisabled();
                Log.AcceptFailed(_logger, failure);
                await Task.Delay(TimeSpan.FromMilliseconds(100), _shared.TimeProvider).ConfigureAwait(false);
            }
        }
    }

    private async Task RefuseAsync(ConnectionContext connection)
    {
        try
        {
            await connection.Transport.Output.WriteAsync("ERROR Too many open connections\r\n"u8.ToArray()).ConfigureAwait(false);
            await connection.Transport.Output.CompleteAsync().ConfigureAwait(false);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            Log.AcceptFailed(_logger, failure);
        }
    }

    private void CheckIdle(object? state)
    {
        foreach (PipelinesLoop loop in _loops)
            loop.Post(() => loop.CheckIdle(_shared.Options.IdleTimeoutSeconds));
    }
}
