using System.Diagnostics;

namespace OrleansCache.Storage;

/// <summary>
/// Which items of a shard are pinned, and how often: the chunks of a pinned item stay as they are until its last pin is released.
/// Algorithm: an open-addressing table with linear probing from handle to count under a small lock of its own, because pins are released without the shard's
/// lock. An item that is unlinked while it is pinned becomes an orphan; its last release hands it to a list that the shard empties.
/// Goal: an item that was never pinned costs nothing. Non-goal: speed; only values of <see cref="Limits.PinValueBytesMin"/> and more are pinned.
/// </summary>
internal sealed class PinTable
{
    private const int CapacityMin = 16;
    private const int OrphanFlag = 1 << 30;

    private readonly Lock _lock = new();
    private uint[] _handles = new uint[CapacityMin];
    private int[] _counts = new int[CapacityMin];
    private int _used;
    private readonly Queue<uint> _released = [];
    private volatile bool _hasReleased;
    private volatile int _count;

    /// <summary>Items that are pinned. May be read without a lock, as a hint; under the shard's lock it can only fall meanwhile.</summary>
    public int Count => _count;

    /// <summary>Whether there are orphans to free.</summary>
    public bool HasReleased => _hasReleased;

    /// <summary>Pins an item once more; returns whether this is its first pin.</summary>
    public bool Pin(uint handle)
    {
        lock (_lock)
        {
            int slot = FindSlot(handle);
            if (_handles[slot] == handle)
            {
                _counts[slot]++;
                return false;
            }

            if ((_used + 1) * 2 > _handles.Length)
            {
                Grow();
                slot = FindSlot(handle);
            }

            _handles[slot] = handle;
            _counts[slot] = 1;
            _used++;
            _count = _used;
            return true;
        }
    }

    /// <summary>Releases a pin; returns whether it was the item's last.</summary>
    public bool Unpin(uint handle)
    {
        lock (_lock)
        {
            int slot = FindSlot(handle);
            if (_handles[slot] != handle)
                throw new InvalidOperationException("A value is released that is not pinned.");
            int count = --_counts[slot];
            if ((count & ~OrphanFlag) != 0)
                return false;
            Remove(slot);
            if ((count & OrphanFlag) != 0)
            {
                _released.Enqueue(handle);
                _hasReleased = true;
            }

            return true;
        }
    }

    /// <summary>Whether the item is pinned. Under the shard's lock a false stays false.</summary>
    public bool IsPinned(uint handle)
    {
        if (_count == 0)
            return false;
        lock (_lock)
        {
            return _handles[FindSlot(handle)] == handle;
        }
    }

    /// <summary>The item is unlinked: if it is pinned, its last release will hand it over; otherwise returns false.</summary>
    public bool TryOrphan(uint handle)
    {
        if (_count == 0)
            return false;
        lock (_lock)
        {
            int slot = FindSlot(handle);
            if (_handles[slot] != handle)
                return false;
            Debug.Assert((_counts[slot] & OrphanFlag) == 0, "an item is unlinked once");
            _counts[slot] |= OrphanFlag;
            return true;
        }
    }

    /// <summary>The next orphan whose last pin is gone.</summary>
    public bool TryTakeReleased(out uint handle)
    {
        lock (_lock)
        {
            bool found = _released.TryDequeue(out handle);
            _hasReleased = _released.Count != 0;
            return found;
        }
    }

    private int FindSlot(uint handle)
    {
        int mask = _handles.Length - 1;
        int slot = (int)((handle * 0x9E3779B1u) >> 7) & mask;
        while (_handles[slot] != 0 && _handles[slot] != handle)
            slot = (slot + 1) & mask;
        return slot;
    }

    /// <summary>Empties a slot and moves those behind it up, so that no search ends too early.</summary>
    private void Remove(int slot)
    {
        int mask = _handles.Length - 1;
        _handles[slot] = 0;
        _used--;
        _count = _used;
        for (int next = (slot + 1) & mask; _handles[next] != 0; next = (next + 1) & mask)
        {
            (uint handle, int count) = (_handles[next], _counts[next]);
            _handles[next] = 0;
            int place = FindSlot(handle);
            _handles[place] = handle;
            _counts[place] = count;
        }
    }

    private void Grow()
    {
        (uint[] handles, int[] counts) = (_handles, _counts);
        _handles = new uint[handles.Length * 2];
        _counts = new int[handles.Length * 2];
        for (int i = 0; i < handles.Length; i++)
        {
            if (handles[i] == 0)
                continue;
            int slot = FindSlot(handles[i]);
            _handles[slot] = handles[i];
            _counts[slot] = counts[i];
        }
    }
}
