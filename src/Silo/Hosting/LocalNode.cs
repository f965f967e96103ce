using OrleansCache.Gateway;
using OrleansCache.Silo.Options;
using OrleansCache.Storage;

namespace OrleansCache.Silo.Hosting;

/// <summary>The single node: all partitions in this process.</summary>
internal sealed class LocalNode : INode
{
    private readonly ServeOptions _options;
    private readonly TimeProvider _time;
    private LocalRouter? _router;

    public LocalNode(ServeOptions options, TimeProvider time)
    {
        _options = options;
        _time = time;
    }

    public IPartitionRouter Router => _router ?? throw new InvalidOperationException("The node has not been started.");

    public string Description => StoreSetup.Describe(_options);

    public Task<NodeFailure> Failure { get; } = new TaskCompletionSource<NodeFailure>().Task;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            _router = new LocalRouter(StoreSetup.Options(_options), _time, StoreSetup.Events(_options), restoreProgress: MemoryFileLines.WriteProgress);
        }
        catch (MemoryFileException exception)
        {
            throw new StartException(ExitCode.OperatingSystem, exception.Message, exception);
        }
        catch (InsufficientMemoryException exception)
        {
            throw StoreSetup.NoMemory(_options, exception);
        }

        MemoryFileLines.Write(_options.MemoryFilePath, _router.Partitions.MemoryFileRefusal, _router.Restored);
        return Task.CompletedTask;
    }

    public string? NotReady() => _router is null ? "starting" : null;

    public void Publish(GatewayServer gateway)
    {
    }

    public string? BeginDraining() => "a single node has no other to hand its items to";

    public Task DrainAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public ValueTask DisposeAsync()
    {
        _router?.Dispose();
        return ValueTask.CompletedTask;
    }
}
