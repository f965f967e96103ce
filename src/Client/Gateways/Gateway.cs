namespace OrleansCache.Client.Gateways;

/// <summary>What a pool knows of one gateway. Changed under the pool's lock only.</summary>
internal sealed class Gateway(GatewayEndPoint endPoint, bool isConfigured)
{
    public GatewayEndPoint EndPoint { get; } = endPoint;

    /// <summary>From the options; else from the cluster's list.</summary>
    public bool IsConfigured { get; } = isConfigured;

    /// <summary>On the cluster's list, or there is no list.</summary>
    public bool IsListed { get; set; } = true;

    /// <summary>Connections to it that serve or are being made.</summary>
    public int Connections { get; set; }

    /// <summary>Attempts that have failed since the last one that did not.</summary>
    public int Failures { get; private set; }

    /// <summary>Not tried again before, by the clock's timestamps.</summary>
    public long RetryAt { get; private set; }

    /// <summary>
    /// It may be tried at once again. Its failures are forgotten when it has served for a while: one that takes connections only to drop them rests longer
    /// and longer.
    /// </summary>
    public void OnConnected() => RetryAt = 0;

    public void OnServedLong() => Failures = 0;

    /// <summary>Waits longer after each failure, and not everybody equally long.</summary>
    public TimeSpan OnFailed(OrleansCacheOptions options, TimeProvider time)
    {
        double factor = Math.Pow(2, Math.Min(Failures, 30));
        Failures++;
        double milliseconds = Math.Min(options.ReconnectDelayMin.TotalMilliseconds * factor, options.ReconnectDelayMax.TotalMilliseconds);
        TimeSpan delay = TimeSpan.FromMilliseconds(milliseconds * (0.75 + (0.25 * Random.Shared.NextDouble())));
        RetryAt = time.GetTimestamp() + (long)(delay.TotalSeconds * time.TimestampFrequency);
        return delay;
    }
}
