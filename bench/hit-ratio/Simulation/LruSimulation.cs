namespace OrleansCache.HitRatio.Simulation;

/// <summary>Evicts the item that was used longest ago, until the new one fits.</summary>
public sealed class LruSimulation(int[] itemBytes, long capacityBytes) : ICacheSimulation
{
    private readonly KeyQueue _queue = new(new KeyLinks(itemBytes.Length), itemBytes);
    private readonly bool[] _isStored = new bool[itemBytes.Length];

    public long Bytes => _queue.Bytes;

    public bool Access(int position, int key)
    {
        if (_isStored[key])
        {
            _queue.Remove(key);
            _queue.Add(key);
            return true;
        }

        if (itemBytes[key] > capacityBytes)
            return false;
        while (_queue.Bytes + itemBytes[key] > capacityBytes)
            _isStored[_queue.RemoveOldest()] = false;
        _queue.Add(key);
        _isStored[key] = true;
        return false;
    }
}
