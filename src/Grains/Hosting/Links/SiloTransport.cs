using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace OrleansCache.Grains.Hosting.Links;

/// <summary>
/// The connections between silos, Orleans's and links, on Linux: see <see cref="SocketLoop"/> for why they are not what Orleans brings along. TLS, the
/// handshake and Orleans stand on top of them as on its own. A gateway that runs alone, and other systems, stay with those.
/// </summary>
internal sealed class SiloTransport : IConnectionFactory, IDisposable
{
    private readonly SocketLoop[] _loops;
    private int _next;

    public SiloTransport()
    {
        _loops = new SocketLoop[LoopCount];
        for (int i = 0; i < _loops.Length; i++)
            _loops[i] = new SocketLoop($"silo-link-{i}");
    }

    public static bool IsSupported => OperatingSystem.IsLinux();

    /// <summary>A loop's thread executes what other silos ask for; the gateway's loops have the other cores.</summary>
    public static int LoopCount => Math.Clamp(Environment.ProcessorCount / 2, 1, 8);

    /// <summary>Puts it in the place of Orleans's own, whose keys are not public.</summary>
    public static void Register(IServiceCollection services)
    {
        services.AddSingleton<SiloTransport>();
        for (int i = 0; i < services.Count; i++)
        {
            ServiceDescriptor service = services[i];
            if (!service.IsKeyedService)
                continue;
            if (service.ServiceType == typeof(IConnectionFactory))
            {
                services[i] = ServiceDescriptor.KeyedSingleton<IConnectionFactory>(
                    service.ServiceKey, static (provider, _) => provider.GetRequiredService<SiloTransport>());
            }
            else if (service.ServiceType == typeof(IConnectionListenerFactory))
            {
                services[i] = ServiceDescriptor.KeyedSingleton<IConnectionListenerFactory>(
                    service.ServiceKey, static (provider, _) => new ListenerFactory(provider.GetRequiredService<SiloTransport>()));
            }
        }
    }

    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        Socket socket = new(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        Prepare(socket);
        return await LoopConnection.ConnectAsync(socket, endpoint, NextLoop(), cancellationToken).ConfigureAwait(false);
    }

    public void Dispose()
    {
        foreach (SocketLoop loop in _loops)
            loop.Dispose();
    }

    private static void Prepare(Socket socket)
    {
        socket.NoDelay = true;
        socket.LingerState = new LingerOption(true, 0);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 90);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 30);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 10);
    }

    private SocketLoop NextLoop() => _loops[(uint)Interlocked.Increment(ref _next) % (uint)_loops.Length];

    private sealed class ListenerFactory(SiloTransport transport) : IConnectionListenerFactory
    {
        public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
        {
            Socket socket = new(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                // As Orleans does it: a port that one process has just left is free for the next. PortClaim keeps two from sharing one.
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                if (endpoint is IPEndPoint { Address: var address } && address.Equals(IPAddress.IPv6Any))
                    socket.DualMode = true;
                socket.Bind(endpoint);
                socket.Listen(512);
                return new ValueTask<IConnectionListener>(new Listener(transport, socket));
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                socket.Dispose();
                throw new AddressInUseException(exception.Message, exception);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    private sealed class Listener(SiloTransport transport, Socket listener) : IConnectionListener
    {
        public EndPoint EndPoint { get; } = listener.LocalEndPoint!;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            while (true)
            {
                Socket? socket = null;
                try
                {
                    socket = await listener.AcceptAsync(cancellationToken).ConfigureAwait(false);
                    Prepare(socket);
                    return LoopConnection.Accepted(socket, transport.NextLoop());
                }
                catch (Exception exception) when (exception is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
                {
                    socket?.Dispose();
                    return null;
                }
                catch (Exception exception) when (exception is SocketException or IOException)
                {
                    // It was gone before it was here; or there is no descriptor left for it.
                    socket?.Dispose();
                    if (exception is SocketException { SocketErrorCode: SocketError.TooManyOpenSockets })
                        await Task.Delay(TimeSpan.FromMilliseconds(100), CancellationToken.None).ConfigureAwait(false);
                }
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            listener.Dispose();
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync() => UnbindAsync();
    }
}
