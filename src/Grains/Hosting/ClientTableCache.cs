using System.Net;
using Microsoft.Extensions.Logging;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

/// <summary>The table as a gateway without a silo sees it: asked for each second, and soon after somebody has found it stale.</summary>
internal sealed partial class ClientTableCache(IGrainFactory grains, TimeProvider time, ILogger<ClientTableCache> logger, GatewayDirectory? gateways = null)
    : ITableCache, IAsyncDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    /// <summary>However often it is asked for, the table is not fetched more often than this.</summary>
    private static readonly TimeSpan RefreshIntervalMin = TimeSpan.FromMilliseconds(20);

    private readonly SemaphoreSlim _wanted = new(0, 1);
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<string> _failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile PartitionTable _table = PartitionTable.Unassigned(0);
    private Task _loop = Task.CompletedTask;
    private long _learnedAt;
    private bool _disposed;

    public event Action<PartitionTable>? Changed;

    public PartitionTable Current => _table;

    public SiloId LocalSilo => default;

    /// <summary>Ends, with the reason, if this gateway cannot serve the cluster any more.</summary>
    public Task<string> Failure => _failure.Task;

    /// <summary>Fetches the first table, with the seed under which keys are hashed, and starts to follow it.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        while (_table.PartitionCount == 0 || _table.AssignedCount == 0)
        {
            await FetchAsync().WaitAsync(cancellationToken);
            if (_table.AssignedCount == 0)
                await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancellationToken);
        }

        _loop = Task.Run(LoopAsync, CancellationToken.None);
    }

    public void RequestRefresh()
    {
        try
        {
            if (_wanted.CurrentCount == 0)
                _wanted.Release();
        }
        catch (SemaphoreFullException)
        {
            // Somebody else has just asked.
        }
    }

    public async ValueTask DisposeAsync()
    {
        // The host disposes of it once more.
        if (_disposed)
            return;
        _disposed = true;
        await _stop.CancelAsync();

        // A call that is under way ends by its own time-out; nobody waits for it.
        await Task.WhenAny(_loop, Task.Delay(TimeSpan.FromMilliseconds(500), time));
        _stop.Dispose();
        _wanted.Dispose();
    }

    private async Task LoopAsync()
    {
        try
        {
            while (true)
            {
                await _wanted.WaitAsync(PollInterval, _stop.Token);
                await FetchAsync();
                await LearnGatewaysAsync();
                await Task.Delay(RefreshIntervalMin, time, _stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task FetchAsync()
    {
        try
        {
            PartitionTable known = _table;
            ulong fingerprint = known.HashSeed.IsNone ? 0 : known.Hasher.Fingerprint;
            ControlMessage? answer = await grains.GetGrain<ITableGrain>(0).GetAsync(known.Version.Term, known.Version.Number, fingerprint);
            if (answer is null || !PartitionTable.TryDecode(answer.Payload.Span, out PartitionTable? table))
                return;
            if (table.Version <= known.Version && table.HashSeed == known.HashSeed)
                return;
            if (known.PartitionCount != 0 && table.PartitionCount != known.PartitionCount)
            {
                _failure.TrySetResult(
                    $"the cluster has begun anew, with {table.PartitionCount} partitions instead of {known.PartitionCount}; start this gateway again");
                return;
            }

            _table = table;
            Changed?.Invoke(table);
        }
        catch (Exception exception)
        {
            LogFetchFailed(logger, exception);
        }
    }

    /// <summary>With --join: the cluster says where else it can be reached.</summary>
    private async Task LearnGatewaysAsync()
    {
        if (gateways is null || time.GetElapsedTime(_learnedAt) < GatewayDirectory.RefreshInterval)
            return;
        _learnedAt = time.GetTimestamp();
        try
        {
            ControlMessage answer = await grains.GetGrain<IClusterGrain>(0).ReadSilosAsync();
            if (SiloList.TryDecode(answer.Payload.Span, out SiloList? silos))
                gateways.Learn(silos.Silos.Select(silo => silo.ReadPortForGateways()).OfType<IPEndPoint>());
        }
        catch (Exception exception)
        {
            LogFetchFailed(logger, exception);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The partition table could not be fetched; it will be asked for again")]
    private static partial void LogFetchFailed(ILogger logger, Exception exception);
}
