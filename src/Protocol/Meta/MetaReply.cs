using System.Buffers.Text;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Protocol.Meta;

/// <summary>Writes the replies of the meta protocol: a two-letter status, then what the command asked for in the order in which it asked.</summary>
public static class MetaReply
{
    /// <summary>
    /// Longest line with its end, and the value of a counter behind it: status, nine flags with the longest numbers, opaque, key in base64, Z X W.
    /// </summary>
    public const int LineBytesMax = 640;

    public static ReadOnlySpan<byte> NoOp => "MN\r\n"u8;

    /// <summary>
    /// Writes the line and returns its bytes; 0 if the command is quiet and this reply one that it keeps silent. If <paramref name="valueFollows"/>, the caller
    /// writes <see cref="CacheReply.Value"/> and CRLF behind it.
    /// </summary>
    /// <param name="destination">At least <see cref="LineBytesMax"/> bytes.</param>
    /// <param name="form">What the command asked for.</param>
    /// <param name="key">The command's key, decoded.</param>
    /// <param name="reply">How it ended.</param>
    /// <param name="nowUnixSeconds">What t and l count from.</param>
    /// <param name="valueFollows">Whether the value is to be written behind the line.</param>
    public static int WriteLine(Span<byte> destination, in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply, uint nowUnixSeconds,
        out bool valueFollows)
    {
        valueFollows = false;
        if (reply.Status != CacheStatus.Ok)
            return WriteFailure(destination, form, key, reply);
        if (form.Verb == MetaVerb.Debug)
            return WriteDebug(destination, form, key, reply, nowUnixSeconds);
        if (form.Has(MetaFlags.Quiet) && form.Verb != MetaVerb.Get)
            return 0;

        int position = 2;
        bool isCounter = form.Verb == MetaVerb.Arithmetic;
        bool withValue = form.Has(MetaFlags.Value)
            && (isCounter || (form.Verb == MetaVerb.Get && !(form.Has(MetaFlags.CompareCas) && reply.Cas == form.CompareCas)));
        int digits = isCounter && withValue ? CountDigits(reply.Number) : 0;
        if (withValue)
        {
            "VA "u8.CopyTo(destination);
            position = 3;
            WriteNumber(destination, ref position, isCounter ? (uint)digits : (uint)reply.Value.Length);
        }
        else
        {
            "HD"u8.CopyTo(destination);
        }

        if (form.Verb == MetaVerb.Get)
            WriteGetFlags(destination, ref position, form, key, reply, nowUnixSeconds);
        else
            WriteFlags(destination, ref position, form, key, reply, nowUnixSeconds, withItem: form.Verb != MetaVerb.Delete);
        Write(destination, ref position, "\r\n"u8);
        if (isCounter && withValue)
        {
            WriteNumber(destination, ref position, reply.Number);
            Write(destination, ref position, "\r\n"u8);
        }

        valueFollows = withValue && !isCounter;
        return position;
    }

    private static void WriteGetFlags(Span<byte> destination, ref int position, in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply, uint now)
    {
        MetaReturns returns = form.Returns;
        for (uint code; (code = returns.Take()) != 0;)
        {
            switch (code)
            {
                case MetaReturns.Size:
                    WriteFlag(destination, ref position, 's', (uint)reply.Value.Length);
                    break;
                case MetaReturns.Ttl:
                    WriteTtl(destination, ref position, form, reply, now);
                    break;
                case MetaReturns.Cas:
                    WriteFlag(destination, ref position, 'c', reply.Cas);
                    break;
                case MetaReturns.ClientFlags:
                    WriteFlag(destination, ref position, 'f', reply.ClientFlags);
                    break;
                case MetaReturns.LastAccess:
                    WriteFlag(destination, ref position, 'l', now > reply.LastAccess ? now - reply.LastAccess : 0);
                    break;
                case MetaReturns.Fetched:
                    WriteFlag(destination, ref position, 'h', (reply.ItemFlags & ItemFlags.Fetched) != 0 ? 1u : 0);
                    break;
                case MetaReturns.Opaque:
                    WriteOpaque(destination, ref position, form);
                    break;
                case MetaReturns.Key:
                    WriteKey(destination, ref position, key, NeedsBase64(form, key, reply));
                    break;
            }
        }

        if ((reply.ItemFlags & (ItemFlags.AlreadyWon | ItemFlags.Stale | ItemFlags.Won)) == 0)
            return;
        if ((reply.ItemFlags & ItemFlags.AlreadyWon) != 0)
            Write(destination, ref position, " Z"u8);
        if ((reply.ItemFlags & ItemFlags.Stale) != 0)
            Write(destination, ref position, " X"u8);
        if ((reply.ItemFlags & ItemFlags.Won) != 0)
            Write(destination, ref position, " W"u8);
    }

    /// <summary>The flags of ms, md and ma; and of an mg that found nothing.</summary>
    private static void WriteFlags(
        Span<byte> destination, ref int position, in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply, uint now, bool withItem)
    {
        MetaReturns returns = form.Returns;
        for (uint code; (code = returns.Take()) != 0;)
        {
            switch (code)
            {
                case MetaReturns.Opaque:
                    WriteOpaque(destination, ref position, form);
                    break;
                case MetaReturns.Key:
                    WriteKey(destination, ref position, key, form.Has(MetaFlags.BinaryKey));
                    break;
                case MetaReturns.Cas when withItem:
                    WriteFlag(destination, ref position, 'c', reply.Status == CacheStatus.Ok ? reply.Cas : 0);
                    break;
                case MetaReturns.Size when form.Verb == MetaVerb.Set:
                    WriteFlag(destination, ref position, 's', reply.Status == CacheStatus.Ok ? (uint)reply.Value.Length : (uint)form.ValueLength);
                    break;
                case MetaReturns.Ttl when withItem && form.Verb == MetaVerb.Arithmetic:
                    WriteTtl(destination, ref position, form, reply, now);
                    break;
            }
        }
    }

