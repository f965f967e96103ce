namespace OrleansCache.Gateway.Tls;

/// <summary>What `stats` tells of TLS. Counted from any thread.</summary>
internal sealed class TlsCounters
{
    private long _handshakeErrors;
    private long _protocolErrors;
    private long _newSessions;

    public long HandshakeErrors => Interlocked.Read(ref _handshakeErrors);
    public long ProtocolErrors => Interlocked.Read(ref _protocolErrors);

    /// <summary>Handshakes that took up no former session.</summary>
    public long NewSessions => Interlocked.Read(ref _newSessions);

    public void CountHandshakeError() => Interlocked.Increment(ref _handshakeErrors);

    public void CountProtocolError() => Interlocked.Increment(ref _protocolErrors);

    public void CountNewSession() => Interlocked.Increment(ref _newSessions);

    public void Reset()
    {
        Interlocked.Exchange(ref _handshakeErrors, 0);
        Interlocked.Exchange(ref _protocolErrors, 0);
        Interlocked.Exchange(ref _newSessions, 0);
    }
}
