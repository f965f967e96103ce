using System.Buffers;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Replication;

/// <summary>Bytes that collect, in a buffer of <see cref="WireBuffers"/>, which is held only while there are any.</summary>
internal sealed class GrowingBuffer : IBufferWriter<byte>
{
    private byte[] _buffer = [];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    public byte[] Buffer => _buffer;

    public void Advance(int count) => Length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureRoom(sizeHint);
        return _buffer.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureRoom(sizeHint);
        return _buffer.AsSpan(Length);
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        EnsureRoom(bytes.Length);
        bytes.CopyTo(_buffer.AsSpan(Length));
        Length += bytes.Length;
    }

    /// <summary>Room for so many bytes, to be filled now or later.</summary>
    public Span<byte> Take(int count)
    {
        EnsureRoom(count);
        Span<byte> taken = _buffer.AsSpan(Length, count);
        Length += count;
        return taken;
    }

    public Span<byte> SpanAt(int start, int count) => _buffer.AsSpan(start, count);

    /// <summary>Forgets everything. <paramref name="abandon"/>: somebody may still read the buffer, so it is left to the garbage collector.</summary>
    public void Clear(bool abandon = false)
    {
        if (_buffer.Length > 0 && !abandon)
            WireBuffers.Return(_buffer);
        _buffer = [];
        Length = 0;
    }

    private void EnsureRoom(int bytes)
    {
        if (_buffer.Length - Length >= Math.Max(bytes, 1))
            return;
        if (_buffer.Length == 0)
            _buffer = WireBuffers.Rent(bytes);
        else
            WireBuffers.Grow(ref _buffer, Length, Math.Max(bytes, 1));
    }
}
