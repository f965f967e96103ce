using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance;

/// <summary>
/// Packets of the binary protocol for tests: requests as their bytes in Latin-1 text, so that they can be joined and cut like lines, and replies as a line
/// each. Written from the protocol's description, without the product's own parser and writer.
/// </summary>
internal static class BinaryPacket
{
    public const int HeaderBytes = 24;

    public const byte Get = 0, Set = 1, Add = 2, Replace = 3, Delete = 4, Increment = 5, Decrement = 6, Quit = 7, Flush = 8, GetQ = 9, NoOp = 0xa,
    Version = 0xb, GetK = 0xc,
        GetKQ = 0xd, Append = 0xe, Prepend = 0xf, Stat = 0x10, SetQ = 0x11, AddQ = 0x12, ReplaceQ = 0x13, DeleteQ = 0x14, IncrementQ = 0x15, DecrementQ = 0x16,
        QuitQ = 0x17,
        FlushQ = 0x18, AppendQ = 0x19, PrependQ = 0x1a, Verbosity = 0x1b, Touch = 0x1c, Gat = 0x1d, GatQ = 0x1e, SaslList = 0x20, SaslAuth = 0x21,
        SaslStep = 0x22, GatK = 0x23,
        GatKQ = 0x24;

    /// <summary>A request; the lengths in its header are true unless others are given.</summary>
    public static string Of(
        byte opcode, string key = "", string extras = "", string value = "", uint opaque = 0, ulong cas = 0, int? keyLength = null, int? extrasLength = null,
        uint? bodyLength = null, byte magic = 0x80)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        header[0] = magic;
        header[1] = opcode;
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)(keyLength ?? key.Length));
        header[4] = (byte)(extrasLength ?? extras.Length);
        BinaryPrimitives.WriteUInt32BigEndian(header[8..], bodyLength ?? (uint)(key.Length + extras.Length + value.Length));
        BinaryPrimitives.WriteUInt32BigEndian(header[12..], opaque);
        BinaryPrimitives.WriteUInt64BigEndian(header[16..], cas);
        return Encoding.Latin1.GetString(header) + extras + key + value;
    }

    /// <summary>Set, add, replace.</summary>
    public static string Store(byte opcode, string key, string value, uint flags = 0, uint exptime = 0, uint opaque = 0, ulong cas = 0) =>
        Of(opcode, key, Number(flags) + Number(exptime), value, opaque, cas);

    /// <summary>Increment, decrement.</summary>
    public static string Count(byte opcode, string key, ulong delta, ulong initial = 0, uint exptime = 0, uint opaque = 0, ulong cas = 0) =>
        Of(opcode, key, Number(delta) + Number(initial) + Number(exptime), "", opaque, cas);

    /// <summary>Touch, and the gets that touch.</summary>
    public static string TouchTo(byte opcode, string key, uint exptime, uint opaque = 0) => Of(opcode, key, Number(exptime), "", opaque);

    public static string Number(uint number)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, number);
        return Encoding.Latin1.GetString(bytes);
    }

    public static string Number(ulong number)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, number);
        return Encoding.Latin1.GetString(bytes);
    }

    /// <summary>Bytes of the reply at the start, or 0 if it is not whole.</summary>
    public static int WholeReply(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderBytes)
            return 0;
        long length = HeaderBytes + (long)BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]);
        return length <= bytes.Length ? (int)length : 0;
    }

    public static ulong CasOf(ReadOnlySpan<byte> reply) => BinaryPrimitives.ReadUInt64BigEndian(reply[16..]);

    public static uint OpaqueOf(ReadOnlySpan<byte> reply) => BinaryPrimitives.ReadUInt32BigEndian(reply[12..]);

    /// <summary>
    /// One reply as text: opcode and status in hexadecimal, opaque, then what there is of extras (hexadecimal), key and value. <paramref name="cas"/> is what
    /// to show for a CAS number. The fields that are always alike are checked.
    /// </summary>
    public static string Show(ReadOnlySpan<byte> reply, string cas = "cas")
    {
        int keyLength = BinaryPrimitives.ReadUInt16BigEndian(reply[2..]);
        int extrasLength = reply[4];
        ReadOnlySpan<byte> extras = reply.Slice(HeaderBytes, extrasLength);
        ReadOnlySpan<byte> key = reply.Slice(HeaderBytes + extrasLength, keyLength);
        ReadOnlySpan<byte> value = reply[(HeaderBytes + extrasLength + keyLength)..];
        var text = new StringBuilder();
        if (reply[0] != 0x81)
            text.Append(CultureInfo.InvariantCulture, $"(magic {reply[0]:x2}) ");
        if (reply[5] != 0)
            text.Append(CultureInfo.InvariantCulture, $"(data type {reply[5]:x2}) ");
        text.Append(CultureInfo.InvariantCulture, $"{reply[1]:x2} {BinaryPrimitives.ReadUInt16BigEndian(reply[6..]):x2} #{OpaqueOf(reply)}");
        if (CasOf(reply) != 0)
            text.Append(' ').Append(cas);
        if (extrasLength > 0)
            text.Append(" ext=").Append(Convert.ToHexStringLower(extras));
        if (keyLength > 0)
            text.Append(" key=").Append(Encoding.Latin1.GetString(key));
        if (!value.IsEmpty)
            text.Append(" [").Append(Encoding.Latin1.GetString(value)).Append(']');
        return text.ToString();
    }

    /// <summary>All replies of an output, a line each; what is left over at the end too.</summary>
    public static string ShowAll(string output)
    {
        var lines = new List<string>();
        ReadOnlySpan<byte> rest = Encoding.Latin1.GetBytes(output);
        while (WholeReply(rest) is > 0 and int length)
        {
            lines.Add(Show(rest[..length]));
            rest = rest[length..];
        }

        if (!rest.IsEmpty)
            lines.Add($"(left over) {Encoding.Latin1.GetString(rest)}");
        return string.Join('\n', lines);
    }
}
