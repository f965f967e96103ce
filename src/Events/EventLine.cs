using System.Buffers.Text;

namespace OrleansCache.Events;

/// <summary>
/// Writes an event as memcached writes it: "ts=1700000000.4711 gid=8 type=... \n" (the fraction is in microseconds and not padded, as there).
/// </summary>
internal ref struct EventLine(Span<byte> destination)
{
    private readonly Span<byte> _destination = destination;
    private int _length;

    /// <summary>The line that says how many were left out before the next one.</summary>
    public static int WriteSkipped(Span<byte> destination, long count, ReadOnlySpan<byte> suffix)
    {
        var line = new EventLine(destination);
        line.Add("skipped="u8, count);
        line.Add(suffix);
        line.Add("\n"u8);
        return line._length;
    }

    /// <summary>
    /// Writes the whole line; <paramref name="suffix"/> goes before its end. The destination has <see cref="Limits.EventLineBytesMax"/> bytes.
    /// </summary>
    public static int Write(Span<byte> destination, in EventRecord record, ReadOnlySpan<byte> text, ulong gid, ReadOnlySpan<byte> suffix)
    {
        var line = new EventLine(destination);
        line.Add("ts="u8, record.TimeMicroseconds / 1_000_000);
        line.Add("."u8, record.TimeMicroseconds % 1_000_000);
        line.Add(" gid="u8, (long)gid);
        switch (record.Type)
        {
            case EventType.ItemGet:
                line.AddKey(" type=item_get key="u8, text);
                line.Add(" status="u8, (ItemGetStatus)record.Status switch
                {
                    ItemGetStatus.NotFound => "not_found"u8,
                    ItemGetStatus.Found => "found"u8,
                    ItemGetStatus.Flushed => "flushed"u8,
                    _ => "expired"u8,
                });
                line.Add(" clsid="u8, record.ClassId);
                line.Add(" cfd="u8, record.Connection);
                line.Add(" size="u8, record.Size);
                break;
            case EventType.ItemStore:
                line.AddKey(" type=item_store key="u8, text);
                line.Add(" status="u8, (ItemStoreStatus)record.Status switch
                {
                    ItemStoreStatus.NotStored => "not_stored"u8,
                    ItemStoreStatus.Stored => "stored"u8,
                    ItemStoreStatus.Exists => "exists"u8,
                    ItemStoreStatus.NotFound => "not_found"u8,
                    ItemStoreStatus.TooLarge => "too_large"u8,
                    _ => "no_memory"u8,
                });
                line.Add(" cmd="u8, (ItemStoreCommand)record.Command switch
                {
                    ItemStoreCommand.None => "null"u8,
                    ItemStoreCommand.Add => "add"u8,
                    ItemStoreCommand.Set => "set"u8,
                    ItemStoreCommand.Replace => "replace"u8,
                    ItemStoreCommand.Append => "append"u8,
                    ItemStoreCommand.Prepend => "prepend"u8,
                    ItemStoreCommand.Cas => "cas"u8,
                    _ => "na"u8,
                });
                line.Add(" ttl="u8, (uint)record.Ttl);
                line.Add(" clsid="u8, record.ClassId);
                line.Add(" cfd="u8, record.Connection);
                line.Add(" size="u8, record.Size);
                break;
            case EventType.Eviction:
                line.AddKey(" type=eviction key="u8, text);
                line.Add(" fetch="u8, record.Status != 0 ? "yes"u8 : "no"u8);
                line.Add(" ttl="u8, record.Ttl);
                line.Add(" la="u8, record.LastAccessSeconds);
                line.Add(" clsid="u8, record.ClassId);
                line.Add(" size="u8, record.Size);
                break;
            case EventType.Deleted:
                line.AddKey(" type=deleted key="u8, text);
                line.Add(" cmd="u8, (ItemDeleteCommand)record.Command switch
                {
                    ItemDeleteCommand.None => "null"u8,
                    ItemDeleteCommand.Delete => "delete"u8,
                    ItemDeleteCommand.MetaDelete => "md"u8,
                    _ => "na"u8,
                });
                line.Add(" clsid="u8, record.ClassId);
                line.Add(" size="u8, record.Size);
                break;
            case EventType.ConnectionNew:
            case EventType.ConnectionClosed:
                line.Add(record.Type == EventType.ConnectionNew ? " type=conn_new rip="u8 : " type=conn_close rip="u8, text);
                line.Add(" rport="u8, record.Size);
                line.Add(" transport="u8, (ConnectionTransport)record.Command switch
                {
                    ConnectionTransport.Local => "local"u8,
                    ConnectionTransport.Tcp => "tcp"u8,
                    _ => "udp"u8,
                });
                if (record.Type == EventType.ConnectionClosed)
                {
                    line.Add(" reason="u8, (ConnectionCloseReason)record.Status switch
                    {
                        ConnectionCloseReason.Error => "error"u8,
                        ConnectionCloseReason.Normal => "normal"u8,
                        ConnectionCloseReason.IdleTimeout => "idle_timeout"u8,
                        _ => "shutdown"u8,
                    });
                }

                line.Add(" cfd="u8, record.Connection);
                break;
            default:
                line.Add(" "u8, text);
                break;
        }

        line.Add(suffix);
        line.Add("\n"u8);
        return line._length;
    }

    private void Add(scoped ReadOnlySpan<byte> text)
    {
        text.CopyTo(_destination[_length..]);
        _length += text.Length;
    }

    private void Add(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        Add(name);
        Add(value);
    }

    private void Add(scoped ReadOnlySpan<byte> name, long value)
    {
        Add(name);
        Utf8Formatter.TryFormat(value, _destination[_length..], out int written);
        _length += written;
    }

    /// <summary>URI-encoded: letters, digits and -._~ stand for themselves.</summary>
    private void AddKey(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> key)
    {
        Add(name);
        foreach (byte b in key)
        {
            if (char.IsAsciiLetterOrDigit((char)b) || b is (byte)'-' or (byte)'.' or (byte)'_' or (byte)'~')
            {
                _destination[_length++] = b;
                continue;
            }

            _destination[_length++] = (byte)'%';
            _destination[_length++] = HexDigit(b >> 4);
            _destination[_length++] = HexDigit(b & 15);
        }
    }

    private static byte HexDigit(int value) => (byte)(value < 10 ? '0' + value : 'A' + value - 10);
}
