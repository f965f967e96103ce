using System.Net.Sockets;

namespace OrleansCache.Gateway.Tls;

/// <summary>
/// The socket below a TLS connection. While the handshake lasts, it divides what the client is waited for from what the processor is needed for: the stretch
/// between a read that brought bytes and the next wait needs one of the <see cref="TlsHandshakes"/>' processor places, and a wait holds none. So a thousand
/// clients that shake hands at once never queue more work in front of the established connections than there are processors, and one that says nothing costs a
/// socket. Afterwards it only passes on.
/// </summary>
internal sealed class HandshakeStream(Socket socket, TlsHandshakes handshakes) : Stream
{
    private const byte HandshakeRecord = 22;

    private readonly NetworkStream _inner = new(socket, ownsSocket: true);
    private bool _isOver;
    private bool _holdsProcessor;
    private bool _hasBegun;
    private long _written;
    private long _writtenAtLastWait;
    private long _waitsSinceMilliseconds;

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>The client spoke first, and it was not TLS.</summary>
    public bool IsNotTls { get; private set; }

    /// <summary>For how long the client has been waited for; 0 if it is not waited for.</summary>
    public long SilentMilliseconds(long nowMilliseconds)
    {
        long since = Volatile.Read(ref _waitsSinceMilliseconds);
        return since == 0 ? 0 : nowMilliseconds - since;
    }

    /// <summary>
    /// The handshake has succeeded. Tells how much the server had said when it last waited for the client: a certificate must have been part of it unless a
    /// former session was taken up.
    /// </summary>
    public long End()
    {
        _isOver = true;
        ReleaseProcessor();
        return _writtenAtLastWait;
    }

    /// <summary>Gives up; from any thread.</summary>
    public void Cut() => socket.Dispose();

    /// <summary>The handshake has failed.</summary>
    public void Fail()
    {
        ReleaseProcessor();
        socket.Dispose();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _isOver ? _inner.ReadAsync(buffer, cancellationToken) : ReadHandshakeAsync(buffer, cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_isOver)
            return _inner.WriteAsync(buffer, cancellationToken);
        _written += buffer.Length;
        return _inner.WriteAsync(buffer, cancellationToken);
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => _inner.Read(buffer, offset, count);

    public override void Write(byte[] buffer, int offset, int count) => _inner.Write(buffer, offset, count);

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _inner.Dispose();
        base.Dispose(disposing);
    }

    private async ValueTask<int> ReadHandshakeAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ReleaseProcessor();
        _writtenAtLastWait = _written;
        Volatile.Write(ref _waitsSinceMilliseconds, Math.Max(1, Environment.TickCount64));
        int count = await _inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
        Volatile.Write(ref _waitsSinceMilliseconds, 0);
        if (count > 0 && !_hasBegun)
        {
            // TLS's header has five bytes: somebody who speaks something shorter would be waited for in vain.
            _hasBegun = true;
            IsNotTls = buffer.Span[0] != HandshakeRecord;
            if (IsNotTls)
                throw new IOException("the client does not speak TLS");
        }

        await handshakes.Processors.WaitAsync(cancellationToken).ConfigureAwait(false);
        _holdsProcessor = true;
        return count;
    }

    private void ReleaseProcessor()
    {
        if (!_holdsProcessor)
            return;
        _holdsProcessor = false;
        handshakes.Processors.Release();
    }
}
