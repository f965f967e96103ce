using System.Globalization;

namespace OrleansCache.Silo.Options;

/// <summary>Reads the values of options. memcached takes "x" for 0 and "1g" for 1; here a value that is no number is an error.</summary>
internal static class Values
{
    public static bool TryInteger(string text, out long value) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);

    public static bool TryFraction(string text, out double value) =>
        double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value);

    /// <summary>A count with memcached's message for what is below its least value.</summary>
    public static string? Count(string text, long least, long most, string tooSmall, Action<int> set)
    {
        if (!TryInteger(text, out long value))
            return NotANumber(text);
        if (value < least)
            return tooSmall;
        if (value > most)
            return Invariant($"{text} is more than the largest value, {most}");
        set((int)value);
        return null;
    }

    /// <summary>-m: megabytes; also with m or g. (Not k: memcached would read 64k as 64 megabytes.)</summary>
    public static bool TryMegabytes(string text, out long bytes)
    {
        bytes = 0;
        return text.Length > 0 && text[^1] is not ('k' or 'K') && ByteSize.TryParse(text, out bytes, unit: 1 << 20);
    }

    /// <summary>-I: bytes, or with k, m (and g).</summary>
    public static bool TryBytes(string text, out long bytes) => ByteSize.TryParse(text, out bytes);

    public static bool TryPort(string text, long least, out int port)
    {
        port = 0;
        if (!TryInteger(text, out long value) || value < least || value > 65535)
            return false;
        port = (int)value;
        return true;
    }

    public static bool TrySwitch(string text, out bool value)
    {
        switch (text.Trim().ToUpperInvariant())
        {
            case "1" or "TRUE" or "YES" or "ON":
                value = true;
                return true;
            case "0" or "FALSE" or "NO" or "OFF" or "":
                value = false;
                return true;
            default:
                value = false;
                return false;
        }
    }

    /// <summary>strtol(text, 8) of a file mode.</summary>
    public static bool TryOctal(string text, out int mode)
    {
        mode = 0;
        if (text.Length is 0 or > 5)
            return false;
        foreach (char c in text)
        {
            if (c is < '0' or > '7')
                return false;
            mode = mode * 8 + (c - '0');
        }

        return mode <= 0x1FF;
    }

    public static string NotANumber(string text) => $"\"{text}\" is not a number";

    public static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
