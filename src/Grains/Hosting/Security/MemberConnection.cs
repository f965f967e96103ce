using System.IO.Pipelines;
using System.Net.Sockets;

namespace OrleansCache.Grains.Hosting.Security;

/// <summary>A connection of our own between two members, beside Orleans's; the handshake is done, or what is done over it now.</summary>
internal sealed class MemberConnection : IDuplexPipe, IAsyncDisposable
{
    private readonly NetworkStream _connection;
    private readonly Stream _stream;

    public MemberConnection(NetworkStream connection, Stream stream)
    {
        _connection = connection;
        _stream = stream;
        Input = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));
        Output = PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true));
    }

    public PipeReader Input { get; }

    public PipeWriter Output { get; }

    public string Peer
    {
        get
        {
            try
            {
                return _connection.Socket.RemoteEndPoint?.ToString() ?? "somewhere";
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                return "somewhere";
            }
        }
    }

    /// <summary>A machine that went without a word is noticed.</summary>
    public void KeepAlive()
    {
        Socket socket = _connection.Socket;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 2);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 1);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
    }

    /// <summary>At once, whatever is under way.</summary>
    public void Abort() => _connection.Close();

    public async ValueTask DisposeAsync()
    {
        try
        {
            await _stream.DisposeAsync();
        }
        catch (Exception exception) when (exception is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // It was gone already.
        }

        await _connection.DisposeAsync();
    }
}
