using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;

namespace OrleansCache.Grains.Hosting.Security;

/// <summary>Connections of our own to other members, and from them, beside Orleans's: secured by TLS if that is configured, and by the handshake.</summary>
internal sealed class ClusterProbe(ClusterHandshake handshake, ClusterTls? tls)
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Throws <see cref="HandshakeException"/> unless a member of the cluster listens there.</summary>
    public async Task AskAsync(IPEndPoint endPoint, CancellationToken cancellationToken)
    {
        await using MemberConnection connection = await OpenAsync(endPoint, PeerKind.Probe, cancellationToken);
    }

    /// <summary>Connects, and shakes hands. Throws <see cref="HandshakeException"/> unless a member of the cluster listens there.</summary>
    public async Task<MemberConnection> OpenAsync(IPEndPoint endPoint, PeerKind kind, CancellationToken cancellationToken)
    {
        NetworkStream stream = await ConnectAsync(endPoint, cancellationToken);
        MemberConnection? connection = null;
        try
        {
            connection = new MemberConnection(stream, await SecureAsync(stream, cancellationToken));
            await handshake.InitiateAsync(connection, kind, cancellationToken);
            return connection;
        }
        catch
        {
            if (connection is not null)
                await connection.DisposeAsync();
            await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// The other end of <see cref="OpenAsync"/>. Null unless what has connected is a member of the cluster and of this kind; whoever is none has cost what
    /// the handshake's bounds allow. Throws <see cref="HandshakeException"/> for one that means another cluster.
    /// </summary>
    public async Task<MemberConnection?> AcceptAsync(Socket accepted, PeerKind kind, CancellationToken cancellationToken)
    {
        NetworkStream stream = new(accepted, ownsSocket: true);
        MemberConnection? connection = null;
        try
        {
            using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(ClusterHandshake.Timeout);
            connection = new MemberConnection(stream, tls is null ? stream : await tls.AcceptAsync(stream, limit.Token));
            if (await handshake.AcceptAsync(connection, said => said == kind, limit.Token) == kind)
                return connection;
        }
        catch (Exception exception)
            when (exception is OperationCanceledException or IOException or SocketException or AuthenticationException or ObjectDisposedException)
        {
            // No member.
        }
        catch
        {
            await CloseAsync();
            throw;
        }

        await CloseAsync();
        return null;

        async Task CloseAsync()
        {
            if (connection is not null)
                await connection.DisposeAsync();
            await stream.DisposeAsync();
        }
    }

    /// <summary>
    /// Whether a memcached server listens there, such as a silo's own gateway: the port that people name by mistake. What does not say so at once is
    /// none; one that wants TLS or a login first is not recognised.
    /// </summary>
    public static async Task<bool> IsMemcachedAsync(IPEndPoint endPoint, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeSpan.FromMilliseconds(500));
        try
        {
            using NetworkStream connection = await ConnectAsync(endPoint, limit.Token);
            await connection.WriteAsync("version\r\n"u8.ToArray(), limit.Token);
            byte[] answer = new byte[8];
            await connection.ReadExactlyAsync(answer, limit.Token);
            return answer.AsSpan().SequenceEqual("VERSION "u8);
        }
        catch (Exception exception) when (exception is HandshakeException or OperationCanceledException or IOException or SocketException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return false;
        }
    }

    private static async Task<NetworkStream> ConnectAsync(IPEndPoint endPoint, CancellationToken cancellationToken)
    {
        Socket socket = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ConnectTimeout);
        try
        {
            await socket.ConnectAsync(endPoint, limit.Token);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException exception)
        {
            socket.Dispose();
            throw new HandshakeException(exception.Message, mayRetry: true) { IsRefused = exception.SocketErrorCode == SocketError.ConnectionRefused };
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            socket.Dispose();
            throw new HandshakeException("no answer", mayRetry: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task<Stream> SecureAsync(NetworkStream connection, CancellationToken cancellationToken)
    {
        if (tls is null)
            return connection;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ClusterHandshake.Timeout);
        try
        {
            return await tls.ConnectAsync(connection, limit.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HandshakeException($"did not answer within {ClusterHandshake.Timeout.TotalSeconds:0} s", mayRetry: true);
        }
        catch (Exception exception) when (exception is AuthenticationException or IOException)
        {
            throw new HandshakeException($"TLS: {exception.Message}", mayRetry: exception is IOException);
        }
    }
}
