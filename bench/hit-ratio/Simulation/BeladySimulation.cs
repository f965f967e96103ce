namespace OrleansCache.HitRatio.Simulation;

/// <summary>
/// Belady's MIN by bytes: knows the whole trace and evicts the item whose next request is farthest away until the rest fits; that may be the
/// new item itself. What is never asked for again is not stored. With items of one size no policy hits more often; with mixed sizes the
/// optimum is NP-hard, and this is a good estimate of it but no bound (a large item that comes back soon may cost several small ones).
/// </summary>
public sealed class BeladySimulation : ICacheSimulation
{
    private const int Never = int.MaxValue;

    private readonly int[] _itemBytes;
    private readonly long _capacityBytes;
    private readonly int[] _nextPositions;
    private readonly int[] _nextOfStored;
    private readonly bool[] _isStored;

    /// <summary>Farthest first. An entry is stale if the key is not stored or has been asked for since; it is skipped when it comes up.</summary>
    private readonly PriorityQueue<int, int> _farthest = new();

    public BeladySimulation(int[] requests, int[] itemBytes, long capacityBytes)
    {
        _itemBytes = itemBytes;
        _capacityBytes = capacityBytes;
        _isStored = new bool[itemBytes.Length];
        _nextOfStored = new int[itemBytes.Length];
        _nextPositions = new int[requests.Length];
        int[] seen = new int[itemBytes.Length];
        Array.Fill(seen, Never);
        for (int position = requests.Length - 1; position >= 0; position--)
        {
            _nextPositions[position] = seen[requests[position]];
            seen[requests[position]] = position;
        }
    }

    public long Bytes { get; private set; }

    public bool Access(int position, int key)
    {
        bool isHit = _isStored[key];
        int next = _nextPositions[position];
        if (next == Never)
        {
            if (isHit)
                Remove(key);
            return isHit;
        }

        if (!isHit)
        {
            if (_itemBytes[key] > _capacityBytes)
                return false;
            _isStored[key] = true;
            Bytes += _itemBytes[key];
        }

        _nextOfStored[key] = next;
        _farthest.Enqueue(key, -next);
        while (Bytes > _capacityBytes)
        {
            _farthest.TryDequeue(out int victim, out int negatedNext);
            if (_isStored[victim] && _nextOfStored[victim] == -negatedNext)
                Remove(victim);
        }

        return isHit;
    }

    private void Remove(int key)
    {
        _isStored[key] = false;
        Bytes -= _itemBytes[key];
    }
}
