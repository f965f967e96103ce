namespace OrleansCache.Ownership.Routing;

/// <summary>A part of a scan on its way between silos, little endian: <c>u8 layout = 1 | u64 next position | u8 last | i32 items | items</c>.</summary>
internal static class ScanFormat
{
    private const byte Layout = 1;
    private const byte Fetched = 1;
    private const byte BinaryKey = 2;

    public static byte[] Encode(ItemScanPage page)
    {
        MessageWriter writer = new(64 * (page.Items.Count + 1));
        writer.Byte(Layout);
        writer.Int64((long)page.NextPosition);
        writer.Byte(page.IsLast ? (byte)1 : (byte)0);
        writer.Int32(page.Items.Count);
        foreach (ItemRecord item in page.Items)
        {
            writer.Bytes(item.Key);
            writer.Int32((int)item.ExpiresAt);
            writer.Int32((int)item.LastAccess);
            writer.Int64((long)item.Cas);
            writer.Byte((byte)((item.IsFetched ? Fetched : 0) | (item.IsBinaryKey ? BinaryKey : 0)));
            writer.Int32(item.ClassId);
            writer.Int32(item.Bytes);
            writer.Int32((int)item.ClientFlags);
        }

        return writer.ToArray();
    }

    /// <summary>Null for anything that is no such message.</summary>
    public static ItemScanPage? Decode(ReadOnlySpan<byte> wire)
    {
        WireReader reader = new(wire);
        if (reader.Byte() != Layout)
            return null;
        ulong next = (ulong)reader.Int64();
        bool last = reader.Byte() != 0;
        int count = reader.Int32();
        if (count < 0 || count > reader.Remaining)
            return null;
        ItemRecord[] items = new ItemRecord[count];
        for (int i = 0; i < count; i++)
        {
            byte[] key = reader.Bytes().ToArray();
            uint expiresAt = (uint)reader.Int32();
            uint lastAccess = (uint)reader.Int32();
            ulong cas = (ulong)reader.Int64();
            byte marks = reader.Byte();
            items[i] = new ItemRecord(
                key, expiresAt, lastAccess, cas, (marks & Fetched) != 0, reader.Int32(), reader.Int32(), (uint)reader.Int32(), (marks & BinaryKey) != 0);
        }

        return reader.Failed || reader.Remaining != 0 ? null : new ItemScanPage(items, next, last);
    }
}
