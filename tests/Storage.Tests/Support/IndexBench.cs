using System.Buffers.Binary;

namespace OrleansCache.Storage.Tests;

/// <summary>A hash index over items that are nothing but keys, grown as a store grows its own.</summary>
internal sealed unsafe class IndexBench : IDisposable
{
    private const int ItemBytes = 64;

    private readonly PageArena _arena;
    private readonly Stack<uint> _free = new();
    private readonly Stack<uint> _freeBlocks = new();
    private HashIndex _index;

    public IndexBench(long memoryBytes = 16 << 20)
    {
        _arena = new PageArena(new StoreOptions { PartitionCount = 1, MemoryBytes = memoryBytes, HashSeed = StoreHarness.HashSeed });
        _index = new HashIndex(_arena);
    }

    public ref HashIndex Index => ref _index;

    public uint Add(byte[] key)
    {
        Grow();
        uint handle = Write(key);
        _index.Insert(StoreHarness.Hash(key), handle);
        return handle;
    }

    /// <summary>A chunk with this key that is in no index.</summary>
    public uint Write(byte[] key)
    {
        if (_free.Count == 0)
            Cut(_free, ItemBytes);
        uint handle = _free.Pop();
        ItemHeader* item = _arena.Space.At(handle);
        item->Kind = ChunkKind.Item;
        item->SetKeyLengthAndAccess(key.Length, 0);
        key.CopyTo(new Span<byte>(ItemHeader.KeyOf(item), key.Length));
        return handle;
    }

    public bool Remove(byte[] key, uint handle)
    {
        if (!_index.Remove(StoreHarness.Hash(key), handle))
            return false;
        _free.Push(handle);
        return true;
    }

    public bool Move(byte[] key, uint handle, out uint to)
    {
        to = Write(key);
        if (!_index.Replace(StoreHarness.Hash(key), handle, to))
            return false;
        _free.Push(handle);
        return true;
    }

    public uint Find(byte[] key) => _index.Find(StoreHarness.Hash(key), key);

    /// <summary>The n-th ordinary key.</summary>
    public static byte[] Key(int number)
    {
        byte[] key = new byte[9];
        BinaryPrimitives.WriteInt64LittleEndian(key, number);
        return key;
    }

    public void Dispose() => _arena.Dispose();

    private void Grow()
    {
        for (int i = 0; i < 2; i++)
        {
            if (_index.NeedsOverflowBlock)
                _index.AddOverflowBlock(Block());
            if (!_index.WantsToGrow)
                return;
            if (_index.NeedsBlock)
                _index.AddBlock(Block());
            else
                _index.Split();
        }

        if (_index.NeedsOverflowBlock)
            _index.AddOverflowBlock(Block());
    }

    private byte* Block()
    {
        if (_freeBlocks.Count == 0)
            Cut(_freeBlocks, HashIndex.BlockBytes);
        byte* block = (byte*)_arena.Space.At(_freeBlocks.Pop());
        new Span<byte>(block, HashIndex.BlockBytes).Clear();
        return block;
    }

    private void Cut(Stack<uint> chunks, int chunkBytes)
    {
        Assert.True(_arena.TryTake(out uint page));
        for (int i = 0; i < _arena.PageBytes / chunkBytes; i++)
            chunks.Push(_arena.Space.HandleOf(_arena.Space.PageStart(page) + (i * chunkBytes)));
    }
}
