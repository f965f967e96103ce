namespace OrleansCache.Storage;

/// <summary>An item that has come from another store; its key and value lie in the bytes that it was read from. Drawn at <see cref="ExportFormat"/>.</summary>
internal ref struct ExportedItem
{
    public ItemMarks Marks;
    public uint ClientFlags;
    public uint ExpiresAt;
    public uint LastAccess;
    public ulong Cas;
    public ReadOnlySpan<byte> Key;
    public ReadOnlySpan<byte> Value;

    /// <summary>Reads what follows the key's length. A length that is out of bounds fails the reader.</summary>
    public static ExportedItem Read(scoped ref WireReader wire, int keyBytes)
    {
        var item = new ExportedItem
        {
            Marks = (ItemMarks)wire.Byte(),
            ClientFlags = wire.UInt32(),
            ExpiresAt = wire.UInt32(),
            LastAccess = wire.UInt32(),
            Cas = wire.UInt64(),
        };
        int valueBytes = wire.Int32();
        if (keyBytes is 0 or > Limits.KeyBytesMax || valueBytes > Limits.ItemBytesMax)
            wire.Fail();
        item.Key = wire.Bytes(keyBytes);
        item.Value = wire.Bytes(valueBytes);
        return item;
    }
}
