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

    /// <summary>Chunks, pins and buffers that are out. 0 when every session is idle or closed.</summary>
    public int Rented { get; private set; }

    /// <summary>A chunk with room for at least <paramref name="bytes"/>. <paramref name="tight"/> chooses the smallest that will do.</summary>
    public OutputChunk Rent(int bytes, bool tight)
    {
        Rented++;
        OutputChunk? chunk;
        if (!tight && bytes <= ChunkBytes)
        {
            chunk = _free;
            if (chunk is null)
                return Create(ChunkBytes);
            _free = chunk.Next;
            _freeCount--;
        }
        else if (bytes <= SmallChunkBytes)
        {
            chunk = _freeSmall;
            if (chunk is null)
                return Create(SmallChunkBytes);
            _freeSmall = chunk.Next;
            _freeSmallCount--;
        }
        else
        {
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
        }
        else if (chunk.Capacity == ChunkBytes && _freeCount < FreeChunksMax && !_disposed)
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
        NativeBuffer? buffer = _freeBuffers;
        if (buffer is null)
        {
            buffer = new NativeBuffer();
        }
        else
        {
            _freeBuffers = buffer.Next;
            _freeBuffersBytes -= buffer.Capacity;
            buffer.Next = null;
        }

        buffer.Length = 0;
        buffer.EnsureCapacity(bytes);
        return buffer;
    }

    public void ReturnBuffer(NativeBuffer buffer)
    {
        Rented--;
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
