namespace OrleansCache.Ownership.Routing;

/// <summary>Walks the operations of a batch. Checks every length before it trusts it.</summary>
internal ref struct BatchReader
{
    private WireReader _wire;
    private int _left;

    public BatchReader(ReadOnlySpan<byte> batch)
    {
        _wire = new WireReader(batch);
        byte layout = _wire.Byte();
        _wire.Bytes(3);
        Count = _left = _wire.Int32();
        HashFingerprint = _wire.UInt64();
        if (_wire.Failed || layout != BatchFormat.Layout)
            throw BatchFormat.Malformed("batch");
    }

    /// <summary>Operations in all.</summary>
    public int Count { get; }

    /// <summary>Names the seed under which the operations' hashes were computed.</summary>
    public ulong HashFingerprint { get; }

    public bool TryRead(out CacheRequest request)
    {
        request = default;
        if (_left <= 0)
            return false;
        _left--;
        WireReader wire = _wire;
        ReadOnlySpan<byte> operation = wire.Bytes(wire.Int32());
        _wire = wire;
        request = DecodeFields(operation);
        return true;
    }

    /// <summary>
    /// The key hashes of the next operations, as many as fit, without taking them. Stops at bytes that are no operation; <see cref="TryRead"/> will say so.
    /// </summary>
    public readonly int PeekHashes(Span<ulong> hashes)
    {
        WireReader ahead = _wire;
        int count = 0;
        while (count < hashes.Length && count < _left)
        {
            ReadOnlySpan<byte> operation = ahead.Bytes(ahead.Int32());
            if (ahead.Failed || operation.Length < BatchFormat.OperationHeaderBytes - 4)
                break;
            hashes[count++] = new WireReader(operation[4..]).UInt64();
        }

        return count;
    }

    /// <summary>Decodes one operation; the request's spans point into it.</summary>
    public static CacheRequest Decode(ReadOnlySpan<byte> operation)
    {
        var wire = new WireReader(operation);
        return DecodeFields(wire.Bytes(wire.Int32()));
    }

    private static CacheRequest DecodeFields(ReadOnlySpan<byte> operation)
    {
        var wire = new WireReader(operation);
        var request = new CacheRequest { Operation = (CacheOperation)wire.Byte() };
        int keyLength = wire.Byte();
        request.Flags = (RequestFlags)wire.UInt16();
        request.KeyHash = wire.UInt64();
        request.ClientFlags = wire.UInt32();
        request.ExpiresAt = wire.UInt32();
        int valueLength = wire.Int32();
        if ((request.Flags & RequestFlags.CompareCas) != 0)
            request.CompareCas = wire.UInt64();
        if ((request.Flags & RequestFlags.ExplicitCas) != 0)
            request.NewCas = wire.UInt64();
        if ((request.Flags & RequestFlags.CreateOnMiss) != 0)
        {
            request.CreateExpiresAt = wire.UInt32();
            request.InitialValue = wire.UInt64();
        }

        if ((request.Flags & RequestFlags.Recache) != 0)
            request.RecacheBefore = wire.UInt32();
        if (request.Operation is CacheOperation.Increment or CacheOperation.Decrement)
            request.Delta = wire.UInt64();
        request.Key = wire.Bytes(keyLength);
        request.Value = wire.Bytes(valueLength);
        if (wire.Failed)
            throw BatchFormat.Malformed("operation");
        return request;
    }

    /// <summary>The key's hash of an encoded operation, without decoding the rest.</summary>
    public static ulong KeyHashOf(ReadOnlySpan<byte> operation) => new WireReader(operation[8..]).UInt64();

    /// <summary>
    /// Whether the operation may be executed twice without a client being able to tell: a read that sets nothing. (An mg of a stale item may lose the win token
    /// that way, as if its winner had died; there is never a second winner.)
    /// </summary>
    public static bool IsRepeatable(ReadOnlySpan<byte> operation) =>
        (CacheOperation)operation[4] == CacheOperation.Get
        && ((RequestFlags)new WireReader(operation[6..]).UInt16()
            & (RequestFlags.Touch | RequestFlags.CreateOnMiss | RequestFlags.Recache)) == 0;
}
