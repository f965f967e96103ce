namespace OrleansCache.Ownership.Routing;

/// <summary>
/// Collects operations in the layout of <see cref="BatchFormat"/>. Owns its buffer; the bytes handed out by <see cref="Complete"/> stay valid and unchanged
/// until <see cref="Reset"/>. Non-goal: thread safety.
/// </summary>
internal sealed class BatchWriter
{
    /// <summary>A buffer that grew beyond this is not kept for the next batch.</summary>
    private const int KeptBytesMax = 2 * BatchFormat.BatchBytesSoftMax;

    private byte[] _buffer = WireBuffers.Rent(0);
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
        var wire = new WireWriter(_buffer.AsSpan(start, worst));
        Span<byte> length = wire.Take(4);
        wire.Byte((byte)request.Operation);
        wire.Byte((byte)request.Key.Length);
        wire.UInt16((ushort)request.Flags);
        wire.UInt64(request.KeyHash);
        wire.UInt32(request.ClientFlags);
        wire.UInt32(request.ExpiresAt);
        wire.Int32(request.Value.Length);
        if ((request.Flags & RequestFlags.CompareCas) != 0)
            wire.UInt64(request.CompareCas);
        if ((request.Flags & RequestFlags.ExplicitCas) != 0)
            wire.UInt64(request.NewCas);
        if ((request.Flags & RequestFlags.CreateOnMiss) != 0)
        {
            wire.UInt32(request.CreateExpiresAt);
            wire.UInt64(request.InitialValue);
        }

        if ((request.Flags & RequestFlags.Recache) != 0)
            wire.UInt32(request.RecacheBefore);
        if (request.Operation is CacheOperation.Increment or CacheOperation.Decrement)
            wire.UInt64(request.Delta);
        wire.Bytes(request.Key);
        wire.Bytes(request.Value);
        new WireWriter(length).Int32(wire.Written - length.Length);
        _length = start + wire.Written;
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
    public PooledBytes Complete(ulong hashFingerprint)
    {
        var wire = new WireWriter(_buffer.AsSpan(0, BatchFormat.BatchHeaderBytes));
        wire.Byte(BatchFormat.Layout);
        wire.Take(3).Clear();
        wire.Int32(Count);
        wire.UInt64(hashFingerprint);
        return PooledBytes.Wrap(_buffer, _length);
    }

    /// <summary>The encoding of the operation that begins at <paramref name="start"/>.</summary>
    public ReadOnlySpan<byte> OperationAt(int start) =>
        _buffer.AsSpan(start, 4 + new WireReader(_buffer.AsSpan(start, 4)).Int32());

    /// <summary>Forgets everything. If someone may still read the bytes handed out, <paramref name="abandonBuffer"/> leaves them alone.</summary>
    public void Reset(bool abandonBuffer = false)
    {
        if (!abandonBuffer && _buffer.Length > KeptBytesMax)
            WireBuffers.Return(_buffer);
        if (abandonBuffer || _buffer.Length > KeptBytesMax)
            _buffer = WireBuffers.Rent(0);
        _length = BatchFormat.BatchHeaderBytes;
        Count = 0;
    }

    private void EnsureRoom(int bytes)
    {
        if (_buffer.Length - _length < bytes)
            WireBuffers.Grow(ref _buffer, _length, bytes);
    }
}
