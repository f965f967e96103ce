namespace OrleansCache.Ownership.Tests.Simulation;

// The network.
internal sealed partial class SimulatedCluster
{
    /// <summary>A message is on its way no longer than this.</summary>
    private const int DelayMillisecondsMax = 8_000;

    private readonly Dictionary<(SiloId From, SiloId To), long> _cutUntil = [];
    private readonly Dictionary<SiloId, long> _slowUntil = [];

    /// <summary>How bad the network is: 0 not at all.</summary>
    public double Loss { get; set; }

    /// <summary>Milliseconds that a message takes if nothing is wrong.</summary>
    public (int Min, int Max) Latency { get; set; } = (1, 15);

    /// <summary>Messages of control and replication that have arrived.</summary>
    public long MessagesDelivered { get; private set; }

    /// <summary>For a while nothing from one silo of the seed's choice arrives at another; what goes the other way does.</summary>
    public void Cut(int milliseconds)
    {
        if (_active.Count < 2)
            return;
        SiloId from = _active[_random.Next(_active.Count)];
        SiloId to = _active[_random.Next(_active.Count)];
        _cutUntil[(from, to)] = Now + milliseconds;
    }

    /// <summary>For a while everything from or to a silo of the seed's choice takes long.</summary>
    public void Slow(int milliseconds)
    {
        if (_active.Count > 0)
            _slowUntil[_active[_random.Next(_active.Count)]] = Now + milliseconds;
    }

    internal bool IsLossy() => Loss > 0 && _random.NextDouble() < Loss;

    /// <summary>Carries a message to a silo.</summary>
    internal void Send(SimulatedNode from, SiloId target, SimulatedTraffic traffic, Action<SimulatedNode> deliver)
    {
        if (IsLossy() || (target != from.Id && _cutUntil.GetValueOrDefault((from.Id, target)) > Now))
            return;
        int copies = traffic < SimulatedTraffic.Batches && IsLossy() ? 2 : 1;
        for (int copy = 0; copy < copies; copy++)
        {
            int delay = IsLossy() ? _random.Next(1, DelayMillisecondsMax / 2) : _random.Next(Latency.Min, Latency.Max);
            if (IsSlow(from.Id) || IsSlow(target))
                delay += _random.Next(20, 400);
            At(delay, () =>
            {
                if (!_nodes.TryGetValue(target, out SimulatedNode? node) || !node.IsRunning)
                    return;
                MessagesDelivered += traffic < SimulatedTraffic.Batches ? 1 : 0;
                deliver(node);
            });
        }
    }

    private bool IsSlow(SiloId silo) => _slowUntil.Count > 0 && _slowUntil.GetValueOrDefault(silo) > Now;
}
