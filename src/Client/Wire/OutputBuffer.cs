using System.Buffers;

namespace OrleansCache.Client.Wire;

/// <summary>Bytes that wait to be sent. Two of these take turns: one fills while the other is sent. Not thread-safe.</summary>
internal sealed class OutputBuffer
{
    private const int BytesAtFirst = 16 * 1024;

    /// <summary>A buffer that a large value has made larger than this is given back when it has been sent.</summary>
    private const int KeptBytesMax = 1024 * 1024;

    private byte[] _bytes = ArrayPool<byte>.Shared.Rent(BytesAtFirst);

    public int Count { get; private set; }

    public ReadOnlyMemory<byte> Memory => _bytes.AsMemory(0, Count);

    public Span<byte> GetSpan(int bytes)
    {
        if (_bytes.Length - Count < bytes)
            Grow(bytes);
        return _bytes.AsSpan(Count);
    }

    public void Advance(int bytes) => Count += bytes;

    public void Clear()
    {
        Count = 0;
        if (_bytes.Length > KeptBytesMax)
        {
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = ArrayPool<byte>.Shared.Rent(BytesAtFirst);
        }
    }

    private void Grow(int bytes)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(checked((int)Math.Max((long)Count + bytes, Math.Min(2L * _bytes.Length, Array.MaxLength))));
        _bytes.AsSpan(0, Count).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = larger;
    }
}
