using System.Collections.Concurrent;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

/// <summary>The ways to other silos' runtimes, made once each: Orleans resolves the grain's type anew for each reference.</summary>
internal sealed class SiloGrains(IGrainFactory grains)
{
    private const int RememberedMax = 256;
    private readonly ConcurrentDictionary<SiloId, ISiloControlGrain> _silos = [];

    public ISiloControlGrain Of(SiloId silo)
    {
        if (_silos.TryGetValue(silo, out ISiloControlGrain? grain))
            return grain;
        if (_silos.Count >= RememberedMax)
            _silos.Clear();
        return _silos[silo] = grains.GetGrain<ISiloControlGrain>(silo.Text);
    }
}
