namespace OrleansCache.Ownership.Routing;

/// <summary>
/// Encodes results in the layout of <see cref="BatchFormat"/>; the sink of the executor. Large values are pinned under the partition's lock and copied
/// after it, by <see cref="CopyPinned"/>. Reused by one thread for batch after batch; holds a buffer only while it writes a reply.
/// </summary>
internal sealed class ReplyWriter : ReplySink
{
    // A reply begins with as much room as the last one took, up to this.
    private const int FirstBytesMax = 1024 * 1024;

    private byte[] _buffer = [];
    private int _bytesLast;
    private int _length = BatchFormat.ReplyHeaderBytes;
    private int _count;
    private PinnedValue _pinned;
    private int _pinnedAt = -1;

    public int Bytes => _length;

    /// <summary>Results so far.</summary>
    public int Count => _count;

    public override void OnReply(in CacheReply reply)
    {
        bool hasNumber = reply.Number != 0;
        bool isOk = reply.Status == CacheStatus.Ok;

        int valueLength = reply.Value.Length;
        bool hasValue = isOk && valueLength > 0 && reply.Value.HasBytes;
        int worst = BatchFormat.ResultHeaderBytes + BatchFormat.ResultDetailBytes + 8 + (hasValue ? valueLength : 0);
        EnsureRoom(worst);
        var wire = new WireWriter(_buffer.AsSpan(_length, worst));
        var shape = (isOk ? BatchFormat.Shape.Detail : 0) | (hasNumber ? BatchFormat.Shape.Number : 0) | (hasValue ? BatchFormat.Shape.Value : 0);
        wire.Byte((byte)reply.Status);
        wire.Byte((byte)reply.ItemFlags);
        wire.Byte((byte)shape);
        wire.Byte(reply.SlabClass);
        if (isOk)
        {
            wire.UInt32(reply.ClientFlags);
            wire.UInt32(reply.ExpiresAt);
            wire.UInt32(reply.LastAccess);
            wire.Int32(valueLength);
            wire.UInt64(reply.Cas);
        }

        if (hasNumber)
            wire.UInt64(reply.Number);
        if (hasValue)
        {
            int at = wire.Written;
            Span<byte> value = wire.Take(valueLength);
            if (valueLength >= Limits.PinValueBytesMin && reply.Value.TryPin(out _pinned))
                _pinnedAt = _length + at;
            else
                reply.Value.CopyTo(value);
        }

        _length += wire.Written;
        _count++;
    }

    /// <summary>Copies the value that <see cref="OnReply"/> pinned, if it did. Call after every operation, outside the partition's lock.</summary>
    public void CopyPinned()
    {
        if (_pinnedAt < 0)
            return;
        _pinned.CopyTo(0, _buffer.AsSpan(_pinnedAt, _pinned.Length));
        _pinned.Release();
        _pinned = default;
        _pinnedAt = -1;
    }

    /// <summary>Writes a wire status that no store gives.</summary>
    public void WriteStatus(byte wireStatus)
    {
        EnsureRoom(BatchFormat.ResultHeaderBytes);
        Span<byte> target = _buffer.AsSpan(_length, BatchFormat.ResultHeaderBytes);
        target.Clear();
        target[0] = wireStatus;
        _length += BatchFormat.ResultHeaderBytes;
        _count++;
    }

    /// <summary>Takes over a result of another reply.</summary>
    public void WriteEncoded(ReadOnlySpan<byte> result)
    {
        EnsureRoom(result.Length);
        result.CopyTo(_buffer.AsSpan(_length));
        _length += result.Length;
        _count++;
    }

    /// <summary>The reply, with its buffer (it crosses to another thread and process), and the writer ready for the next batch.</summary>
    public PooledBytes TakeReply(long ticket = 0)
    {
        EnsureRoom(0);
        var wire = new WireWriter(_buffer.AsSpan(0, BatchFormat.ReplyHeaderBytes));
        wire.Byte(BatchFormat.Layout);
        wire.Take(3).Clear();
        wire.Int32(_count);
        wire.UInt64((ulong)ticket);
        var reply = PooledBytes.Reply(_buffer, _length);
        _buffer = [];
        _bytesLast = _length;
        _length = BatchFormat.ReplyHeaderBytes;
        _count = 0;
        return reply;
    }

    private void EnsureRoom(int bytes)
    {
        if (_buffer.Length - _length < bytes)
            Grow(bytes);
    }

    private void Grow(int bytes)
    {
        if (_buffer.Length == 0)
            _buffer = WireBuffers.Rent(Math.Min(_bytesLast, FirstBytesMax));
        WireBuffers.Grow(ref _buffer, _length, bytes);
    }
}
