using System.Buffers.Text;

namespace OrleansCache.Storage;

/// <summary>
/// The text of counters as memcached reads it, which is as C's strtoull does: leading white space, a sign, digits; then the end or white space
/// (what stands behind that is not looked at). A negative number passes only if it wraps to less than 2^63.
/// </summary>
internal static class NumberText
{
    /// <summary>Digits of 2^64 - 1.</summary>
    public const int BytesMax = 20;

    public static bool TryParse(ReadOnlySpan<byte> text, out ulong value)
    {
        value = 0;
        int i = 0;
        while (i < text.Length && IsSpace(text[i]))
            i++;
        bool negative = false;
        if (i < text.Length && text[i] is (byte)'-' or (byte)'+')
            negative = text[i++] == '-';
        int first = i;
        for (; i < text.Length && text[i] is >= (byte)'0' and <= (byte)'9'; i++)
        {
            uint digit = text[i] - (uint)'0';
            if (value > (ulong.MaxValue - digit) / 10)
                return false;
            value = (value * 10) + digit;
        }

        if (i == first || (i < text.Length && !IsSpace(text[i]) && text[i] != 0))
            return false;
        if (!negative)
            return true;
        value = unchecked(0 - value);
        return value <= long.MaxValue;
    }

    /// <summary>Writes the decimal digits; returns their number.</summary>
    public static int Format(ulong value, Span<byte> destination)
    {
        Utf8Formatter.TryFormat(value, destination, out int written);
        return written;
    }

    private static bool IsSpace(byte b) => b is (byte)' ' or (>= 9 and <= 13);
}
