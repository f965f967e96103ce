using System.Runtime.InteropServices;

namespace OrleansCache.Storage.Tests;

/// <summary>Item headers in native memory and the queues of one class over them, without a store around.</summary>
internal sealed unsafe class QueueBench : IDisposable
{
    public const uint Now = StoreHarness.Start;
    private const int ItemBytes = 64;
    private const int GranuleShift = 3;
    private const int PageShift = 16;

    private readonly byte* _memory;
    private readonly byte* _classOfPage;
    private readonly HandleSpace _space;
    private uint _next = ItemBytes >> GranuleShift;

    public QueueBench(int itemsMax = 4096)
    {
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)(itemsMax + 1) * ItemBytes);
        _classOfPage = (byte*)NativeMemory.AllocZeroed((nuint)(itemsMax * ItemBytes >> PageShift) + 2);
        _space = new HandleSpace(_memory, GranuleShift, PageShift, _classOfPage, 0);
    }

    public ClassQueues Queues;
    public SlabClassCounters Counters;

    public EvictionSettings Settings { get; } = new();
    public PinTable Pins { get; } = new();

    public uint Add(QueueId queue = QueueId.Small, uint expiresAt = 0)
    {
        uint handle = _next;
        _next += ItemBytes >> GranuleShift;
        Add(handle, queue, expiresAt);
        return handle;
    }

    /// <summary>An item in a chunk that held another before.</summary>
    public void Add(uint handle, QueueId queue, uint expiresAt = 0)
    {
        ItemHeader* item = _space.At(handle);
        item->Word = ((uint)ChunkKind.Item << ItemWord.KindShift) | ((uint)queue << ItemWord.QueueShift);
        item->ExpiresAt = expiresAt;
        Queues.Add(in _space, handle);
    }

    public void Read(uint handle, int times = 1)
    {
        ItemHeader* item = _space.At(handle);
        for (; times > 0 && item->Frequency < 3; times--)
            item->Word += ItemWord.FrequencyOne;
    }

    public QueueId QueueOf(uint handle) => _space.At(handle)->Queue;

    public int FrequencyOf(uint handle) => _space.At(handle)->Frequency;

    public void Remove(uint handle) => Queues.Remove(in _space, handle);

    public uint FindVictim(out bool isExpired, bool mayEvict = true, uint guarded = 0)
    {
        var context = new EvictionContext(_space, Settings, Pins, guarded);
        return Queues.FindVictim(in context, Now, mayEvict, ref Counters, out isExpired);
    }

    /// <summary>Takes the next victim out of its queue; 0 if there is none.</summary>
    public uint Evict(uint guarded = 0)
    {
        uint handle = FindVictim(out _, guarded: guarded);
        if (handle != 0)
            Remove(handle);
        return handle;
    }

    /// <summary>The items of a queue from the newest on.</summary>
    public List<uint> Items(QueueId id)
    {
        ItemQueue queue = id == QueueId.Small ? Queues.Small : id == QueueId.Main ? Queues.Main : Queues.Temp;
        var items = new List<uint>();
        for (uint handle = queue.Head; handle != 0; handle = _space.At(handle)->Next)
            items.Add(handle);
        Assert.Equal(queue.Count, items.Count);
        Assert.Equal(queue.Tail, items.Count == 0 ? 0 : items[^1]);
        return items;
    }

    public void Dispose()
    {
        NativeMemory.Free(_memory);
        NativeMemory.Free(_classOfPage);
    }
}
