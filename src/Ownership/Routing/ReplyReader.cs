namespace OrleansCache.Ownership.Routing;

/// <summary>Walks the results of a batch's reply.</summary>
internal ref struct ReplyReader
{
    private WireReader _wire;
    private int _left;

    public ReplyReader(ReadOnlySpan<byte> reply)
    {
        _wire = new WireReader(reply);
        byte layout = _wire.Byte();
        _wire.Bytes(3);
        Count = _left = _wire.Int32();
        Ticket = _wire.Int64();
        if (_wire.Failed || layout != BatchFormat.Layout)
            throw BatchFormat.Malformed("reply");
    }

    /// <summary>Results in all.</summary>
    public int Count { get; }

    /// <summary>With which what is pending is collected; 0 if nothing is.</summary>
    public long Ticket { get; }

    /// <summary>Where each result stands in the reply.</summary>
    public static (int Start, int Length)[] SpansOf(ReadOnlySpan<byte> reply)
    {
        var reader = new ReplyReader(reply);
        var spans = new (int Start, int Length)[reader.Count];
        int start = BatchFormat.ReplyHeaderBytes;
        for (int i = 0; reader.TryRead(out _, out _); i++)
        {
            int end = reply.Length - reader._wire.Remaining;
            spans[i] = (start, end - start);
            start = end;
        }

        return spans;
    }

    /// <summary>Takes the next result. <paramref name="wireStatus"/> is a <see cref="CacheStatus"/> or one of the format's own.</summary>
    public bool TryRead(out byte wireStatus, out CacheReply reply)
    {
        reply = default;
        wireStatus = 0;
        if (_left <= 0)
            return false;
        _left--;
        WireReader wire = _wire;
        wireStatus = wire.Byte();
        reply.ItemFlags = (ItemFlags)wire.Byte();
        var shape = (BatchFormat.Shape)wire.Byte();
        reply.SlabClass = wire.Byte();
        int valueLength = 0;
        if ((shape & BatchFormat.Shape.Detail) != 0)
        {
            reply.ClientFlags = wire.UInt32();
            reply.ExpiresAt = wire.UInt32();
            reply.LastAccess = wire.UInt32();
            valueLength = wire.Int32();
            reply.Cas = wire.UInt64();
        }

        if ((shape & BatchFormat.Shape.Number) != 0)
            reply.Number = wire.UInt64();
        reply.Value = (shape & BatchFormat.Shape.Value) != 0 ? new ValueView(wire.Bytes(valueLength)) : ValueView.OfLength(valueLength);
        if (wire.Failed)
            throw BatchFormat.Malformed("result");
        _wire = wire;
        reply.Status = wireStatus < BatchFormat.StatusFirst ? (CacheStatus)wireStatus : CacheStatus.None;
        return true;
    }
}
