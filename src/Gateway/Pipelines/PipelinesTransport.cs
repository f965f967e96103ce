using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Datagrams;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Tls;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Pipelines;

/// <summary>
/// System.IO.Pipelines: over Kestrel's socket transport for every system that .NET runs on, and over TLS, whose connections take the same way once they are
/// established. Connections are dealt out in turn to as many loops as -t says.
/// </summary>
internal sealed class PipelinesTransport : LoopTransport
{
    private static readonly TimeSpan s_acceptPause = TimeSpan.FromMilliseconds(100);

    private readonly IReadOnlyList<ListenerOptions> _options;
    private readonly bool _isAlone;
    private List<Socket> _udpSockets = [];
    private readonly List<Socket> _plain = [];
    private readonly List<TlsListener> _tls = [];
    private readonly List<Task> _acceptTasks = [];
    private readonly List<PipelinesDatagramPort> _ports = [];
    private PipelinesLoop[] _loops = [];
    private SocketConnectionContextFactory _factory = null!;
    private int _nextLoop = -1;

    /// <param name="shared">Of the gateway.</param>
    /// <param name="listeners">Where to listen by TCP.</param>
    /// <param name="isAlone">No other transport stands beside it: the UNIX socket and UDP of the options are this one's too.</param>
    public PipelinesTransport(GatewayShared shared, IReadOnlyList<ListenerOptions> listeners, bool isAlone)
        : base(shared)
    {
        _options = listeners;
        _isAlone = isAlone;
        Logger = shared.LoggerFactory.CreateLogger("OrleansCache.Gateway.Pipelines");
    }

    public ILogger Logger { get; }

    public TlsHandshakes Handshakes { get; } = TlsHandshakes.Create();

    protected override IReadOnlyList<IGatewayLoop> Loops => _loops;

    protected override IReadOnlyList<DatagramPort> Ports => _ports;

    public override int FindDescriptor(EndPoint endPoint) =>
        (int?)(_plain.Find(socket => endPoint.Equals(socket.LocalEndPoint)) ?? _tls.Find(listener => endPoint.Equals(listener.EndPoint))?.Socket)?.Handle ?? -1;

    public PipelinesLoop NextLoop() => _loops[(uint)Interlocked.Increment(ref _nextLoop) % (uint)_loops.Length];

    public override Task<IReadOnlyList<EndPoint>> StartAsync(CancellationToken cancellationToken)
    {
        GatewayOptions options = Shared.Options;
        var connectionOptions = new SocketConnectionFactoryOptions { UnsafePreferInlineScheduling = true, WaitForDataBeforeAllocatingBuffer = true };
        _factory = new SocketConnectionContextFactory(connectionOptions, Shared.LoggerFactory.CreateLogger<SocketConnectionContextFactory>());
        var endPoints = new List<EndPoint>();
        var accepts = new List<Func<Task>>();
        EndPoint current = IPEndPointAny;
        try
        {
            if (_isAlone)
                _udpSockets = DatagramSocket.Open(options.UdpEndPoints);
            foreach (ListenerOptions listener in _options)
            {
                current = listener.EndPoint;
                if (listener.Tls == TlsMode.Off)
                {
                    Bind(current, listener.Protocol);
                    continue;
                }

                var tls = new TlsListener(this, listener);
                _tls.Add(tls);
                tls.Bind();
                endPoints.Add(tls.EndPoint);
                accepts.Add(tls.AcceptAsync);
            }

            if (_isAlone && options.UnixSocketPath is { } path)
            {
                current = new UnixDomainSocketEndPoint(path);
                ListenErrors.PrepareUnixPath(path);
                Bind(current, options.Protocol);
            }
        }
        catch (Exception failure)
        {
            foreach (Socket listener in _plain)
                listener.Dispose();
            foreach (TlsListener listener in _tls)
                listener.Dispose();
            foreach (Socket socket in _udpSockets)
                socket.Dispose();
            _udpSockets = [];
            _plain.Clear();
            _tls.Clear();
            throw ListenErrors.Describe(current, failure);
        }

        _loops = new PipelinesLoop[Math.Max(1, options.Threads)];
        for (int i = 0; i < _loops.Length; i++)
            _loops[i] = new PipelinesLoop(Shared, Logger);
        BeginAccepting();
        if (_isAlone)
            Shared.UdpEndPoints = [.. _udpSockets.Select(static socket => (IPEndPoint)socket.LocalEndPoint!)];
        for (int i = 0; i < _udpSockets.Count; i++)
        {
            var port = new PipelinesDatagramPort(_loops[i % _loops.Length], _udpSockets[i]);
            _ports.Add(port);
            port.Start();
        }

        foreach (Func<Task> accept in accepts)
            _acceptTasks.Add(accept());
        return Task.FromResult<IReadOnlyList<EndPoint>>(endPoints);

        void Bind(EndPoint endPoint, WireProtocol protocol)
        {
            Socket listener = CreateSocket(endPoint, options.UnixSocketMode);
            _plain.Add(listener);
            listener.Listen(options.Backlog);
            EndPoint bound = endPoint is UnixDomainSocketEndPoint ? endPoint : listener.LocalEndPoint!;
            endPoints.Add(bound);
            accepts.Add(() => AcceptAsync(listener, ConnectionName.Of(bound), protocol));
        }
    }

