using System.Buffers.Text;
using OrleansCache.Gateway.Buffers;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// Where a dump of the keyspace stands, and its lines: lru_crawler metadump and mgdump. Partition after partition through
/// <see cref="IPartitionRouter.ScanAsync"/>, so on a cluster it tells everything whatever gateway is asked. Belongs to its session.
/// </summary>
internal sealed class ItemDump(IPartitionRouter router, bool keysOnly, bool[]? classes)
{
    /// <summary>A line: the key with each byte encoded, and seven numbers.</summary>
    private const int LineBytesMax = (3 * Limits.KeyBytesMax) + 256;

    private int _partition;
    private ulong _position;

    /// <summary>A part has been asked for and is not here yet.</summary>
    public bool IsScanning { get; set; }

    public bool IsAtEnd => _partition == router.PartitionCount;

    /// <summary>What ends the dump.</summary>
    public ReadOnlySpan<byte> EndLine => keysOnly ? "EN\r\n"u8 : "END\r\n"u8;

    public ValueTask<ItemScanPage> ScanAsync() => router.ScanAsync(new PartitionId(_partition), _position, CancellationToken.None);

    /// <summary>Writes the lines of a part, and moves on behind it.</summary>
    public void Write(ItemScanPage page, OutputList output)
    {
        foreach (ItemRecord item in page.Items)
        {
            if (classes is not null && !(item.ClassId < classes.Length && classes[item.ClassId]))
                continue;
            Span<byte> line = output.Reserve(LineBytesMax);
            output.Commit(keysOnly ? WriteKey(line, item) : WriteMeta(line, item));
        }

        _position = page.NextPosition;
        if (!page.IsLast)
            return;
        _partition++;
        _position = 0;
    }

    /// <summary>key=... exp=... la=... cas=... fetch=... cls=... size=... flags=... and a bare LF behind a space, as memcached has it.</summary>
    private static int WriteMeta(Span<byte> line, in ItemRecord item)
    {
        int at = Add(line, 0, "key="u8);
        at = AddEncoded(line, at, item.Key);
        at = Add(line, at, " exp="u8);
        at = item.ExpiresAt == Expiry.Never ? Add(line, at, "-1"u8) : Add(line, at, item.ExpiresAt);
        at = Add(line, at, " la="u8);
        at = Add(line, at, item.LastAccess);
        at = Add(line, at, " cas="u8);
        at = Add(line, at, item.Cas);
        at = Add(line, at, item.IsFetched ? " fetch=yes cls="u8 : " fetch=no cls="u8);
        at = Add(line, at, (ulong)item.ClassId);
        at = Add(line, at, " size="u8);
        at = Add(line, at, (ulong)item.Bytes);
        at = Add(line, at, " flags="u8);
        at = Add(line, at, item.ClientFlags);
        return Add(line, at, " \n"u8);
    }

    /// <summary>
    /// mg and the key, so that the line with flags behind it is a command; in base64 if it was stored so, or could not stand in a line otherwise.
    /// </summary>
    private static int WriteKey(Span<byte> line, in ItemRecord item)
    {
        int at = Add(line, 0, "mg "u8);
        if (!item.IsBinaryKey && item.Key.AsSpan().IndexOfAnyInRange((byte)0, (byte)' ') < 0)
            return Add(line, Add(line, at, item.Key), "\r\n"u8);
        Base64.EncodeToUtf8(item.Key, line[at..], out _, out int written);
        return Add(line, at + written, " b\r\n"u8);
    }

    private static int AddEncoded(Span<byte> line, int at, ReadOnlySpan<byte> key)
    {
        foreach (byte character in key)
        {
            if (char.IsAsciiLetterOrDigit((char)character) || character is (byte)'-' or (byte)'.' or (byte)'_' or (byte)'~')
            {
                line[at++] = character;
                continue;
            }

            line[at++] = (byte)'%';
            line[at++] = "0123456789ABCDEF"u8[character >> 4];
            line[at++] = "0123456789ABCDEF"u8[character & 15];
        }

        return at;
    }

    private static int Add(Span<byte> line, int at, ReadOnlySpan<byte> text)
    {
        text.CopyTo(line[at..]);
        return at + text.Length;
    }

    private static int Add(Span<byte> line, int at, ulong number)
    {
        Utf8Formatter.TryFormat(number, line[at..], out int written);
        return at + written;
    }
}
