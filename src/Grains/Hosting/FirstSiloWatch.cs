using System.Net;
using OrleansCache.Grains.Hosting.Security;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// With embedded clustering the membership lives in the first silo's memory. If that silo is started again at its address while others of its cluster
/// live, it must not found a second, empty cluster. So every silo that has joined keeps a connection to the first one's address, and knocks there while it
/// has none: a first silo that starts hears it (<see cref="ClusterProbe.HearsMembersAsync"/>) and one that already serves learns of it (<see
/// cref="ConnectionGuard.OtherClusterFound"/>).
/// </summary>
internal sealed class FirstSiloWatch : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;
    private bool _disposed;

    public FirstSiloWatch(ClusterProbe probe, IPEndPoint firstSilo, int life)
    {
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        _loop = Task.Run(() => LoopAsync(probe, firstSilo, life));
    }

    public static TimeSpan KnockInterval { get; } = TimeSpan.FromMilliseconds(150);

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
    }

    private async Task LoopAsync(ClusterProbe probe, IPEndPoint firstSilo, int life)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await probe.WitnessAsync(firstSilo, life, _stop.Token);
            }
            catch (Exception exception) when (exception is HandshakeException or IOException or OperationCanceledException)
            {
                // Nobody there, or no more; the next knock tells.
            }

            await Task.Delay(KnockInterval, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
