using System.Buffers.Text;

namespace OrleansCache.Protocol.Meta;

/// <summary>How a command ended, by the first word of its reply.</summary>
public enum MetaReplyKind : byte
{
    None = 0,

    /// <summary>HD: done, or a hit without a value.</summary>
    Done,

    /// <summary>VA: a hit; <see cref="MetaReplyLine.ValueBytes"/> bytes and CRLF follow.</summary>
    Value,

    /// <summary>EN or NF: there is no such item.</summary>
    NotFound,

    /// <summary>NS: not stored.</summary>
    NotStored,

    /// <summary>EX: the CAS is another.</summary>
    Exists,

    /// <summary>MN: the reply to mn.</summary>
    NoOp,

    /// <summary>ERROR: the server does not know the command.</summary>
    Error,

    /// <summary>CLIENT_ERROR; the reason is in <see cref="MetaReplyLine.Text"/>.</summary>
    ClientError,

    /// <summary>SERVER_ERROR; the reason is in <see cref="MetaReplyLine.Text"/>.</summary>
    ServerError,

    /// <summary>Something else: the whole line is in <see cref="MetaReplyLine.Text"/>.</summary>
    Other,
}

/// <summary>
/// The first line of a reply, as a client reads it. Of the flags it takes those that <see cref="MetaRequest.WriteGet"/> asks for; others are skipped.
/// </summary>
public ref struct MetaReplyLine
{
    /// <summary>A reply's line that is longer than this is none.</summary>
    public const int BytesMax = 2048;

    public MetaReplyKind Kind;

    /// <summary>f; 0 if it was not asked for.</summary>
    public uint ClientFlags;

    /// <summary>Bytes of the value that follows, without its CRLF.</summary>
    public int ValueBytes;

    /// <summary>t: seconds to live; -1 never expires (or was not asked for).</summary>
    public long SecondsToLive;

    /// <summary>The reason of an error, or a line that is none of these.</summary>
    public ReadOnlySpan<byte> Text;

    /// <summary>
    /// Reads a line from the beginning of the input. Returns its bytes with its end, or 0 if there is no whole line yet. Throws
    /// <see cref="InvalidDataException"/> if this is no reply of a memcached.
    /// </summary>
    public static int Read(ReadOnlySpan<byte> input, out MetaReplyLine line)
    {
        line = new MetaReplyLine { SecondsToLive = -1 };
        int end = input.IndexOf((byte)'\n');
        if (end < 0)
            return input.Length < BytesMax ? 0 : throw Malformed();
        if (end < 3 || input[end - 1] != '\r')
            throw Malformed();
        ReadOnlySpan<byte> text = input[..(end - 1)];
        bool isShort = text.Length == 2 || text[2] == ' ';
        switch ((text[0] << 8) | text[1])
        {
            case ('H' << 8) | 'D' when isShort:
                line.Kind = MetaReplyKind.Done;
                line.ReadFlags(text[2..]);
                break;
            case ('V' << 8) | 'A' when isShort:
                line.Kind = MetaReplyKind.Value;
                line.ReadValue(text);
                break;
            case ('E' << 8) | 'N' when isShort:
            case ('N' << 8) | 'F' when isShort:
                line.Kind = MetaReplyKind.NotFound;
                break;
            case ('N' << 8) | 'S' when isShort:
                line.Kind = MetaReplyKind.NotStored;
                break;
            case ('E' << 8) | 'X' when isShort:
                line.Kind = MetaReplyKind.Exists;
                break;
            case ('M' << 8) | 'N' when isShort:
                line.Kind = MetaReplyKind.NoOp;
                break;
            default:
                line.ReadOther(text);
                break;
        }

        return end + 1;
    }

    private void ReadValue(ReadOnlySpan<byte> text)
    {
        if (text.Length < 4 || !Utf8Parser.TryParse(text[3..], out ValueBytes, out int digits) || ValueBytes < 0)
            throw Malformed();
        ReadFlags(text[(3 + digits)..]);
    }

    private void ReadFlags(ReadOnlySpan<byte> flags)
    {
        while (!flags.IsEmpty)
        {
            if (flags[0] != ' ')
                throw Malformed();
            int length = flags[1..].IndexOf((byte)' ');
            ReadOnlySpan<byte> flag = length < 0 ? flags[1..] : flags.Slice(1, length);
            flags = flags[(1 + flag.Length)..];
            if (flag.IsEmpty)
                continue;
            bool isRight = flag[0] switch
            {
                (byte)'f' => Utf8Parser.TryParse(flag[1..], out ClientFlags, out int digits) && digits == flag.Length - 1,
                (byte)'t' => Utf8Parser.TryParse(flag[1..], out SecondsToLive, out int digits) && digits == flag.Length - 1,
                _ => true,
            };
            if (!isRight)
                throw Malformed();
        }
    }

    private void ReadOther(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("SERVER_ERROR"u8))
        {
            Kind = MetaReplyKind.ServerError;
            Text = text["SERVER_ERROR"u8.Length..].TrimStart((byte)' ');
        }
        else if (text.StartsWith("CLIENT_ERROR"u8))
        {
            Kind = MetaReplyKind.ClientError;
            Text = text["CLIENT_ERROR"u8.Length..].TrimStart((byte)' ');
        }
        else if (text.SequenceEqual("ERROR"u8) || text.StartsWith("ERROR "u8))
        {
            Kind = MetaReplyKind.Error;
            Text = text;
        }
        else
        {
            Kind = MetaReplyKind.Other;
            Text = text;
        }
    }

    private static InvalidDataException Malformed() => new("What answers is no memcached.");
}