    /// <summary>Serves an established connection until it ends.</summary>
    public Task ServeAsync(PipelinesLink link, ConnectionInfo info) => new PipelinesConnection(NextLoop(), link, info).RunAsync();

    public override async Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken)
    {
        await base.StopAsync(graceTime, cancellationToken).ConfigureAwait(false);
        foreach (PipelinesDatagramPort port in _ports)
            port.Loop.Queue.Post(new ActionItem(port.Dispose));
        await Task.WhenAll(_ports.Select(static p => p.Drained)).ConfigureAwait(false);
        foreach (PipelinesDatagramPort port in _ports)
            port.Dispose();
    }

    protected override async Task CloseListenersAsync()
    {
        foreach (Socket listener in _plain)
            listener.Dispose();
        foreach (TlsListener listener in _tls)
            listener.Dispose();
        foreach (PipelinesDatagramPort port in _ports)
            port.StopReceiving();
        await Task.WhenAll([.. _acceptTasks, .. _ports.Select(static p => p.Receiving)]).ConfigureAwait(false);
    }

    private static IPEndPoint IPEndPointAny { get; } = new(IPAddress.Any, 0);

    private static Socket CreateSocket(EndPoint endPoint, int unixSocketMode)
    {
        Socket socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endPoint);
        if (endPoint is UnixDomainSocketEndPoint && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(endPoint.ToString()!, (UnixFileMode)(unixSocketMode & 0x1FF));
        return socket;
    }

    /// <summary>Kestrel's own listener would try again without end, and without a pause, as long as there is no descriptor.</summary>
    private async Task AcceptAsync(Socket listener, string listenName, WireProtocol protocol)
    {
        while (IsAccepting)
        {
            Socket? socket = null;
            try
            {
                socket = await listener.AcceptAsync().ConfigureAwait(false);
                if (socket.ProtocolType == ProtocolType.Tcp)
                    socket.NoDelay = true;
                ConnectionContext connection = _factory.Create(socket);
                var info = new ConnectionInfo(
                    () => connection.RemoteEndPoint is IPEndPoint remote ? ConnectionName.Of(remote) : listenName, () => listenName)
                {
                    Protocol = protocol,
                };
                if (Shared.TryEnter(info))
                    _ = ServeAsync(new SocketLink(connection), info);
                else
                    _ = RefuseAsync(connection);
            }
            catch (Exception failure)
            {
                socket?.Dispose();
                if (!IsAccepting)
                    return;

                // Out of descriptors, most likely: look away for a while.
                Shared.AcceptPauses.Begin(failure.Message);
                await Task.Delay(s_acceptPause, Shared.TimeProvider).ConfigureAwait(false);
                Shared.AcceptPauses.End(s_acceptPause);
            }
        }
    }

    private static async Task RefuseAsync(ConnectionContext connection)
    {
        try
        {
            await connection.Transport.Output.WriteAsync("ERROR Too many open connections\r\n"u8.ToArray()).ConfigureAwait(false);
            await connection.Transport.Output.CompleteAsync().ConfigureAwait(false);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The client left without waiting for it.
            connection.Abort();
        }
    }
}
