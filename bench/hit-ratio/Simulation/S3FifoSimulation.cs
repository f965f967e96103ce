namespace OrleansCache.HitRatio.Simulation;

/// <summary>
/// S3-FIFO (Yang et al., SOSP 2023, algorithm 1), with sizes in bytes. New items enter a small FIFO queue of 10% of the capacity. What leaves
/// it goes on to the main queue if it was hit more than once, else to a ghost queue that keeps the key without the value, 90% of the capacity
/// by the bytes that its items had. A miss whose key is in the ghost queue enters the main queue. The main queue is FIFO with reinsertion: an
/// item whose counter (2 bits, one more for each hit) is not zero goes round once more with one less.
/// </summary>
public sealed class S3FifoSimulation : ICacheSimulation
{
    private const double SmallShare = 0.1;
    private const byte HitsMax = 3;
    private const byte HitsToMain = 2;

    private readonly int[] _itemBytes;
    private readonly long _capacityBytes;
    private readonly long _smallBytes;
    private readonly KeyQueue _small;
    private readonly KeyQueue _main;
    private readonly KeyQueue _ghost;
    private readonly Place[] _places;
    private readonly byte[] _hits;

    public S3FifoSimulation(int[] itemBytes, long capacityBytes)
    {
        _itemBytes = itemBytes;
        _capacityBytes = capacityBytes;
        _smallBytes = (long)(capacityBytes * SmallShare);
        var links = new KeyLinks(itemBytes.Length);
        _small = new KeyQueue(links, itemBytes);
        _main = new KeyQueue(links, itemBytes);
        _ghost = new KeyQueue(links, itemBytes);
        _places = new Place[itemBytes.Length];
        _hits = new byte[itemBytes.Length];
    }

    private enum Place : byte
    {
        Nowhere,
        Small,
        Main,
        Ghost,
    }

    public long Bytes => _small.Bytes + _main.Bytes;

    public bool Access(int position, int key)
    {
        if (_places[key] is Place.Small or Place.Main)
        {
            _hits[key] = (byte)Math.Min(_hits[key] + 1, HitsMax);
            return true;
        }

        if (_itemBytes[key] > _capacityBytes)
            return false;
        bool wasGhost = _places[key] == Place.Ghost;
        if (wasGhost)
            _ghost.Remove(key);
        _places[key] = Place.Nowhere;
        while (Bytes + _itemBytes[key] > _capacityBytes)
            Evict();
        _hits[key] = 0;
        Put(key, wasGhost ? Place.Main : Place.Small);
        return false;
    }

    private void Evict()
    {
        if (_small.Bytes >= _smallBytes && _small.Count > 0 || _main.Count == 0)
            EvictFromSmall();
        else
            EvictFromMain();
    }

    private void EvictFromSmall()
    {
        int key = _small.RemoveOldest();
        if (_hits[key] >= HitsToMain)
        {
            _hits[key] = 0;
            Put(key, Place.Main);
            return;
        }

        Put(key, Place.Ghost);
        while (_ghost.Bytes > _capacityBytes - _smallBytes)
            _places[_ghost.RemoveOldest()] = Place.Nowhere;
    }

    private void EvictFromMain()
    {
        int key = _main.RemoveOldest();
        while (_hits[key] > 0)
        {
            _hits[key]--;
            _main.Add(key);
            key = _main.RemoveOldest();
        }

        _places[key] = Place.Nowhere;
    }

    private void Put(int key, Place place)
    {
        _places[key] = place;
        KeyQueue queue = place switch { Place.Small => _small, Place.Main => _main, _ => _ghost };
        queue.Add(key);
    }
}
