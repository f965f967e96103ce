using OrleansCache.Silo.Options;
using OrleansCache.Storage;

namespace OrleansCache.Silo.Hosting;

/// <summary>The single node: all partitions in this process.</summary>
internal sealed class LocalNode : INode
{
    private readonly ServeOptions _options;
    private LocalRouter? _router;
    private Reclaimer? _reclaimer;

    public LocalNode(ServeOptions options) => _options = options;

    public IPartitionRouter Router => _router ?? throw new InvalidOperationException("The node has not been started.");

    public string Description => StoreSetup.Describe(_options);

    public Task<string> Failure { get; } = new TaskCompletionSource<string>().Task;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _router = new LocalRouter(StoreSetup.Options(_options));
        _reclaimer = new Reclaimer(_router.Partitions);
        return Task.CompletedTask;
    }

    public Task DrainAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (_reclaimer is not null)
            await _reclaimer.DisposeAsync();
        _router?.Dispose();
    }
}
