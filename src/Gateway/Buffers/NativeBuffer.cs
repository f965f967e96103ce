using System.Diagnostics;
using System.Runtime.InteropServices;

namespace OrleansCache.Gateway.Buffers;

/// <summary>A growable run of native memory: a line that has not ended yet, a value that is arriving, or input that waits for its turn.</summary>
internal sealed unsafe class NativeBuffer(ChunkPool pool)
{
    public byte* Data { get; private set; }
    public int Capacity { get; private set; }
    public int Length { get; set; }
    public NativeBuffer? Next { get; set; }

    public ReadOnlySpan<byte> Span => new(Data, Length);

    /// <summary>Grows by doubling, so that appending is linear in all.</summary>
    public void EnsureCapacity(int bytes)
    {
        if (bytes <= Capacity)
            return;
        int capacity = Math.Max(bytes, (int)Math.Min(2L * Capacity, Array.MaxLength));
        Data = (byte*)NativeMemory.Realloc(Data, (nuint)capacity);
        pool.CountBufferGrowth(capacity - Capacity);
        Capacity = capacity;
    }

    public void Append(byte* source, int count)
    {
        if (count == 0)
            return;
        EnsureCapacity(checked(Length + count));
        Buffer.MemoryCopy(source, Data + Length, Capacity - Length, count);
        Length += count;
    }

    public void Free()
    {
        Debug.Assert(Next is null);
        NativeMemory.Free(Data);
        Data = null;
        Capacity = 0;
        Length = 0;
    }
}
