namespace OrleansCache.HitRatio.Simulation;

/// <summary>
/// W-TinyLFU (Einziger, Friedman, Manes, ACM TOS 2017) with sizes in bytes: an LRU window of 1%, behind it a segmented LRU (probation, and
/// 80% protected). What leaves the window is admitted if its frequency is above that of the items that it would push out, one by one.
/// Frequencies are exact counters up to 15 that are halved after ten times as many requests as items are stored (an ideal sketch). Non-goal:
/// the adaptive window of Caffeine.
/// </summary>
public sealed class WTinyLfuSimulation : ICacheSimulation
{
    private const double WindowShare = 0.01;
    private const double ProtectedShare = 0.8;
    private const byte FrequencyMax = 15;
    private const int SampleFactor = 10;

    private readonly int[] _itemBytes;
    private readonly long _capacityBytes;
    private readonly long _windowBytes;
    private readonly long _mainBytes;
    private readonly long _protectedBytes;
    private readonly KeyQueue _window;
    private readonly KeyQueue _probation;
    private readonly KeyQueue _protected;
    private readonly Place[] _places;
    private readonly byte[] _frequencies;
    private long _countedRequests;

    public WTinyLfuSimulation(int[] itemBytes, long capacityBytes)
    {
        _itemBytes = itemBytes;
        _capacityBytes = capacityBytes;
        _windowBytes = (long)(capacityBytes * WindowShare);
        _mainBytes = capacityBytes - _windowBytes;
        _protectedBytes = (long)(_mainBytes * ProtectedShare);
        var links = new KeyLinks(itemBytes.Length);
        _window = new KeyQueue(links, itemBytes);
        _probation = new KeyQueue(links, itemBytes);
        _protected = new KeyQueue(links, itemBytes);
        _places = new Place[itemBytes.Length];
        _frequencies = new byte[itemBytes.Length];
    }

    private enum Place : byte
    {
        Nowhere,
        Window,
        Probation,
        Protected,
    }

    public long Bytes => _window.Bytes + _probation.Bytes + _protected.Bytes;

    public bool Access(int position, int key)
    {
        CountRequest(key);
        switch (_places[key])
        {
            case Place.Window:
                _window.Remove(key);
                _window.Add(key);
                return true;
            case Place.Protected:
                _protected.Remove(key);
                _protected.Add(key);
                return true;
            case Place.Probation:
                Promote(key);
                return true;
            default:
                if (_itemBytes[key] <= _capacityBytes)
                {
                    _window.Add(key);
                    _places[key] = Place.Window;
                    ShrinkWindow();
                }

                return false;
        }
    }

    private void Promote(int key)
    {
        _probation.Remove(key);
        _protected.Add(key);
        _places[key] = Place.Protected;
        while (_protected.Bytes > _protectedBytes)
        {
            int demoted = _protected.RemoveOldest();
            _probation.Add(demoted);
            _places[demoted] = Place.Probation;
        }
    }

    private void ShrinkWindow()
    {
        while (_window.Bytes > _windowBytes)
        {
            int candidate = _window.RemoveOldest();
            _places[candidate] = Place.Nowhere;
            if (Admit(candidate))
            {
                _probation.Add(candidate);
                _places[candidate] = Place.Probation;
            }
        }
    }

    /// <summary>Makes room for the candidate as long as it is asked for more often than what has to leave.</summary>
    private bool Admit(int candidate)
    {
        if (_itemBytes[candidate] > _mainBytes)
            return false;
        while (_probation.Bytes + _protected.Bytes + _itemBytes[candidate] > _mainBytes)
        {
            KeyQueue queue = _probation.Count > 0 ? _probation : _protected;
            if (_frequencies[candidate] <= _frequencies[queue.Oldest])
                return false;
            _places[queue.RemoveOldest()] = Place.Nowhere;
        }

        return true;
    }

    private void CountRequest(int key)
    {
        if (_frequencies[key] < FrequencyMax)
            _frequencies[key]++;
        int stored = _window.Count + _probation.Count + _protected.Count;
        if (++_countedRequests < SampleFactor * Math.Max(stored, 100L))
            return;
        for (int i = 0; i < _frequencies.Length; i++)
            _frequencies[i] /= 2;
        _countedRequests /= 2;
    }
}
