namespace OrleansCache.Storage;

/// <summary>The queue of its class that holds an item. Stands in the item's word: never renumber.</summary>
internal enum QueueId : byte
{
    /// <summary>New items: a twentieth of the class, more where that proves too short.</summary>
    Small = 0,

    /// <summary>Items that were read while they were new, or that came back soon after they had been evicted.</summary>
    Main = 1,

    /// <summary>Items with a time to live of at most temp_ttl, if that is set.</summary>
    Temp = 2,
}

/// <summary>
/// The eviction order of one slab class in one shard: S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023).
/// Algorithm: new items enter the small queue. Eviction looks at the small queue's oldest item while the queue holds more than its share, otherwise at the main
/// queue's. One that was read meanwhile moves on to the main queue (from small), or back to the main queue's head with one read less to its name (from main);
/// one that was not is the victim. What a <see cref="GhostTable"/> remembers as evicted lately enters the main queue at once. Items with a short time to live
/// stand in a queue of their own and go first.
/// Goals: a read only counts up to three in the item's own header; keys that are read once pass through a twentieth of the memory.
/// Non-goal: exact recency.
/// </summary>
internal unsafe struct ClassQueues
{
    /// <summary>Items that one search may look at. The last one is taken whatever was read.</summary>
    private const int StepsMax = 128;

    /// <summary>Items that are being sent or copied that one search may meet before it gives up.</summary>
    private const int BusyMax = 64;

    public ItemQueue Small;
    public ItemQueue Main;
    public ItemQueue Temp;

    /// <summary>Bytes evicted from the small and from the main queue.</summary>
    public long SmallEvictedBytes;
    public long MainEvictedBytes;

    /// <summary>What the small queue's share is changed by, in hundredths of a percent of the class; see <see cref="Learn"/>.</summary>
    public int ShareChange;

    /// <summary>About the next victim; 0 if there is none.</summary>
    public readonly uint NextToLeave => Temp.Tail != 0 ? Temp.Tail : Small.Tail != 0 ? Small.Tail : Main.Tail;

    public readonly long Count => Small.Count + Main.Count + Temp.Count;

    /// <summary>
    /// An item has come back soon after it was evicted. From the small queue: that queue is too short, the item would have been read in it. From the main
    /// queue: that one is too short; such hits are rarer, so they weigh more. Sources of the idea: ARC (Megiddo, Modha: FAST 2003), and Cliffhanger.
    /// </summary>
    public void Learn(bool isFromMain, int smallPercent) => ShareChange = Math.Clamp(
        ShareChange + (isFromMain ? -ShareStepMain : ShareStepSmall), 0, Math.Max(0, (SharePercentMax - smallPercent) * 100));

    /// <summary>Items that the small queue may hold before it is the one that eviction looks at.</summary>
    public readonly long SmallCountMax(int smallPercent) => Math.Max(1, (Small.Count + Main.Count) * ((smallPercent * 100) + ShareChange) / 10_000);

    private const int ShareStepSmall = 2;
    private const int ShareStepMain = 8;
    private const int SharePercentMax = 80;

    /// <summary>Adds a new item to the queue that its word names.</summary>
    public void Add(in HandleSpace space, uint handle)
    {
        switch (space.At(handle)->Queue)
        {
            case QueueId.Small:
                Small.AddHead(in space, handle);
                break;
            case QueueId.Main:
                Main.AddHead(in space, handle);
                break;
            default:
                Temp.AddHead(in space, handle);
                break;
        }
    }

    public void Remove(in HandleSpace space, uint handle)
    {
        switch (space.At(handle)->Queue)
        {
            case QueueId.Small:
                Small.Remove(in space, handle);
                break;
            case QueueId.Main:
                Main.Remove(in space, handle);
                break;
            default:
                Temp.Remove(in space, handle);
                break;
        }
    }

    /// <summary>The item has moved to another chunk, its header with it.</summary>
    public void Replace(in HandleSpace space, uint to)
    {
        switch (space.At(to)->Queue)
        {
            case QueueId.Small:
                Small.Replace(in space, to);
                break;
            case QueueId.Main:
                Main.Replace(in space, to);
                break;
            default:
                Temp.Replace(in space, to);
                break;
        }
    }

