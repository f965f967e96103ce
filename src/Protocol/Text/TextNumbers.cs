namespace OrleansCache.Protocol.Text;

/// <summary>
/// memcached's two ways of reading numbers. Strict: a whole token of digits, of bounded length, a minus where negative numbers make sense.
/// Lax (flags and expiry of the storage commands): C's strtol on the rest of the line, cut to 32 bits.
/// </summary>
internal static class TextNumbers
{
    private const int Digits32Max = 11;
    private const int Digits64Max = 22;

    /// <summary>A lone minus is 0; more than 11 characters are refused whatever their value.</summary>
    public static bool TryReadInt32(ReadOnlySpan<byte> token, out int value)
    {
        value = 0;
        if (token.Length > Digits32Max)
            return false;

        bool negative = !token.IsEmpty && token[0] == '-';
        long sum = 0;
        foreach (byte character in negative ? token[1..] : token)
        {
            uint digit = (uint)(character - '0');
            if (digit > 9)
                return false;
            sum = (sum * 10) + digit;
        }

        if (negative)
            sum = -sum;
        value = (int)sum;
        return value == sum;
    }

    /// <summary>At most 11 digits.</summary>
    public static bool TryReadUInt32(ReadOnlySpan<byte> token, out uint value)
    {
        bool valid = token.Length <= Digits32Max & TryReadUInt64(token, out ulong wide);
        value = (uint)wide;
        return valid && value == wide;
    }

    /// <summary>At most 22 digits, leading zeros included.</summary>
    public static bool TryReadUInt64(ReadOnlySpan<byte> token, out ulong value)
    {
        value = 0;
        if (token.Length > Digits64Max)
            return false;

        ulong sum = 0;
        foreach (byte character in token)
        {
            uint digit = (uint)(character - '0');
            if (digit > 9 || sum > (ulong.MaxValue - digit) / 10)
                return false;
            sum = (sum * 10) + digit;
        }

        value = sum;
        return true;
    }

    /// <summary>strtoul, cut to 32 bits; negative numbers are refused unless they wrap to a small one, as memcached does.</summary>
    public static bool TryReadLaxUInt32(ReadOnlySpan<byte> line, out uint value)
    {
        bool valid = TryReadLax(line, out bool negative, out ulong magnitude, out bool overflow) && !overflow;
        ulong wide = negative ? 0 - magnitude : magnitude;
        value = (uint)wide;
        return valid && !(negative && (long)wide < 0);
    }

    /// <summary>strtol, cut to 32 bits.</summary>
    public static bool TryReadLaxInt32(ReadOnlySpan<byte> line, out int value)
    {
        bool valid = TryReadLax(line, out bool negative, out ulong magnitude, out bool overflow) && !overflow;
        value = (int)(negative ? 0 - magnitude : magnitude);
        return valid && magnitude <= (negative ? 1UL << 63 : long.MaxValue);
    }

    /// <summary>White space, a sign, digits, and then white space, a NUL or the line's end.</summary>
    private static bool TryReadLax(ReadOnlySpan<byte> line, out bool negative, out ulong magnitude, out bool overflow)
    {
        negative = false;
        magnitude = 0;
        overflow = false;
        int i = 0;
        while (i < line.Length && IsWhiteSpace(line[i]))
            i++;
        if (i < line.Length && line[i] is (byte)'-' or (byte)'+')
            negative = line[i++] == '-';

        int start = i;
        for (; i < line.Length; i++)
        {
            uint digit = (uint)(line[i] - '0');
            if (digit > 9)
                break;
            overflow |= magnitude > (ulong.MaxValue - digit) / 10;
            magnitude = unchecked((magnitude * 10) + digit);
        }

        return i > start && (i == line.Length || IsWhiteSpace(line[i]) || line[i] == 0);
    }

    private static bool IsWhiteSpace(byte character) => character == ' ' || (uint)(character - '\t') <= '\r' - '\t';
}
