using System.Buffers.Binary;

namespace OrleansCache.Grains.Routing;

/// <summary>Walks the results of a batch's reply.</summary>
internal ref struct ReplyReader
{
    private ReadOnlySpan<byte> _rest;
    private int _left;

    public ReplyReader(ReadOnlySpan<byte> reply)
    {
        if (reply.Length < BatchFormat.ReplyHeaderBytes || reply[0] != BatchFormat.Version)
            throw BatchFormat.Malformed("reply");
        Count = _left = BinaryPrimitives.ReadInt32LittleEndian(reply[4..]);
        _rest = reply[BatchFormat.ReplyHeaderBytes..];
    }

    /// <summary>Results in all.</summary>
    public int Count { get; }

    /// <summary>Takes the next result. <paramref name="wireStatus"/> is a <see cref="CacheStatus"/> or one of the format's own.</summary>
    public bool TryRead(out byte wireStatus, out CacheReply reply)
    {
        reply = default;
        wireStatus = 0;
        if (_left <= 0)
            return false;
        _left--;
        if (_rest.Length < BatchFormat.ResultHeaderBytes)
            throw BatchFormat.Malformed("result");
        wireStatus = _rest[0];
        var shape = (BatchFormat.Shape)_rest[2];
        reply.ItemFlags = (ItemFlags)_rest[1];
        reply.SlabClass = _rest[3];
        int at = BatchFormat.ResultHeaderBytes;
        int valueLength = 0;
        int needed = ((shape & BatchFormat.Shape.Detail) != 0 ? BatchFormat.ResultDetailBytes : 0) + ((shape & BatchFormat.Shape.Number) != 0 ? 8 : 0);
        if (_rest.Length < at + needed)
            throw BatchFormat.Malformed("result");
        if ((shape & BatchFormat.Shape.Detail) != 0)
        {
            reply.ClientFlags = BinaryPrimitives.ReadUInt32LittleEndian(_rest[at..]);
            reply.ExpiresAt = BinaryPrimitives.ReadUInt32LittleEndian(_rest[(at + 4)..]);
            reply.LastAccess = BinaryPrimitives.ReadUInt32LittleEndian(_rest[(at + 8)..]);
            valueLength = BinaryPrimitives.ReadInt32LittleEndian(_rest[(at + 12)..]);
            reply.Cas = BinaryPrimitives.ReadUInt64LittleEndian(_rest[(at + 16)..]);
            at += BatchFormat.ResultDetailBytes;
        }

        if ((shape & BatchFormat.Shape.Number) != 0)
        {
            reply.Number = BinaryPrimitives.ReadUInt64LittleEndian(_rest[at..]);
            at += 8;
        }

        if ((shape & BatchFormat.Shape.Value) != 0)
        {
            if (valueLength < 0 || _rest.Length - at < valueLength)
                throw BatchFormat.Malformed("result");
            reply.Value = new ValueView(_rest.Slice(at, valueLength));
            at += valueLength;
        }
        else
        {
            reply.Value = ValueView.OfLength(valueLength);
        }

        reply.Status = wireStatus < BatchFormat.StatusDeferred ? (CacheStatus)wireStatus : CacheStatus.None;
        _rest = _rest[at..];
        return true;
    }
}
