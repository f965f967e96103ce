using OrleansCache.Client.Wire;

namespace OrleansCache.Client.Gateways;

// Making connections, and keeping them where they should be.
internal sealed partial class GatewayPool
{
    private async Task KeepConnectedAsync(Slot slot)
    {
        while (!_stop.IsCancellationRequested)
        {
            Gateway? gateway;
            TimeSpan rest;
            Task changed;
            lock (_lock)
            {
                gateway = ChooseGateway(out rest);
                if (gateway is not null)
                    gateway.Connections++;
                changed = _changed.Task;
            }

            if (gateway is null)
                await RestAsync(rest, changed).ConfigureAwait(false);
            else
                await ServeAsync(slot, gateway).ConfigureAwait(false);
        }
    }

    /// <summary>One connection of a slot, from the attempt to its end.</summary>
    private async Task ServeAsync(Slot slot, Gateway gateway)
    {
        Connection? connection = await TryConnectAsync(gateway).ConfigureAwait(false);
        if (connection is null)
            return;
        long connectedAt = _time.GetTimestamp();
        var leave = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Publish(slot, gateway, connection, leave);
        connection.Start();
        await Task.WhenAny(connection.Closed, leave.Task).ConfigureAwait(false);
        bool isOver = connection.Closed.IsCompleted;
        bool isLost = isOver && connection.Closed.Result is not null;
        lock (_lock)
        {
            if (!isOver)
                _retiring.Add(connection);
            slot.Current = null;
            slot.Gateway = null;
            slot.Leave = null;
            gateway.Connections--;
            if (isLost && !_isDisposed)
            {
                if (_time.GetElapsedTime(connectedAt) > _options.ReconnectDelayMax)
                    gateway.OnServedLong();
                gateway.OnFailed(_options, _time);
            }
        }

        if (!isOver)
            _ = RetireAsync(connection);
        if (isLost && !_isDisposed)
        {
            _metrics.OnConnectionLost();
            Log.Lost(_logger, gateway.EndPoint, connection.Closed.Result!);
            Wake();
        }
    }

    /// <summary>Lets the connection end when its replies are in.</summary>
    private async Task RetireAsync(Connection connection)
    {
        connection.Retire();
        await connection.Closed.ConfigureAwait(false);
        lock (_lock)
            _retiring.Remove(connection);
    }

    private async Task<Connection?> TryConnectAsync(Gateway gateway)
    {
        using var limit = new CancellationTokenSource(_options.ConnectTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _stop.Token);
        Exception failure;
        try
        {
            Stream stream = await _connector.ConnectAsync(gateway.EndPoint, both.Token).ConfigureAwait(false);
            lock (_lock)
                gateway.OnConnected();
            Log.Connected(_logger, gateway.EndPoint);
            return new Connection(stream, this, gateway.EndPoint, _options, _time);
        }
        catch (Exception exception)
        {
            failure = limit.IsCancellationRequested
                ? new TimeoutException($"{gateway.EndPoint} has not answered within {_options.ConnectTimeout.TotalSeconds:0.###} s.", exception) : exception;
        }

        OnConnectFailed(gateway, failure);
        return null;
    }

    private void OnConnectFailed(Gateway gateway, Exception failure)
    {
        Queue<WireOperation>? waiting = null;
        TimeSpan delay;
        bool isFirst, isDownNow = false;
        lock (_lock)
        {
            gateway.Connections--;
            isFirst = gateway.Failures == 0;
            delay = gateway.OnFailed(_options, _time);
            if (!_isDisposed && Choose() is null && _gateways.TrueForAll(other => other.Failures > 0))
            {
                isDownNow = _downBecause is null;
                _downBecause = failure;
                waiting = _waiting;
                _waiting = new Queue<WireOperation>();
            }
        }

        if (_stop.IsCancellationRequested)
            return;
        if (isFirst)
            Log.ConnectFailed(_logger, gateway.EndPoint, delay.TotalMilliseconds, failure);
        else
            Log.ConnectStillFails(_logger, gateway.EndPoint, delay.TotalMilliseconds, failure);
        if (isDownNow)
            Log.AllDown(_logger, failure);
        foreach (WireOperation operation in waiting ?? [])
        {
            OrleansCacheError error = failure is OrleansCacheException { Error: OrleansCacheError.LoginRefused }
                ? OrleansCacheError.LoginRefused : OrleansCacheError.Unavailable;
            Fail(operation, new OrleansCacheException(error, $"No gateway of the cache can be reached: {failure.Message}", failure));
            operation.Release();
        }
    }

    /// <summary>The connection serves, first what waited for one.</summary>
    private void Publish(Slot slot, Gateway gateway, Connection connection, TaskCompletionSource leave)
    {
        Queue<WireOperation> waiting;
        bool isDisposed;
        lock (_lock)
        {
            slot.Current = connection;
            slot.Gateway = gateway;
            slot.Leave = leave;
            _downBecause = null;
            waiting = _waiting;
            _waiting = new Queue<WireOperation>();
            isDisposed = _isDisposed;
        }

        foreach (WireOperation operation in waiting)
        {
            Submit(operation);
            operation.Release();
        }

        _firstUp.TrySetResult();
        if (isDisposed)
            connection.Close(null);
    }

    /// <summary>The gateway for a slot that has none; null, and how long to rest, if all of them are in their back-off.</summary>
    private Gateway? ChooseGateway(out TimeSpan rest)
    {
        long now = _time.GetTimestamp();
        Gateway? best = null;
        long earliest = long.MaxValue;

        // What is configured but not on the cluster's list is for when nothing on the list answers.
        bool listFails = _gateways.TrueForAll(gateway => !gateway.IsListed || gateway.Failures > 0);
        for (int i = 0; i < _gateways.Count; i++)
        {
            Gateway gateway = _gateways[(i + _firstGateway) % _gateways.Count];
            if (!gateway.IsListed && !listFails)
                continue;
            if (gateway.RetryAt > now)
                earliest = Math.Min(earliest, gateway.RetryAt);
            else if (best is null || gateway.Connections < best.Connections)
                best = gateway;
        }

        rest = best is not null ? TimeSpan.Zero : _time.GetElapsedTime(now, earliest);
        return best;
    }

    private async Task RestAsync(TimeSpan rest, Task changed)
    {
        // A delay of nothing would spin where the clock stands between two readings.
        TimeSpan delay = rest > TimeSpan.FromMilliseconds(1) ? rest : TimeSpan.FromMilliseconds(1);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        await Task.WhenAny(Task.Delay(delay, _time, end.Token), changed).ConfigureAwait(false);
        await end.CancelAsync().ConfigureAwait(false);
    }
}
