using OrleansCache.Gateway.Datagrams;

namespace OrleansCache.Gateway.Transports;

/// <summary>A transport whose connections live on I/O loops: checks for idle connections, and the order of its end.</summary>
internal abstract class LoopTransport(GatewayShared shared) : GatewayTransport
{
    private ITimer? _idleTimer;
    private volatile bool _isAccepting;
    private int _stopped;

    public GatewayShared Shared { get; } = shared;

    /// <summary>From its start until it is told to stop accepting.</summary>
    public bool IsAccepting => _isAccepting;

    /// <summary>Empty before the start.</summary>
    protected abstract IReadOnlyList<IGatewayLoop> Loops { get; }

    /// <summary>The UDP sockets, as the loops see them.</summary>
    protected abstract IReadOnlyList<DatagramPort> Ports { get; }

    public override async Task StopAcceptingAsync()
    {
        if (!_isAccepting)
            return;
        _isAccepting = false;
        await CloseListenersAsync().ConfigureAwait(false);
    }

    public override async Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _stopped, 1) != 0)
            return;
        await StopAcceptingAsync().ConfigureAwait(false);
        if (_idleTimer is { } timer)
            await timer.DisposeAsync().ConfigureAwait(false);
        foreach (IGatewayLoop loop in Loops)
            loop.Post(loop.Finish);
        foreach (DatagramPort port in Ports)
            port.Loop.Queue.Post(new ActionItem(port.Finish));
        try
        {
            await Task.WhenAll([.. Loops.Select(static l => l.Drained), .. Ports.Select(static p => p.Drained)])
                .WaitAsync(graceTime, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is TimeoutException or OperationCanceledException)
        {
            // What is left is cut.
        }

        foreach (IGatewayLoop loop in Loops)
            loop.Post(loop.Stop);
        await Task.WhenAll(Loops.Select(static l => l.Ended)).ConfigureAwait(false);
    }

    public override async ValueTask DisposeAsync() => await StopAsync(TimeSpan.Zero, CancellationToken.None).ConfigureAwait(false);

    protected abstract Task CloseListenersAsync();

    /// <summary>Call before the first connection can come.</summary>
    protected void BeginAccepting()
    {
        _isAccepting = true;
        int idleTimeoutSeconds = Shared.Options.IdleTimeoutSeconds;
        if (idleTimeoutSeconds > 0)
            _idleTimer = Shared.TimeProvider.CreateTimer(_ => CheckIdle(idleTimeoutSeconds), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    private void CheckIdle(int idleTimeoutSeconds)
    {
        foreach (IGatewayLoop loop in Loops)
            loop.QueueIdleCheck(idleTimeoutSeconds);
    }
}

/// <summary>What a transport's end and its timer ask of a loop.</summary>
internal interface IGatewayLoop
{
    /// <summary>Completes when the loop, told to finish, has no connection left.</summary>
    Task Drained { get; }

    /// <summary>Completes when the loop, told to stop, is done.</summary>
    Task Ended { get; }

    void Post(Action work);

    /// <summary>On the loop: ends every connection as soon as what it has asked for is answered.</summary>
    void Finish();

    /// <summary>On the loop: cuts every connection.</summary>
    void Stop();

    /// <summary>From any thread.</summary>
    void QueueIdleCheck(int idleTimeoutSeconds);
}
