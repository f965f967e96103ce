using System.Buffers.Binary;

namespace OrleansCache.Grains.Routing;

/// <summary>
/// Encodes results in the layout of <see cref="BatchFormat"/>; the sink of the executor. Large values are pinned under the partition's lock and copied
/// after it, by <see cref="CopyPinned"/>. Reused by one thread for batch after batch.
/// </summary>
internal sealed class ReplyWriter : ReplySink
{
    private const int KeptBytesMax = 2 * BatchFormat.ReplyBytesSoftMax;

    private byte[] _buffer = new byte[16 * 1024];
    private int _length = BatchFormat.ReplyHeaderBytes;
    private int _count;
    private PinnedValue _pinned;
    private int _pinnedAt = -1;

    public int Bytes => _length;

    public override void OnReply(in CacheReply reply)
    {
        bool hasNumber = reply.Number != 0;
        bool isOk = reply.Status == CacheStatus.Ok;

        int valueLength = reply.Value.Length;
        bool hasValue = isOk && valueLength > 0 && reply.Value.HasBytes;
        EnsureRoom(BatchFormat.ResultHeaderBytes + BatchFormat.ResultDetailBytes + 8 + (hasValue ? valueLength : 0));
        Span<byte> target = _buffer.AsSpan(_length);
        var shape = (isOk ? BatchFormat.Shape.Detail : 0) | (hasNumber ? BatchFormat.Shape.Number : 0) | (hasValue ? BatchFormat.Shape.Value : 0);
        target[0] = (byte)reply.Status;
        target[1] = (byte)reply.ItemFlags;
        target[2] = (byte)shape;
        target[3] = reply.SlabClass;
        int at = BatchFormat.ResultHeaderBytes;
        if (isOk)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(target[at..], reply.ClientFlags);
            BinaryPrimitives.WriteUInt32LittleEndian(target[(at + 4)..], reply.ExpiresAt);
            BinaryPrimitives.WriteUInt32LittleEndian(target[(at + 8)..], reply.LastAccess);
            BinaryPrimitives.WriteInt32LittleEndian(target[(at + 12)..], valueLength);
            BinaryPrimitives.WriteUInt64LittleEndian(target[(at + 16)..], reply.Cas);
            at += BatchFormat.ResultDetailBytes;
        }

        if (hasNumber)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[at..], reply.Number);
            at += 8;
        }

        if (hasValue)
        {
            if (valueLength >= Limits.PinValueBytesMin && reply.Value.TryPin(out _pinned))
                _pinnedAt = _length + at;
            else
                reply.Value.CopyTo(target.Slice(at, valueLength));
            at += valueLength;
        }

        _length += at;
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

    /// <summary>The reply in an array of its own (it crosses to another thread and process), and the writer ready for the next batch.</summary>
    public byte[] TakeReply()
    {
        _buffer[0] = BatchFormat.Version;
        _buffer.AsSpan(1, 3).Clear();
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(4), _count);
        byte[] reply = _buffer.AsSpan(0, _length).ToArray();
        _length = BatchFormat.ReplyHeaderBytes;
        _count = 0;
        if (_buffer.Length > KeptBytesMax)
            _buffer = new byte[16 * 1024];
        return reply;
    }

    private void EnsureRoom(int bytes)
    {
        if (_buffer.Length - _length < bytes)
            Array.Resize(ref _buffer, checked((int)Math.Max(Math.Min((long)_buffer.Length * 2, Array.MaxLength), (long)_length + bytes)));
    }
}
