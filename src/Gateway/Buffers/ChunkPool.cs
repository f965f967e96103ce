using System.Diagnostics;
using System.Runtime.InteropServices;

namespace OrleansCache.Gateway.Buffers;

/// <summary>
/// One loop's supply of output chunks and input buffers. Last in, first out, so that a loop works on the same hot memory again and again
/// and idle connections hold none. Native memory: system calls take it as it is, and the GC never moves or scans it.
/// Goal: no allocation in steady state. Non-goal: thread safety; the pool belongs to its loop.
/// </summary>
internal sealed unsafe class ChunkPool : IDisposable
{
    /// <summary>A chunk of ordinary output.</summary>
    public const int ChunkBytes = 16 * 1024;

    /// <summary>A chunk for a reply that waits behind another silo's.</summary>
    public const int SmallChunkBytes = 512;

    private const int FreeChunksMax = 512;
    private const int FreeSmallChunksMax = 8192;
    private const int FreeNodesMax = 1024;
    private const int FreeBuffersBytesMax = 8 * 1024 * 1024;

    private OutputChunk? _free;
    private OutputChunk? _freeSmall;
    private OutputChunk? _freeNodes;
    private NativeBuffer? _freeBuffers;
    private int _freeCount;
    private int _freeSmallCount;
    private int _freeNodesCount;
    private int _freeBuffersBytes;
    private bool _disposed;
    private long _chunkBytes;
    private long _bufferBytes;
    private int _chunks;
    private int _buffers;

    static ChunkPool() => NativeHeap.ReturnLargeBlocks();

    /// <summary>Chunks, pins and buffers that are out. 0 when every session is idle or closed.</summary>
    public int Rented { get; private set; }

    /// <summary>
    /// Bytes of the chunks and buffers that are out; pinned values are the store's. Written by the loop alone, read by anyone, as are the others.
    /// </summary>
    public long RentedBytes => Volatile.Read(ref _chunkBytes) + Volatile.Read(ref _bufferBytes);
    public long ChunkBytesRented => Volatile.Read(ref _chunkBytes);
    public long BufferBytesRented => Volatile.Read(ref _bufferBytes);
    public long BufferBytesFree => Volatile.Read(ref _freeBuffersBytes);
    public int ChunksRented => Volatile.Read(ref _chunks);
    public int BuffersRented => Volatile.Read(ref _buffers);

    /// <summary>What the buffers of all loops may hold.</summary>
    public long BytesMax { get; set; } = long.MaxValue;

    /// <summary>What those of the other loops held lately.</summary>
    public long OthersBytes { get; set; }

    /// <summary>More than half of what may be is used: every connection makes do with little.</summary>
    public bool IsShort => _chunkBytes + _bufferBytes + OthersBytes > BytesMax / 2;

    public bool HasRoom(long bytes) => _chunkBytes + _bufferBytes + OthersBytes + bytes <= BytesMax;

    /// <summary>A buffer that is out has grown.</summary>
    public void CountBufferGrowth(int bytes) => _bufferBytes += bytes;

    /// <summary>A chunk with room for at least <paramref name="bytes"/>. <paramref name="tight"/> chooses the smallest that will do.</summary>
    public OutputChunk Rent(int bytes, bool tight)
    {
        Rented++;
        _chunks++;
        OutputChunk? chunk;
        if (!tight && bytes <= ChunkBytes)
        {
            _chunkBytes += ChunkBytes;
            chunk = _free;
            if (chunk is null)
                return Create(ChunkBytes);
            _free = chunk.Next;
            _freeCount--;
        }
        else if (bytes <= SmallChunkBytes)
        {
            _chunkBytes += SmallChunkBytes;
            chunk = _freeSmall;
            if (chunk is null)
                return Create(SmallChunkBytes);
            _freeSmall = chunk.Next;
            _freeSmallCount--;
        }
        else
        {
            _chunkBytes += bytes;
            return Create(bytes);
        }

        chunk.Next = null;
        chunk.Start = 0;
        chunk.End = 0;
        return chunk;
    }

    /// <summary>A node that carries a pinned value.</summary>
    public OutputChunk RentPin(in PinnedValue pin)
    {
        Rented++;
        OutputChunk? node = _freeNodes;
        if (node is null)
        {
            node = new OutputChunk();
        }
        else
        {
            _freeNodes = node.Next;
            _freeNodesCount--;
            node.Next = null;
        }

        node.IsPin = true;
        node.Pin = pin;
        node.Start = 0;
        node.End = pin.Length;
        return node;
    }

    public void Return(OutputChunk chunk)
    {
        Rented--;
        Debug.Assert(Rented >= 0);
        if (chunk.IsPin)
        {
            chunk.Pin.Release();
            chunk.Pin = default;
            chunk.Cursor = default;
            chunk.IsPin = false;
            if (_freeNodesCount < FreeNodesMax)
            {
                chunk.Next = _freeNodes;
                _freeNodes = chunk;
                _freeNodesCount++;
            }

            return;
        }

        _chunks--;
        _chunkBytes -= chunk.Capacity;
        if (chunk.Capacity == ChunkBytes && _freeCount < FreeChunksMax && !_disposed)
        {
            chunk.Next = _free;
            _free = chunk;
            _freeCount++;
        }
        else if (chunk.Capacity == SmallChunkBytes && _freeSmallCount < FreeSmallChunksMax && !_disposed)
        {
            chunk.Next = _freeSmall;
            _freeSmall = chunk;
            _freeSmallCount++;
        }
        else
        {
            Free(chunk);
        }
    }

    /// <summary>An empty growable buffer of at least this capacity.</summary>
    public NativeBuffer RentBuffer(int bytes)
    {
        Rented++;
        _buffers++;
        NativeBuffer? buffer = _freeBuffers;
        if (buffer is null)
        {
            buffer = new NativeBuffer(this);
        }
        else
        {
            _freeBuffers = buffer.Next;
            _freeBuffersBytes -= buffer.Capacity;
            _bufferBytes += buffer.Capacity;
            buffer.Next = null;
        }

        buffer.Length = 0;
        buffer.EnsureCapacity(bytes);
        return buffer;
    }

    public void ReturnBuffer(NativeBuffer buffer)
    {
        Rented--;
        _buffers--;
        _bufferBytes -= buffer.Capacity;
        if (_disposed || _freeBuffersBytes + buffer.Capacity > FreeBuffersBytesMax)
        {
            buffer.Free();
            return;
        }

        _freeBuffersBytes += buffer.Capacity;
        buffer.Next = _freeBuffers;
        _freeBuffers = buffer;
    }

    public void Dispose()
    {
        _disposed = true;
        FreeAll(ref _free);
        FreeAll(ref _freeSmall);
        while (_freeBuffers is { } buffer)
        {
            _freeBuffers = buffer.Next;
            buffer.Next = null;
            buffer.Free();
        }
    }

    private static OutputChunk Create(int bytes) => new() { Data = (byte*)NativeMemory.Alloc((nuint)bytes), Capacity = bytes };

    private static void Free(OutputChunk chunk)
    {
        NativeMemory.Free(chunk.Data);
        chunk.Data = null;
    }

    private static void FreeAll(ref OutputChunk? list)
    {
        while (list is { } chunk)
        {
            list = chunk.Next;
            Free(chunk);
        }
    }
}
