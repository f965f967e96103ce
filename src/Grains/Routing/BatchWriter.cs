using System.Buffers.Binary;

namespace OrleansCache.Grains.Routing;

/// <summary>
/// Collects operations in the layout of <see cref="BatchFormat"/>. Owns its buffer; the bytes handed out by <see cref="Complete"/> stay valid and unchanged
/// until <see cref="Reset"/>. Non-goal: thread safety.
/// </summary>
internal sealed class BatchWriter
{
    /// <summary>A buffer that grew beyond this is not kept for the next batch.</summary>
    private const int KeptBytesMax = 2 * BatchFormat.BatchBytesSoftMax;

    private byte[] _buffer = new byte[16 * 1024];
    private int _length = BatchFormat.BatchHeaderBytes;

    public int Count { get; private set; }

    public int Bytes => _length;

    public bool IsFull => Count >= BatchFormat.BatchOperationsMax || _length >= BatchFormat.BatchBytesSoftMax;

    /// <summary>Copies one request in; returns where its encoding begins.</summary>
    public int Append(in CacheRequest request)
    {
        int start = _length;
        int worst = BatchFormat.OperationHeaderBytes + BatchFormat.OperationOptionalBytesMax + request.Key.Length + request.Value.Length;
        EnsureRoom(worst);
        Span<byte> target = _buffer.AsSpan(start);
        target[4] = (byte)request.Operation;
        target[5] = (byte)request.Key.Length;
        BinaryPrimitives.WriteUInt16LittleEndian(target[6..], (ushort)request.Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], request.KeyHash);
        BinaryPrimitives.WriteUInt32LittleEndian(target[16..], request.ClientFlags);
        BinaryPrimitives.WriteUInt32LittleEndian(target[20..], request.ExpiresAt);
        BinaryPrimitives.WriteInt32LittleEndian(target[24..], request.Value.Length);
        int at = BatchFormat.OperationHeaderBytes;
        if ((request.Flags & RequestFlags.CompareCas) != 0)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[at..], request.CompareCas);
            at += 8;
        }

        if ((request.Flags & RequestFlags.ExplicitCas) != 0)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[at..], request.NewCas);
            at += 8;
        }

        if ((request.Flags & RequestFlags.CreateOnMiss) != 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(target[at..], request.CreateExpiresAt);
            BinaryPrimitives.WriteUInt64LittleEndian(target[(at + 4)..], request.InitialValue);
            at += 12;
        }

        if ((request.Flags & RequestFlags.Recache) != 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(target[at..], request.RecacheBefore);
            at += 4;
        }

        if (request.Operation is CacheOperation.Increment or CacheOperation.Decrement)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[at..], request.Delta);
            at += 8;
        }

        request.Key.CopyTo(target[at..]);
        at += request.Key.Length;
        request.Value.CopyTo(target[at..]);
        at += request.Value.Length;
        BinaryPrimitives.WriteInt32LittleEndian(target, at - 4);
        _length = start + at;
        Count++;
        return start;
    }

    /// <summary>Copies one operation that is encoded already.</summary>
    public int AppendEncoded(ReadOnlySpan<byte> operation)
    {
        EnsureRoom(operation.Length);
        int start = _length;
        operation.CopyTo(_buffer.AsSpan(start));
        _length += operation.Length;
        Count++;
        return start;
    }

    /// <summary>
    /// Writes the header, with the <see cref="KeyHasher.Fingerprint"/> of what has hashed the keys. The result aliases this writer's buffer.
    /// </summary>
    public ReadOnlyMemory<byte> Complete(ulong hashFingerprint)
    {
        _buffer[0] = BatchFormat.Version;
        _buffer.AsSpan(1, 3).Clear();
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(4), Count);
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer.AsSpan(8), hashFingerprint);
        return _buffer.AsMemory(0, _length);
    }

    /// <summary>The encoding of the operation that begins at <paramref name="start"/>.</summary>
    public ReadOnlySpan<byte> OperationAt(int start) =>
        _buffer.AsSpan(start, 4 + BinaryPrimitives.ReadInt32LittleEndian(_buffer.AsSpan(start)));

    /// <summary>Forgets everything. If someone may still read the bytes handed out, <paramref name="abandonBuffer"/> leaves them alone.</summary>
    public void Reset(bool abandonBuffer = false)
    {
        if (abandonBuffer || _buffer.Length > KeptBytesMax)
            _buffer = new byte[16 * 1024];
        _length = BatchFormat.BatchHeaderBytes;
        Count = 0;
    }

    private void EnsureRoom(int bytes)
    {
        if (_buffer.Length - _length < bytes)
            Array.Resize(ref _buffer, checked((int)Math.Max(Math.Min((long)_buffer.Length * 2, Array.MaxLength), (long)_length + bytes)));
    }
}
