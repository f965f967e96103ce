using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using OrleansCache.Gateway.Options;

namespace OrleansCache.Gateway.Tls;

/// <summary>
/// One handshake of the server with itself, before a port opens: the runtime loads and compiles what handshakes need with the first of them, which takes
/// several times as long as the others. Nothing depends on its success.
/// </summary>
internal static class TlsWarmUp
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);

    public static async Task RunAsync(TlsCertificates certificates, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(s_timeout);
        try
        {
            using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen(1);
            using var near = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await near.ConnectAsync(listener.LocalEndPoint!, limit.Token).ConfigureAwait(false);
            using Socket far = await listener.AcceptAsync(limit.Token).ConfigureAwait(false);
            await HandshakeAsync(certificates, near, far, limit.Token).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            // Then the first client waits a little longer.
        }
    }

    private static async Task HandshakeAsync(TlsCertificates certificates, Socket near, Socket far, CancellationToken cancellationToken)
    {
        var options = new SslClientAuthenticationOptions { TargetHost = "localhost" };
#pragma warning disable CA5359 // The other end is this very method.
        options.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
        var client = new SslStream(new NetworkStream(near, ownsSocket: false));
        var server = new SslStream(new HandshakeStream(far, TlsHandshakes.Create()));
        await using (client.ConfigureAwait(false))
        await using (server.ConfigureAwait(false))
        {
            await Task.WhenAll(
                client.AuthenticateAsClientAsync(options, cancellationToken),
                server.AuthenticateAsServerAsync(certificates.Current.For(TlsMode.NoClientCertificate), cancellationToken)).ConfigureAwait(false);
            byte[] bytes = new byte[1];
            await client.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
            await server.ReadExactlyAsync(bytes, cancellationToken).ConfigureAwait(false);
            await server.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
            await client.ReadExactlyAsync(bytes, cancellationToken).ConfigureAwait(false);
        }
    }
}
