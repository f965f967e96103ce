namespace OrleansCache.Gateway.Tls;

/// <summary>
/// Bounds the handshakes of a gateway: <see cref="Limits.TlsHandshakesMax"/> are under way at a time, and as many compute as there are processors.
/// When all places are taken, the client that has kept silent for longest loses its place if that is longer than <see cref="Limits.TlsSilentMillisecondsMin"/>;
/// until one does, accepting pauses. So neither clients that connect and say nothing nor a crowd that comes at once can keep others out for long.
/// </summary>
internal sealed class TlsHandshakes(SemaphoreSlim places, SemaphoreSlim processors)
{
    private const int RetryMilliseconds = 50;

    private readonly HashSet<HandshakeStream> _pending = [];

    public SemaphoreSlim Processors => processors;

    public int Pending
    {
        get
        {
            lock (_pending)
                return _pending.Count;
        }
    }

    // The semaphores are never disposed of: handshakes that end late give their places back to them, and without wait handles they hold nothing.
    public static TlsHandshakes Create() => new(new SemaphoreSlim(Limits.TlsHandshakesMax), new SemaphoreSlim(Environment.ProcessorCount));

    /// <summary>Waits for a place. Every place that is taken is given back by <see cref="Leave"/>.</summary>
    public async Task EnterAsync(HandshakeStream handshake)
    {
        while (!await places.WaitAsync(0).ConfigureAwait(false))
        {
            CutMostSilent();
            if (await places.WaitAsync(RetryMilliseconds).ConfigureAwait(false))
                break;
        }

        lock (_pending)
            _pending.Add(handshake);
    }

    public void Leave(HandshakeStream handshake)
    {
        lock (_pending)
        {
            if (!_pending.Remove(handshake))
                return;
        }

        places.Release();
    }

    public void CutAll()
    {
        HandshakeStream[] pending;
        lock (_pending)
            pending = [.. _pending];
        foreach (HandshakeStream handshake in pending)
            handshake.Cut();
    }

    private void CutMostSilent()
    {
        long now = Environment.TickCount64;
        HandshakeStream? silent = null;
        lock (_pending)
        {
            long longest = Limits.TlsSilentMillisecondsMin - 1;
            foreach (HandshakeStream handshake in _pending)
            {
                long since = handshake.SilentMilliseconds(now);
                if (since <= longest)
                    continue;
                longest = since;
                silent = handshake;
            }
        }

        silent?.Cut();
    }
}
