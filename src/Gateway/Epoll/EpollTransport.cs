using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Datagrams;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Epoll;

/// <summary>
/// Sockets on own epoll loops, one thread each (-t). The first loop accepts and deals connections out in turn, so that they spread evenly however they arrive.
/// </summary>
internal sealed class EpollTransport : LoopTransport
{
    private readonly List<EpollDatagramPort> _ports = [];
    private List<Socket> _udpSockets = [];
    private readonly IReadOnlyList<ListenerOptions> _options;
    private Dictionary<EndPoint, int> _listenerDescriptors = [];
    private EpollLoop[] _loops = [];
    private uint _nextLoop;

    /// <param name="shared">Of the gateway.</param>
    /// <param name="listeners">Where to listen by TCP; the UNIX socket of the options is this transport's too.</param>
    public EpollTransport(GatewayShared shared, IReadOnlyList<ListenerOptions> listeners)
        : base(shared)
    {
        _options = listeners;
        Logger = shared.LoggerFactory.CreateLogger("OrleansCache.Gateway.Epoll");
    }

    public static bool IsSupported => OperatingSystem.IsLinux() && Environment.Is64BitProcess;

    public ILogger Logger { get; }

    protected override IReadOnlyList<IGatewayLoop> Loops => _loops;

    protected override IReadOnlyList<DatagramPort> Ports => _ports;

    public override int FindDescriptor(EndPoint endPoint) => _listenerDescriptors.GetValueOrDefault(endPoint, -1);

    public EpollLoop NextLoop() => _loops[_nextLoop++ % (uint)_loops.Length];

    public override Task<IReadOnlyList<EndPoint>> StartAsync(CancellationToken cancellationToken)
    {
        GatewayOptions options = Shared.Options;
        var listeners = new List<EpollListener>();
        try
        {
            _udpSockets = DatagramSocket.Open(options.UdpEndPoints);
            foreach (ListenerOptions listener in _options)
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

        _listenerDescriptors = listeners.ToDictionary(static l => l.EndPoint, static l => l.Fd);
        Shared.UdpEndPoints = [.. _udpSockets.Select(static socket => (IPEndPoint)socket.LocalEndPoint!)];
        BeginAccepting();
        foreach (EpollLoop loop in _loops)
            loop.Start();
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

    protected override async Task CloseListenersAsync()
    {
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
        await base.StopAsync(graceTime, cancellationToken).ConfigureAwait(false);
        foreach (Socket socket in _udpSockets)
            socket.Dispose();
    }
}
