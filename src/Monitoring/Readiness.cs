namespace OrleansCache.Monitoring;

/// <summary>Whether whoever spreads the load should send it to this process.</summary>
internal sealed class Readiness
{
    private volatile Func<string?>? _notReady;
    private volatile bool _isStopping;

    /// <summary>Null: ready; otherwise why not.</summary>
    public string? NotReady => _isStopping ? "draining: the process has been asked to stop"
        : _notReady is { } ask ? ask()
        : "starting";

    public void Attach(Func<string?> notReady) => _notReady = notReady;

    public void BeginStop() => _isStopping = true;
}
