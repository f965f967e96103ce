using System.IO.Pipelines;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using OrleansCache.Gateway.Pipelines;

namespace OrleansCache.Gateway.Tls;

/// <summary>
/// An established TLS connection. A connection that waits for input holds no buffer: it waits with an empty read. Input is decrypted on the pool thread that
/// the socket woke, before the connection's loop sees it; output is encrypted on the loop, in records of up to the write buffer's size.
/// </summary>
internal sealed class TlsLink : PipelinesLink
{
    private const int ReadBufferBytes = 16 * 1024;

    private static readonly TimeSpan s_farewellTime = TimeSpan.FromSeconds(1);

    private readonly SslStream _stream;
    private readonly HandshakeStream _below;
    private readonly TlsCounters _counters;
    private volatile bool _isAborted;

    public TlsLink(SslStream stream, HandshakeStream below, TlsCounters counters, int writeBufferBytes)
    {
        _stream = stream;
        _below = below;
        _counters = counters;
        Input = PipeReader.Create(stream,
            new StreamPipeReaderOptions(bufferSize: ReadBufferBytes, minimumReadSize: 4096, leaveOpen: true, useZeroByteReads: true));
        Output = PipeWriter.Create(stream,
            new StreamPipeWriterOptions(minimumBufferSize: Math.Clamp(writeBufferBytes, 4096, Limits.TlsWriteBufferBytesMax), leaveOpen: true));
    }

    public override PipeReader Input { get; }

    public override PipeWriter Output { get; }

    public override void Abort()
    {
        _isAborted = true;
        _below.Cut();
    }

    public override async ValueTask CloseAsync()
    {
        if (!_isAborted)
        {
            try
            {
                await _stream.ShutdownAsync().WaitAsync(s_farewellTime).ConfigureAwait(false);
            }
            catch (Exception)
            {
                // The client is gone or does not read; the socket ends all the same.
            }
        }

        await _stream.DisposeAsync().ConfigureAwait(false);
    }

    public override bool IsUsualEnd(Exception failure)
    {
        // A broken record comes as an error inside the error; so does a reset, whose inner one is the socket's.
        if (!_isAborted && failure is IOException { InnerException: not null and not SocketException and not ObjectDisposedException }
            or AuthenticationException)
            _counters.CountProtocolError();
        return failure is IOException or OperationCanceledException or ObjectDisposedException or AuthenticationException or SocketException
            || (_isAborted && failure is InvalidOperationException);
    }
}
