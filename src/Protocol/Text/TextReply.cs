using System.Buffers.Text;
using System.Text.Unicode;

namespace OrleansCache.Protocol.Text;

/// <summary>
/// Writes the replies of the text protocol. Every method returns the bytes written; the destination is large enough (see the Max constants) or it throws.
/// </summary>
public static class TextReply
{
    /// <summary>Longest VALUE line: "VALUE " key flags bytes cas CRLF.</summary>
    public const int ValueHeaderBytesMax = 6 + Limits.KeyBytesMax + 1 + 10 + 1 + 10 + 1 + 20 + 2;

    /// <summary>Longest line of a command with one key and no value (a counter, STORED, an error).</summary>
    public const int LineBytesMax = 256;

    public static ReadOnlySpan<byte> End => "END\r\n"u8;

    public static ReadOnlySpan<byte> Ok => "OK\r\n"u8;

    public static ReadOnlySpan<byte> Error => TextErrors.UnknownCommand;

    /// <summary>The data block did not end in CRLF.</summary>
    /// <summary>memcached's words where it has no memory for a reply, or for a value that arrives, or for a line.</summary>
    public static ReadOnlySpan<byte> OutOfMemoryWriting => "SERVER_ERROR out of memory writing get response\r\n"u8;
    public static ReadOnlySpan<byte> OutOfMemoryStoring => TextErrors.OutOfMemoryStoring;
    public static ReadOnlySpan<byte> OutOfMemoryReading => TextErrors.LineTooLong;

    public static ReadOnlySpan<byte> BadDataChunk => "CLIENT_ERROR bad data chunk\r\n"u8;

    private static ReadOnlySpan<byte> ServerErrorPrefix => "SERVER_ERROR "u8;

    /// <summary>"VALUE key flags bytes[ cas]CRLF". The value and its CRLF follow.</summary>
    public static int WriteValueHeader(Span<byte> destination, ReadOnlySpan<byte> key, uint clientFlags, int valueLength, bool withCas, ulong cas)
    {
        "VALUE "u8.CopyTo(destination);
        key.CopyTo(destination[6..]);
        int position = 6 + key.Length;
        if (clientFlags == 0)
        {
            " 0 "u8.CopyTo(destination[position..]);
            position += 3;
        }
        else
        {
            destination[position++] = (byte)' ';
            position += WriteNumber(destination[position..], clientFlags);
            destination[position++] = (byte)' ';
        }

        position += WriteNumber(destination[position..], (uint)valueLength);
        if (withCas)
        {
            destination[position++] = (byte)' ';
            position += WriteNumber(destination[position..], cas);
        }

        return position + Write(destination[position..], "\r\n"u8);
    }

    /// <summary>
    /// The line that answers a command other than the get family and the admin commands: STORED, NOT_FOUND, TOUCHED, a counter, SERVER_ERROR ...
    /// </summary>
    public static int WriteResult(Span<byte> destination, TextVerb verb, in CacheReply reply)
    {
        switch (reply.Status)
        {
            case CacheStatus.Ok:
                switch (verb)
                {
                    case TextVerb.Increment or TextVerb.Decrement:
                        int digits = WriteNumber(destination, reply.Number);
                        return digits + Write(destination[digits..], "\r\n"u8);
                    case TextVerb.Touch:
                        return Write(destination, "TOUCHED\r\n"u8);
                    case TextVerb.Delete:
                        return Write(destination, "DELETED\r\n"u8);
                    default:
                        return Write(destination, "STORED\r\n"u8);
                }

            case CacheStatus.NotFound:
                return Write(destination, "NOT_FOUND\r\n"u8);
            case CacheStatus.NotStored:
                return Write(destination, "NOT_STORED\r\n"u8);
            case CacheStatus.Exists:
                return Write(destination, "EXISTS\r\n"u8);
            case CacheStatus.NotNumeric:
                return Write(destination, TextErrors.NotNumeric);
            case CacheStatus.TooLarge:
                // What is too large by itself never gets here; what has grown too large by appending was not stored, says memcached.
                return Write(destination, verb is TextVerb.Append or TextVerb.Prepend ? "NOT_STORED\r\n"u8 : TextErrors.TooLarge);
            case CacheStatus.OutOfMemory:
                return Write(destination, verb is TextVerb.Increment or TextVerb.Decrement ? TextErrors.OutOfMemory : TextErrors.OutOfMemoryStoring);
            case CacheStatus.Unavailable:
                return WriteServerError(destination, reply.Reason ?? "partition unavailable");
            default:
                return WriteServerError(destination, "Unhandled storage type.");
        }
    }

    /// <summary>"SERVER_ERROR reasonCRLF", control characters replaced, cut to <see cref="LineBytesMax"/>.</summary>
    public static int WriteServerError(Span<byte> destination, string reason)
    {
        int position = Write(destination, ServerErrorPrefix);
        Span<byte> text = destination[position..(LineBytesMax - 2)];
        Utf8.FromUtf16(reason, text, out _, out int written);
        foreach (ref byte character in text[..written])
        {
            if (character is < 0x20 or 0x7f)
                character = (byte)'?';
        }

        position += written;
        return position + Write(destination[position..], "\r\n"u8);
    }

    private static int Write(Span<byte> destination, ReadOnlySpan<byte> line)
    {
        line.CopyTo(destination);
        return line.Length;
    }

    private static int WriteNumber(Span<byte> destination, ulong number)
    {
        if (!Utf8Formatter.TryFormat(number, destination, out int written))
            ThrowTooShort();
        return written;
    }

    private static void ThrowTooShort() => throw new ArgumentException("The destination is shorter than the line.", "destination");
}
