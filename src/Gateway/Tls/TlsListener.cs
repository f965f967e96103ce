using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Pipelines;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Tls;

/// <summary>
/// Accepts connections that begin with a TLS handshake. Handshakes run on the thread pool, on all processors, within the bounds of <see cref="TlsHandshakes"/>
/// and within <see cref="Limits.TlsHandshakeSeconds"/>; only what has succeeded becomes a connection of a loop.
/// </summary>
internal sealed class TlsListener(PipelinesTransport transport, ListenerOptions options) : IDisposable
{
    private const int AcceptPauseMilliseconds = 100;

    private readonly GatewayShared _shared = transport.Shared;
    private readonly TlsCertificates _certificates = transport.Shared.Options.Tls!;
    private Socket _socket = null!;
    private string _name = "";

    public EndPoint EndPoint { get; private set; } = options.EndPoint;

    public Socket Socket => _socket;

    public void Bind()
    {
        _socket = new Socket(options.EndPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _socket.NoDelay = true;
            if (options.EndPoint.AddressFamily == AddressFamily.InterNetworkV6)
                _socket.DualMode = false;
            _socket.Bind(options.EndPoint);
            _socket.Listen(_shared.Options.Backlog);
            EndPoint = _socket.LocalEndPoint!;
            _name = ConnectionName.Of(EndPoint);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    public async Task AcceptAsync()
    {
        while (transport.IsAccepting)
        {
            Socket? socket = null;
            try
            {
                socket = await _socket.AcceptAsync().ConfigureAwait(false);
                await BeginAsync(socket).ConfigureAwait(false);
            }
            catch (Exception failure)
            {
                socket?.Dispose();
                if (!transport.IsAccepting)
                    return;

                // Out of descriptors, most likely: look away for a while.
                _shared.AcceptPauses.Begin(failure.Message);
                await Task.Delay(TimeSpan.FromMilliseconds(AcceptPauseMilliseconds), _shared.TimeProvider).ConfigureAwait(false);
                _shared.AcceptPauses.End(TimeSpan.FromMilliseconds(AcceptPauseMilliseconds));
            }
        }
    }

    /// <summary>Accepts no more, and cuts the handshakes that are under way.</summary>
    public void Dispose()
    {
        _socket?.Dispose();
        transport.Handshakes.CutAll();
    }

    private async Task BeginAsync(Socket socket)
    {
        socket.NoDelay = true;
        EndPoint? remote = socket.RemoteEndPoint;
        var info = new ConnectionInfo(() => ConnectionName.Of(remote), () => _name) { Protocol = options.Protocol };
        if (!_shared.TryEnter(info))
        {
            // Plain, as memcached says it here too.
            _ = socket.Send("ERROR Too many open connections\r\n"u8, SocketFlags.None, out _);
            socket.Dispose();
            return;
        }

        try
        {
            var below = new HandshakeStream(socket, transport.Handshakes);
            await transport.Handshakes.EnterAsync(below).ConfigureAwait(false);
            _ = HandshakeAsync(below, info);
        }
        catch
        {
            _shared.Leave(info);
            throw;
        }
    }

    private async Task HandshakeAsync(HandshakeStream below, ConnectionInfo info)
    {
        // Not on the thread that accepts.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        TlsLink? link = null;
        var stream = new SslStream(below, leaveInnerStreamOpen: false);
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(Limits.TlsHandshakeSeconds), _shared.TimeProvider);
            TlsCertificates.TlsContext context = _certificates.Current;
            await stream.AuthenticateAsServerAsync(context.For(options.Tls), limit.Token).ConfigureAwait(false);
            if (below.End() >= context.CertificateBytes)
                _shared.Tls.CountNewSession();
            link = new TlsLink(stream, below, _shared.Tls, _certificates.Options.WriteBufferBytes);
        }
        catch (Exception failure)
        {
            _shared.Tls.CountHandshakeError();
            below.Fail();
            _shared.Leave(info);
            Log.HandshakeFailed(transport.Logger, info.Address, failure.Message);
            await stream.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            transport.Handshakes.Leave(below);
        }

        if (link is not null)
            await transport.ServeAsync(link, info).ConfigureAwait(false);
    }
}