    private static int WriteFailure(Span<byte> destination, in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply)
    {
        bool isGet = form.Verb is MetaVerb.Get or MetaVerb.Debug;
        ReadOnlySpan<byte> status;
        switch (reply.Status)
        {
            case CacheStatus.NotFound when isGet:
                if (form.Verb == MetaVerb.Get && form.Has(MetaFlags.Quiet))
                    return 0;
                status = "EN"u8;
                break;
            case CacheStatus.NotFound:
                status = "NF"u8;
                break;
            case CacheStatus.NotStored:
                status = "NS"u8;
                break;
            case CacheStatus.Exists:
                status = "EX"u8;
                break;
            case CacheStatus.NotNumeric:
                return WriteLine(destination, TextErrors.NotNumeric);
            case CacheStatus.TooLarge:
                return WriteLine(destination, TextErrors.TooLarge);
            case CacheStatus.OutOfMemory:
                return WriteLine(destination, form.Verb == MetaVerb.Set ? TextErrors.OutOfMemoryStoring : TextErrors.OutOfMemory);
            default:
                return TextReply.WriteServerError(destination, reply.Reason ?? "partition unavailable");
        }

        status.CopyTo(destination);
        int position = 2;
        if (form.Verb != MetaVerb.Debug)
            WriteFlags(destination, ref position, form, key, reply, 0, withItem: form.Verb == MetaVerb.Set);
        Write(destination, ref position, "\r\n"u8);
        return position;
    }

    private static int WriteDebug(Span<byte> destination, in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply, uint now)
    {
        int position = 0;
        Write(destination, ref position, "ME "u8);
        if (NeedsBase64(form, key, reply))
        {
            position += Base64Key.Encode(key, destination[position..]);
        }
        else
        {
            Write(destination, ref position, key);
        }

        Write(destination, ref position, " exp="u8);
        WriteRemaining(destination, ref position, reply.ExpiresAt, now);
        Write(destination, ref position, " la="u8);
        WriteNumber(destination, ref position, now > reply.LastAccess ? now - reply.LastAccess : 0);
        Write(destination, ref position, " cas="u8);
        WriteNumber(destination, ref position, reply.Cas);
        Write(destination, ref position, (reply.ItemFlags & ItemFlags.Fetched) != 0 ? " fetch=yes cls="u8 : " fetch=no cls="u8);
        WriteNumber(destination, ref position, reply.SlabClass);
        Write(destination, ref position, " size="u8);
        WriteNumber(destination, ref position, (ulong)Limits.MemcachedItemBytes(key.Length, reply.Value.Length, reply.ClientFlags));
        Write(destination, ref position, "\r\n"u8);
        return position;
    }

    /// <summary>
    /// What mg and me show of a key: base64 if the item was stored with a key in base64; and, other than memcached, if such a key was asked for that would
    /// break the line.
    /// </summary>
    private static bool NeedsBase64(in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply) =>
        (reply.ItemFlags & ItemFlags.BinaryKey) != 0 || (form.Has(MetaFlags.BinaryKey) && key.IndexOfAnyInRange((byte)0, (byte)' ') >= 0);

    private static void WriteTtl(Span<byte> destination, ref int position, in MetaReplyForm form, in CacheReply reply, uint now)
    {
        Write(destination, ref position, " t"u8);
        WriteRemaining(destination, ref position, (reply.ItemFlags & ItemFlags.Created) != 0 ? form.CreatedExpiresAt : reply.ExpiresAt, now);
    }

    private static void WriteRemaining(Span<byte> destination, ref int position, uint expiresAt, uint now)
    {
        if (expiresAt == Expiry.Never)
            Write(destination, ref position, "-1"u8);
        else
            WriteNumber(destination, ref position, expiresAt > now ? expiresAt - now : 0);
    }

    private static void WriteKey(Span<byte> destination, ref int position, ReadOnlySpan<byte> key, bool base64)
    {
        Write(destination, ref position, " k"u8);
        if (base64)
        {
            position += Base64Key.Encode(key, destination[position..]);
            Write(destination, ref position, " b"u8);
        }
        else
        {
            Write(destination, ref position, key);
        }
    }

    private static void WriteOpaque(Span<byte> destination, ref int position, in MetaReplyForm form)
    {
        destination[position++] = (byte)' ';
        Write(destination, ref position, form.Opaque);
    }

    private static void WriteFlag(Span<byte> destination, ref int position, char letter, ulong number)
    {
        destination[position++] = (byte)' ';
        destination[position++] = (byte)letter;
        WriteNumber(destination, ref position, number);
    }

    private static void WriteNumber(Span<byte> destination, ref int position, ulong number)
    {
        Utf8Formatter.TryFormat(number, destination[position..], out int written);
        position += written;
    }

    private static int CountDigits(ulong number)
    {
        int digits = 1;
        while (number >= 10)
        {
            number /= 10;
            digits++;
        }

        return digits;
    }

    private static void Write(Span<byte> destination, ref int position, ReadOnlySpan<byte> text)
    {
        text.CopyTo(destination[position..]);
        position += text.Length;
    }

    private static int WriteLine(Span<byte> destination, ReadOnlySpan<byte> line)
    {
        line.CopyTo(destination);
        return line.Length;
    }
}
