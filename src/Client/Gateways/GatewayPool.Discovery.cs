using OrleansCache.Client.Entries;
using OrleansCache.Client.Wire;

namespace OrleansCache.Client.Gateways;

// Following the cluster: which gateways there are, and connections spread over them.
internal sealed partial class GatewayPool
{
    /// <summary>A gateway waits up to 2 s for silos that do not answer.</summary>
    private static readonly TimeSpan s_answerTimeout = TimeSpan.FromSeconds(3);

    private readonly TaskCompletionSource _firstUp = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _lookNow = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _listVersion = -1;

    private async Task FollowClusterAsync()
    {
        try
        {
            await _firstUp.Task.WaitAsync(_stop.Token).ConfigureAwait(false);
            while (true)
            {
                if (_options.Discover)
                    await DiscoverAsync().ConfigureAwait(false);
                Spread();
                Task lookNow;
                lock (_lock)
                {
                    if (_lookNow.Task.IsCompleted)
                        _lookNow = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    lookNow = _lookNow.Task;
                }

                using var end = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
                await Task.WhenAny(Task.Delay(_options.DiscoveryInterval, _time, end.Token), lookNow).ConfigureAwait(false);
                await end.CancelAsync().ConfigureAwait(false);
                _stop.Token.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
        catch (ObjectDisposedException) when (_isDisposed)
        {
        }
    }

    /// <summary>A gateway was lost: the list may have changed, and slots that rest may find something to do.</summary>
    private void Wake()
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _lookNow.TrySetResult();
        }

        changed.TrySetResult();
    }

    private async Task DiscoverAsync()
    {
        // Behind an operation that hangs it would hang as well: then the next one goes elsewhere.
        long dueAt = _time.GetTimestamp() + Math.Min(_timeoutTicks, (long)(s_answerTimeout.TotalSeconds * _time.TimestampFrequency));
        WireOperation operation = WireOperation.Rent(WireCommand.Discover, ValueUse.Array, null, dueAt);
        ValueTask<byte[]?> answer = operation.AsValue();
        Submit(operation);
        try
        {
            byte[]? body = await answer.ConfigureAwait(false);
            if (body is null || !GatewayListReader.TryRead(body, out long version, out List<GatewayEndPoint> found))
                throw new InvalidDataException("The list of gateways is not one.");
            if (Adopt(version, found))
                Log.Discovered(_logger, string.Join(", ", found), version);
        }
        catch (Exception exception) when (exception is not ObjectDisposedException)
        {
            Log.DiscoveryFailed(_logger, exception);
        }
    }

    /// <summary>Takes the list over; connections to what is not on it any more end when their replies are in. False if it is the list that is known.</summary>
    private bool Adopt(long version, List<GatewayEndPoint> found)
    {
        List<TaskCompletionSource> leaving = [];
        lock (_lock)
        {
            if (version == _listVersion)
                return false;
            _listVersion = version;
            List<Gateway> gateways = [];
            foreach (GatewayEndPoint endPoint in found.Distinct())
            {
                Gateway gateway = _gateways.Find(known => known.EndPoint == endPoint) ?? new Gateway(endPoint, isConfigured: false);
                gateway.IsListed = true;
                gateways.Add(gateway);
            }

            foreach (Gateway gateway in _gateways.Where(known => known.IsConfigured && !gateways.Contains(known)))
            {
                gateway.IsListed = false;
                gateways.Add(gateway);
            }

            _gateways = gateways;
            foreach (Slot slot in _slots)
            {
                if (slot is { Gateway: { } gateway, Leave: { } leave } && (!gateway.IsListed || !gateways.Contains(gateway)))
                    leaving.Add(leave);
            }
        }

        foreach (TaskCompletionSource leave in leaving)
            leave.TrySetResult();
        Wake();
        return true;
    }

    /// <summary>Where two connections share a gateway and another has none, one of them goes there: so load comes back to a gateway that was away.</summary>
    private void Spread()
    {
        TaskCompletionSource? leave = null;
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            if (!_gateways.Exists(gateway => gateway.IsListed && gateway.Connections == 0 && gateway.RetryAt <= now))
                return;
            Slot? crowded = Array.Find(_slots, slot => slot.Gateway is { Connections: > 1 });
            if (crowded is null)
                return;
            Log.MovesAway(_logger, crowded.Gateway!.EndPoint);
            leave = crowded.Leave;
        }

        leave?.TrySetResult();
    }
}
