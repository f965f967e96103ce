using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client.Gateways;

/// <summary>Opens a way to a gateway: TCP or UNIX socket, TLS, login, and the proof that a memcached with meta commands answers.</summary>
internal sealed class Connector
{
    private const int KeepAliveSeconds = 60;

    private readonly OrleansCacheOptions _options;
    private readonly X509Certificate2? _certificate;
    private readonly X509Certificate2Collection _authorities = [];

    /// <summary>Reads the certificates. Throws what reading them throws.</summary>
    public Connector(OrleansCacheOptions options)
    {
        _options = options;
        _authorities.AddRange(options.TlsAuthorities);
        if (options.TlsAuthorityFile is not null)
            _authorities.ImportFromPemFile(options.TlsAuthorityFile);
        _certificate = options.TlsCertificate;
        if (_certificate is null && options.TlsCertificateFile is not null)
            _certificate = X509Certificate2.CreateFromPemFile(options.TlsCertificateFile, options.TlsKeyFile ?? options.TlsCertificateFile);
    }

    /// <summary>Throws <see cref="OrleansCacheException"/> for what the gateway says, and what sockets and TLS throw.</summary>
    public async Task<Stream> ConnectAsync(GatewayEndPoint gateway, CancellationToken cancellationToken)
    {
        var socket = gateway.IsUnixSocket
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Stream? stream = null;
        try
        {
            if (!gateway.IsUnixSocket)
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
                socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
            }

            await socket.ConnectAsync(gateway.EndPoint, cancellationToken).ConfigureAwait(false);
            stream = new NetworkStream(socket, ownsSocket: true);
            if (_options.UseTls)
                stream = await AuthenticateAsync(stream, gateway, cancellationToken).ConfigureAwait(false);
            await GreetAsync(stream, gateway, cancellationToken).ConfigureAwait(false);
            return stream;
        }
        catch
        {
            if (stream is not null)
                await stream.DisposeAsync().ConfigureAwait(false);
            socket.Dispose();
            throw;
        }
    }

    private async Task<Stream> AuthenticateAsync(Stream inner, GatewayEndPoint gateway, CancellationToken cancellationToken)
    {
        var tls = new SslStream(inner, leaveInnerStreamOpen: false);
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = _options.TlsHost ?? gateway.Host,
            EnabledSslProtocols = SslProtocols.None,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        };
        if (_certificate is not null)
            options.ClientCertificates = [_certificate];
        if (_authorities.Count > 0)
        {
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(_authorities);
        }

        try
        {
            await tls.AuthenticateAsClientAsync(options, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await tls.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        return tls;
    }

    private async Task GreetAsync(Stream stream, GatewayEndPoint gateway, CancellationToken cancellationToken)
    {
        if (!string.IsNullOrEmpty(_options.User))
        {
            byte[] credentials = Encoding.UTF8.GetBytes($"{_options.User} {_options.Password}");
            byte[] login = [.. Encoding.ASCII.GetBytes($"set login 0 0 {credentials.Length}\r\n"), .. credentials, .. "\r\n"u8];
            string answer = await AskAsync(stream, login, gateway, cancellationToken).ConfigureAwait(false);
            if (answer != "STORED")
                throw new OrleansCacheException(OrleansCacheError.LoginRefused, $"{gateway} refuses the login of {_options.User}: {answer}");
        }

        string reply = await AskAsync(stream, MetaRequest.NoOp.ToArray(), gateway, cancellationToken).ConfigureAwait(false);
        if (reply == "MN")
            return;
        if (reply.Contains("unauthenticated", StringComparison.Ordinal))
            throw new OrleansCacheException(OrleansCacheError.LoginRefused,
                $"{gateway} wants a login: set {nameof(OrleansCacheOptions.User)} and {nameof(OrleansCacheOptions.Password)}.");
        throw new OrleansCacheException(OrleansCacheError.Refused, $"{gateway} does not speak memcached's meta commands (memcached 1.6 and newer do): {reply}");
    }

    private static async Task<string> AskAsync(Stream stream, byte[] command, GatewayEndPoint gateway, CancellationToken cancellationToken)
    {
        await stream.WriteAsync(command, cancellationToken).ConfigureAwait(false);
        byte[] reply = new byte[MetaReplyLine.BytesMax];
        int count = 0;
        while (true)
        {
            if (count == reply.Length)
                throw new InvalidDataException($"What answers at {gateway} is no memcached.");
            int received = await stream.ReadAsync(reply.AsMemory(count), cancellationToken).ConfigureAwait(false);
            if (received == 0)
            {
                // memcached closes on an mn before a login.
                throw new EndOfStreamException($"{gateway} closed the connection at once: it may want a login or TLS, or have too many connections.");
            }

            count += received;
            int end = reply.AsSpan(0, count).IndexOf((byte)'\n');
            if (end >= 0)
                return Encoding.Latin1.GetString(reply, 0, end).TrimEnd('\r');
        }
    }
}
