using System.Buffers.Binary;

namespace OrleansCache.Grains.Routing;

/// <summary>Walks the operations of a batch. Checks every length before it trusts it.</summary>
internal ref struct BatchReader
{
    private ReadOnlySpan<byte> _rest;
    private int _left;

    public BatchReader(ReadOnlySpan<byte> batch)
    {
        if (batch.Length < BatchFormat.BatchHeaderBytes || batch[0] != BatchFormat.Version)
            throw BatchFormat.Malformed("batch");
        Count = _left = BinaryPrimitives.ReadInt32LittleEndian(batch[4..]);
        HashFingerprint = BinaryPrimitives.ReadUInt64LittleEndian(batch[8..]);
        _rest = batch[BatchFormat.BatchHeaderBytes..];
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
        int length = _rest.Length < 4 ? -1 : BinaryPrimitives.ReadInt32LittleEndian(_rest);
        if (length < BatchFormat.OperationHeaderBytes - 4 || length > _rest.Length - 4)
            throw BatchFormat.Malformed("operation");
        request = Decode(_rest[..(4 + length)]);
        _rest = _rest[(4 + length)..];
        return true;
    }

    /// <summary>
    /// The key hashes of the next operations, as many as fit, without taking them. Stops at bytes that are no operation; <see cref="TryRead"/> will say so.
    /// </summary>
    public readonly int PeekHashes(Span<ulong> hashes)
    {
        ReadOnlySpan<byte> rest = _rest;
        int count = 0;
        while (count < hashes.Length && count < _left && rest.Length >= BatchFormat.OperationHeaderBytes)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(rest);
            if (length < BatchFormat.OperationHeaderBytes - 4 || length > rest.Length - 4)
                break;
            hashes[count++] = BinaryPrimitives.ReadUInt64LittleEndian(rest[8..]);
            rest = rest[(4 + length)..];
        }

        return count;
    }

    /// <summary>Decodes one operation; the request's spans point into it.</summary>
    public static CacheRequest Decode(ReadOnlySpan<byte> operation)
    {
        int keyLength = operation[5];
        int valueLength = BinaryPrimitives.ReadInt32LittleEndian(operation[24..]);
        var request = new CacheRequest
        {
            Operation = (CacheOperation)operation[4],
            Flags = (RequestFlags)BinaryPrimitives.ReadUInt16LittleEndian(operation[6..]),
            KeyHash = BinaryPrimitives.ReadUInt64LittleEndian(operation[8..]),
            ClientFlags = BinaryPrimitives.ReadUInt32LittleEndian(operation[16..]),
            ExpiresAt = BinaryPrimitives.ReadUInt32LittleEndian(operation[20..]),
        };
        int at = BatchFormat.OperationHeaderBytes;
        if (operation.Length < at + OptionalBytes(request) + keyLength + (long)valueLength || valueLength < 0)
            throw BatchFormat.Malformed("operation");
        if ((request.Flags & RequestFlags.CompareCas) != 0)
        {
            request.CompareCas = BinaryPrimitives.ReadUInt64LittleEndian(operation[at..]);
            at += 8;
        }

        if ((request.Flags & RequestFlags.ExplicitCas) != 0)
        {
            request.NewCas = BinaryPrimitives.ReadUInt64LittleEndian(operation[at..]);
            at += 8;
        }

        if ((request.Flags & RequestFlags.CreateOnMiss) != 0)
        {
            request.CreateExpiresAt = BinaryPrimitives.ReadUInt32LittleEndian(operation[at..]);
            request.InitialValue = BinaryPrimitives.ReadUInt64LittleEndian(operation[(at + 4)..]);
            at += 12;
        }

        if ((request.Flags & RequestFlags.Recache) != 0)
        {
            request.RecacheBefore = BinaryPrimitives.ReadUInt32LittleEndian(operation[at..]);
            at += 4;
        }

        if (request.Operation is CacheOperation.Increment or CacheOperation.Decrement)
        {
            request.Delta = BinaryPrimitives.ReadUInt64LittleEndian(operation[at..]);
            at += 8;
        }

        request.Key = operation.Slice(at, keyLength);
        request.Value = operation.Slice(at + keyLength, valueLength);
        return request;
    }

    /// <summary>The key's hash of an encoded operation, without decoding the rest.</summary>
    public static ulong KeyHashOf(ReadOnlySpan<byte> operation) => BinaryPrimitives.ReadUInt64LittleEndian(operation[8..]);

    /// <summary>
    /// Whether the operation may be executed twice without a client being able to tell: a read that sets nothing. (An mg of a stale item may lose the win token
    /// that way, as if its winner had died; there is never a second winner.)
    /// </summary>
    public static bool IsRepeatable(ReadOnlySpan<byte> operation) =>
        (CacheOperation)operation[4] == CacheOperation.Get
        && ((RequestFlags)BinaryPrimitives.ReadUInt16LittleEndian(operation[6..])
            & (RequestFlags.Touch | RequestFlags.CreateOnMiss | RequestFlags.Recache)) == 0;

    private static int OptionalBytes(in CacheRequest request) =>
        ((request.Flags & RequestFlags.CompareCas) != 0 ? 8 : 0)
        + ((request.Flags & RequestFlags.ExplicitCas) != 0 ? 8 : 0)
        + ((request.Flags & RequestFlags.CreateOnMiss) != 0 ? 12 : 0)
        + ((request.Flags & RequestFlags.Recache) != 0 ? 4 : 0)
        + (request.Operation is CacheOperation.Increment or CacheOperation.Decrement ? 8 : 0);
}