    /// <summary>
    /// Finds the item to evict next, or one that has expired; it stays in its queue. Returns 0 if there is none: all are busy, or <paramref name="mayEvict"/>
    /// is false and the oldest has not expired.
    /// </summary>
    public uint FindVictim(in EvictionContext context, uint now, bool mayEvict, ref SlabClassCounters counters, out bool isExpired)
    {
        isExpired = false;
        HandleSpace space = context.Space;
        int busy = 0, busyTemp = 0, busyMain = 0;
        for (int step = 1; ; step++)
        {
            long smallMax = SmallCountMax(context.Settings.SmallPercent);

            // What is busy at the end of one queue must not hide the others: a reader may be slow.
            bool fromTemp = busyTemp < Math.Min(Temp.Count, BusyMax / 4);
            bool fromSmall = !fromTemp && Small.Tail != 0 && (Small.Count > smallMax || busyMain >= Math.Min(Main.Count, BusyMax / 2));
            uint handle = fromTemp ? Temp.Tail : fromSmall ? Small.Tail : Main.Tail;
            if (handle == 0)
                return 0;
            ItemHeader* item = space.At(handle);
            if (handle == context.Guarded || context.Pins.IsPinned(handle))
            {
                counters.LruTailReflocked++;
                if (++busy > BusyMax || busy > Count)
                    return 0;
                if (fromTemp)
                {
                    busyTemp++;
                    Temp.MoveToHead(in space, handle);
                }
                else if (fromSmall)
                {
                    Promote(in space, handle, item);
                }
                else
                {
                    busyMain++;
                    Main.MoveToHead(in space, handle);
                }

                continue;
            }

            if (Expiry.IsExpired(item->ExpiresAt, now))
            {
                isExpired = true;
                return handle;
            }

            if (!mayEvict)
                return 0;
            if (fromTemp || (item->Word & ItemWord.FrequencyMask) == 0 || step >= StepsMax)
                return handle;
            if (fromSmall)
            {
                counters.MovesToMain++;
                Promote(in space, handle, item);
            }
            else
            {
                counters.MovesWithinMain++;
                item->Word -= ItemWord.FrequencyOne;
                Main.MoveToHead(in space, handle);
            }
        }
    }

    private void Promote(in HandleSpace space, uint handle, ItemHeader* item)
    {
        Small.Remove(in space, handle);
        item->Word = (item->Word & ~(ItemWord.FrequencyMask | ItemWord.QueueMask)) | ((uint)QueueId.Main << ItemWord.QueueShift);
        Main.AddHead(in space, handle);
    }
}

/// <summary>What a search for a victim needs to know besides the queues.</summary>
internal readonly ref struct EvictionContext(HandleSpace space, EvictionSettings settings, PinTable pins, uint guarded)
{
    public readonly HandleSpace Space = space;
    public readonly EvictionSettings Settings = settings;
    public readonly PinTable Pins = pins;

    /// <summary>An item that the operation under way reads from.</summary>
    public readonly uint Guarded = guarded;
}

/// <summary>What `lru tune`, `lru mode` and `lru temp_ttl` set, for all shards. Read without a lock.</summary>
internal sealed class EvictionSettings
{
    private volatile int _smallPercent = StoreTuning.SmallPercentDefault;
    private volatile uint _tempTtlSeconds;
    private volatile bool _isFlat;

    /// <summary>Share of the small queue in a class.</summary>
    public int SmallPercent
    {
        get => _smallPercent;
        set => _smallPercent = Math.Clamp(value, 1, 90);
    }

    /// <summary>Items with a time to live up to this stand in the temp queue; 0: none do.</summary>
    public uint TempTtlSeconds
    {
        get => _tempTtlSeconds;
        set => _tempTtlSeconds = value;
    }

    /// <summary>New items enter the main queue: one queue a class, in which reads give a second chance.</summary>
    public bool IsFlat
    {
        get => _isFlat;
        set => _isFlat = value;
    }

    /// <summary>The queue that a new item enters.</summary>
    public QueueId QueueOf(uint expiresAt, uint now, bool isGhost)
    {
        uint tempTtlSeconds = _tempTtlSeconds;
        if (tempTtlSeconds != 0 && expiresAt != Expiry.Never && expiresAt <= (ulong)now + tempTtlSeconds)
            return QueueId.Temp;
        return isGhost || _isFlat ? QueueId.Main : QueueId.Small;
    }
}
