using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;

namespace OrleansCache.Grains.Hosting.Security;

/// <summary>Connections of our own to the ports of other members, beside Orleans's: they end with the handshake.</summary>
internal sealed class ClusterProbe(ClusterHandshake handshake, ClusterTls? tls)
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Throws <see cref="HandshakeException"/> unless a member of the cluster listens there.</summary>
    public async Task AskAsync(IPEndPoint endPoint, CancellationToken cancellationToken)
    {
        await using NetworkStream connection = await ConnectAsync(endPoint, cancellationToken);
        await using Stream stream = await SecureAsync(connection, cancellationToken);
        await handshake.InitiateAsync(new StreamPipe(stream), new Hello(PeerKind.Probe, 0), cancellationToken);
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

    /// <summary>Says which life of the first silo this one belongs to, and stays until the other end goes. Throws if nobody is there.</summary>
    public async Task WitnessAsync(IPEndPoint firstSilo, int life, CancellationToken cancellationToken)
    {
        await using NetworkStream connection = await ConnectAsync(firstSilo, cancellationToken);

        // A machine that went without a word is noticed, too.
        connection.Socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        connection.Socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 2);
        connection.Socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 1);
        connection.Socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
        await using Stream stream = await SecureAsync(connection, cancellationToken);
        StreamPipe pipe = new(stream);
        await handshake.InitiateAsync(pipe, new Hello(PeerKind.Witness, life), cancellationToken);
        await pipe.Input.ReadAsync(cancellationToken);
    }

    /// <summary>
    /// Listens for a while where the first silo of an embedded cluster is about to. True if a silo came that is a member of a cluster whose first silo was
    /// here before. Others are turned away without an answer, and try again.
    /// </summary>
    public async Task<bool> HearsMembersAsync(Socket listener, TimeSpan duration, CancellationToken cancellationToken)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        end.CancelAfter(duration);
        bool heard = false;
        List<Task> under = [];
        try
        {
            while (!heard)
            {
                Socket accepted = await listener.AcceptAsync(end.Token);
                under.Add(HearAsync(accepted));
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
        }

        await Task.WhenAll(under);
        return heard;

        async Task HearAsync(Socket accepted)
        {
            try
            {
                await using NetworkStream connection = new(accepted, ownsSocket: true);
                await using Stream stream = tls is null ? connection : await tls.AcceptAsync(connection, end.Token);
                if (await handshake.AcceptAsync(new StreamPipe(stream), hello => hello.FirstSiloLife != 0, end.Token) is not null)
                {
                    heard = true;
                    await end.CancelAsync();
                }
            }
            catch (Exception exception)
                when (exception is HandshakeException or OperationCanceledException or IOException or SocketException or AuthenticationException)
            {
                // No member.
            }
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
            throw new HandshakeException(exception.Message, mayRetry: true);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            socket.Dispose();
            throw new HandshakeException("no answer", mayRetry: true);
        }
    }

    private async Task<Stream> SecureAsync(NetworkStream connection, CancellationToken cancellationToken)
    {
        if (tls is null)
            return connection;
        try
        {
            return await tls.ConnectAsync(connection, cancellationToken);
        }
        catch (Exception exception) when (exception is AuthenticationException or IOException)
        {
            throw new HandshakeException($"TLS: {exception.Message}", mayRetry: exception is IOException);
        }
    }

    private sealed class StreamPipe(Stream stream) : IDuplexPipe
    {
        public PipeReader Input { get; } = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));

        public PipeWriter Output { get; } = PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true));
    }
}
