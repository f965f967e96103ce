namespace OrleansCache.HitRatio.Simulation;

/// <summary>
/// SIEVE (Zhang et al., NSDI 2024): one queue in the order of insertion, a visited bit that a hit sets, and a hand that goes from the oldest
/// to the newest item, clears the bits that it finds and evicts the first item without one.
/// </summary>
public sealed class SieveSimulation(int[] itemBytes, long capacityBytes) : ICacheSimulation
{
    private readonly KeyQueue _queue = new(new KeyLinks(itemBytes.Length), itemBytes);
    private readonly bool[] _isStored = new bool[itemBytes.Length];
    private readonly bool[] _isVisited = new bool[itemBytes.Length];
    private int _hand = KeyLinks.None;

    public long Bytes => _queue.Bytes;

    public bool Access(int position, int key)
    {
        if (_isStored[key])
        {
            _isVisited[key] = true;
            return true;
        }

        if (itemBytes[key] > capacityBytes)
            return false;
        while (_queue.Bytes + itemBytes[key] > capacityBytes)
            Evict();
        _queue.Add(key);
        _isStored[key] = true;
        _isVisited[key] = false;
        return false;
    }

    private void Evict()
    {
        int key = _hand != KeyLinks.None ? _hand : _queue.Oldest;
        while (_isVisited[key])
        {
            _isVisited[key] = false;
            int newer = _queue.NewerThan(key);
            key = newer != KeyLinks.None ? newer : _queue.Oldest;
        }

        _hand = _queue.NewerThan(key);
        _queue.Remove(key);
        _isStored[key] = false;
    }
}
