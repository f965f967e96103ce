using System.Text;

namespace OrleansCache.Fuzz.Stores;

/// <summary>An item as it travels.</summary>
internal sealed record TravelItem(string Key, byte Marks, uint ClientFlags, uint ExpiresAt, uint LastAccess, ulong Cas, byte[] Value);

/// <summary>Blocks of items, read and written a second time, plainly, from the drawing of the format and nothing else.</summary>
internal sealed class NaiveExport
{
    private const byte Version = 2;

    public List<TravelItem> Items { get; } = [];
    public ulong Sequence { get; private set; }
    public uint ScheduledFlush { get; private set; }

    /// <summary>Null if the input is not what the format says.</summary>
    public static NaiveExport? Read(byte[] input)
    {
        var export = new NaiveExport();
        using var reader = new BinaryReader(new MemoryStream(input));
        try
        {
            while (reader.BaseStream.Position < input.Length)
            {
                if (reader.ReadByte() != Version)
                    return null;
                export.Sequence = Math.Max(export.Sequence, reader.ReadUInt64());
                export.ScheduledFlush = reader.ReadUInt32();
                for (byte keyBytes = reader.ReadByte(); keyBytes != 0; keyBytes = reader.ReadByte())
                {
                    if (keyBytes > Limits.KeyBytesMax)
                        return null;
                    (byte marks, uint flags, uint expiresAt, uint access, ulong cas) =
                        (reader.ReadByte(), reader.ReadUInt32(), reader.ReadUInt32(), reader.ReadUInt32(), reader.ReadUInt64());
                    int valueBytes = reader.ReadInt32();
                    if (valueBytes < 0 || valueBytes > Limits.ItemBytesMax || valueBytes > input.Length)
                        return null;
                    byte[] key = reader.ReadBytes(keyBytes), value = reader.ReadBytes(valueBytes);
                    if (key.Length < keyBytes || value.Length < valueBytes)
                        return null;
                    export.Items.Add(new TravelItem(Encoding.Latin1.GetString(key), marks, flags, expiresAt, access, cas, value));
                }
            }
        }
        catch (EndOfStreamException)
        {
            return null;
        }

        return export;
    }

    public static byte[] Write(ulong sequence, uint scheduledFlush, IEnumerable<TravelItem> items)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(Version);
        writer.Write(sequence);
        writer.Write(scheduledFlush);
        foreach (TravelItem item in items)
        {
            writer.Write((byte)item.Key.Length);
            writer.Write(item.Marks);
            writer.Write(item.ClientFlags);
            writer.Write(item.ExpiresAt);
            writer.Write(item.LastAccess);
            writer.Write(item.Cas);
            writer.Write(item.Value.Length);
            writer.Write(Encoding.Latin1.GetBytes(item.Key));
            writer.Write(item.Value);
        }

        writer.Write((byte)0);
        return stream.ToArray();
    }
}
