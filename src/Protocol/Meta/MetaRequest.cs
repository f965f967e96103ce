using System.Buffers.Text;
using System.Diagnostics;

namespace OrleansCache.Protocol.Meta;

/// <summary>
/// Writes the meta commands that a client sends. Keys are given as they stand on the wire: plain (1 to <see cref="Limits.KeyBytesMax"/> bytes without spaces
/// and control characters), or in base64 (<see cref="EncodeKey"/>). Every command that is written here gets exactly one reply.
/// </summary>
public static class MetaRequest
{
    /// <summary>Longest line that is written here: command, key, and the longest numbers.</summary>
    public const int LineBytesMax = Limits.KeyBytesMax + 64;

    /// <summary>Longest key, in bytes, that fits the line in base64.</summary>
    public const int BinaryKeyBytesMax = (Limits.KeyBytesMax / 4) * 3;

    public static ReadOnlySpan<byte> NoOp => "mn\r\n"u8;

    /// <summary>Turns any key of 1 to <see cref="BinaryKeyBytesMax"/> bytes into its form on the wire. Returns the bytes written.</summary>
    /// <param name="key">The key.</param>
    /// <param name="destination">At least <see cref="Limits.KeyBytesMax"/> bytes.</param>
    public static int EncodeKey(ReadOnlySpan<byte> key, Span<byte> destination)
    {
        Debug.Assert(key.Length is > 0 and <= BinaryKeyBytesMax);
        return Base64Key.Encode(key, destination);
    }

    /// <summary>
    /// mg. The reply has the client flags and the seconds to live, and these from before <paramref name="exptime"/>. Returns the bytes written, as all of these
    /// do.
    /// </summary>
    /// <param name="destination">At least <see cref="LineBytesMax"/> bytes.</param>
    /// <param name="wireKey">The key as it stands on the wire.</param>
    /// <param name="isBase64">Whether it is in base64.</param>
    /// <param name="withValue">Whether the reply has the value.</param>
    /// <param name="exptime">The new expiry, as memcached's argument; null: it stays.</param>
    public static int WriteGet(Span<byte> destination, ReadOnlySpan<byte> wireKey, bool isBase64, bool withValue, long? exptime)
    {
        int position = WriteHead(destination, "mg "u8, wireKey);
        WriteFlag(destination, ref position, " b"u8, isBase64);
        Write(destination, ref position, " f t"u8);
        if (exptime is { } seconds)
            WriteNumber(destination, ref position, " T"u8, seconds);
        WriteFlag(destination, ref position, " v"u8, withValue);
        Write(destination, ref position, "\r\n"u8);
        return position;
    }

    /// <summary>The line of ms; <paramref name="valueBytes"/> bytes and CRLF follow it.</summary>
    public static int WriteSet(Span<byte> destination, ReadOnlySpan<byte> wireKey, bool isBase64, int valueBytes, uint clientFlags, long exptime)
    {
        int position = WriteHead(destination, "ms "u8, wireKey);
        WriteNumber(destination, ref position, " "u8, valueBytes);
        WriteFlag(destination, ref position, " b"u8, isBase64);
        if (clientFlags != 0)
            WriteNumber(destination, ref position, " F"u8, clientFlags);
        if (exptime != 0)
            WriteNumber(destination, ref position, " T"u8, exptime);
        Write(destination, ref position, "\r\n"u8);
        return position;
    }

    /// <summary>md.</summary>
    public static int WriteDelete(Span<byte> destination, ReadOnlySpan<byte> wireKey, bool isBase64)
    {
        int position = WriteHead(destination, "md "u8, wireKey);
        WriteFlag(destination, ref position, " b"u8, isBase64);
        Write(destination, ref position, "\r\n"u8);
        return position;
    }

    private static int WriteHead(Span<byte> destination, ReadOnlySpan<byte> verb, ReadOnlySpan<byte> wireKey)
    {
        Debug.Assert(wireKey.Length is > 0 and <= Limits.KeyBytesMax);
        int position = 0;
        Write(destination, ref position, verb);
        Write(destination, ref position, wireKey);
        return position;
    }

    private static void WriteFlag(Span<byte> destination, ref int position, ReadOnlySpan<byte> flag, bool isWanted)
    {
        if (isWanted)
            Write(destination, ref position, flag);
    }

    private static void WriteNumber(Span<byte> destination, ref int position, ReadOnlySpan<byte> flag, long number)
    {
        Write(destination, ref position, flag);
        Utf8Formatter.TryFormat(number, destination[position..], out int written);
        position += written;
    }

    private static void Write(Span<byte> destination, ref int position, ReadOnlySpan<byte> text)
    {
        text.CopyTo(destination[position..]);
        position += text.Length;
    }
}
