using System.Numerics;

namespace OrleansCache.Ownership.Routing;

/// <summary>
/// The bytes of one message between silos, in a buffer that is used again.
/// <para>
/// Ownership. The owner releases the bytes when it has read them; every later look throws. A request wraps its sender's
/// buffer, and the sender leaves it alone until the reply is there. What a silo receives belongs to the code that executes it. A reply belongs to the wire,
/// which releases it when it is written, or, in one process, to the caller; so it is sent once, and a second attempt fails as a lost reply does. Bytes that
/// nobody releases (a late reply, a message that was dropped) are garbage like others.
/// </para>
/// Goal: batches and replies of large values leave the garbage collector's heap of large objects alone.
/// </summary>
public sealed class PooledBytes
{
    private readonly bool _isWrapped;
    private byte[]? _buffer;

    private PooledBytes(byte[] buffer, int length, bool isWrapped, bool isReleasedByWire)
    {
        _buffer = buffer;
        _isWrapped = isWrapped;
        Length = length;
        IsReleasedByWire = isReleasedByWire;
    }

    public int Length { get; }

    /// <summary>Throws when the bytes have been released.</summary>
    public ReadOnlySpan<byte> Span =>
        (_buffer ?? throw new ObjectDisposedException(nameof(PooledBytes), "The bytes of this message have been released.")).AsSpan(0, Length);

    /// <summary>To be released as soon as it is written.</summary>
    internal bool IsReleasedByWire { get; }

    /// <summary>Bytes that go on belonging to the caller.</summary>
    public static PooledBytes Wrap(byte[] buffer, int length) => new(buffer, length, isWrapped: true, isReleasedByWire: false);

    /// <summary>A reply in a buffer of <see cref="WireBuffers"/>, whose owner it becomes.</summary>
    internal static PooledBytes Reply(byte[] buffer, int length) => new(buffer, length, isWrapped: false, isReleasedByWire: true);

    /// <summary>What was received, in a buffer of <see cref="WireBuffers"/>, whose owner it becomes.</summary>
    internal static PooledBytes Received(byte[] buffer, int length) => new(buffer, length, isWrapped: false, isReleasedByWire: false);

    /// <summary>Gives the buffer back, unless it is wrapped. Does nothing the second time.</summary>
    public void Release()
    {
        if (!_isWrapped && Interlocked.Exchange(ref _buffer, null) is { } buffer)
            WireBuffers.Return(buffer);
    }
}

/// <summary>
/// Buffers of powers of two for messages between silos. Keeps <see cref="Limits.WireBufferBytesKeptMax"/> at most for the next ones; for what comes back
/// beyond that, buffers of other sizes are left to the garbage collector. Safe to call from any thread.
/// </summary>
internal static class WireBuffers
{
    public const int BytesMin = 16 * 1024;

    private static readonly Lock s_lock = new();
    private static readonly Stack<byte[]>[] s_free = [.. Enumerable.Range(0, 32).Select(static _ => new Stack<byte[]>())];
    private static long s_keptBytes;

    /// <summary>Bytes that wait to be used again.</summary>
    public static long KeptBytes => Interlocked.Read(ref s_keptBytes);

    /// <summary>A buffer of at least so many bytes, with whatever was in it.</summary>
    public static byte[] Rent(int bytesMin)
    {
        int size = (int)Math.Min(BitOperations.RoundUpToPowerOf2((uint)Math.Max(bytesMin, BytesMin)), (uint)Array.MaxLength);
        lock (s_lock)
        {
            if (s_free[BitOperations.Log2((uint)size)].TryPop(out byte[]? buffer))
            {
                s_keptBytes -= buffer.Length;
                return buffer;
            }
        }

        return GC.AllocateUninitializedArray<byte>(size);
    }

    /// <summary>Nobody looks at the buffer any more.</summary>
    public static void Return(byte[] buffer)
    {
        lock (s_lock)
        {
            int sizeClass = BitOperations.Log2((uint)buffer.Length);
            while (s_keptBytes + buffer.Length > Limits.WireBufferBytesKeptMax)
            {
                if (!TryDropOfOtherSize(sizeClass))
                    return;
            }

            s_keptBytes += buffer.Length;
            s_free[sizeClass].Push(buffer);
        }
    }

    /// <summary>What is used now gets the room of what was used once: drops a buffer of the size that keeps most. Under the lock.</summary>
    private static bool TryDropOfOtherSize(int sizeClass)
    {
        int most = -1;
        for (int i = 0; i < s_free.Length; i++)
        {
            if (i != sizeClass && s_free[i].Count > 0 && (most < 0 || (long)s_free[i].Count << i > (long)s_free[most].Count << most))
                most = i;
        }

        if (most < 0)
            return false;
        s_keptBytes -= s_free[most].Pop().Length;
        return true;
    }

    /// <summary>Makes room for so many bytes behind the first <paramref name="length"/>, which stay.</summary>
    public static void Grow(ref byte[] buffer, int length, int bytes)
    {
        if (buffer.Length - length >= bytes)
            return;
        byte[] larger = Rent(checked(length + bytes));
        buffer.AsSpan(0, length).CopyTo(larger);
        Return(buffer);
        buffer = larger;
    }
}
