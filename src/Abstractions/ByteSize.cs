using System.Globalization;

namespace OrleansCache;

/// <summary>
/// A number of bytes that a person reads as "1.2 GB", "600 MB", "12 KB" or "0 bytes". Units of 1024, as memcached's options count. A log in the JSON
/// format shows the number.
/// </summary>
public readonly record struct ByteSize(long Bytes)
{
    private static readonly string[] s_units = ["KB", "MB", "GB", "TB", "PB"];

    /// <summary>
    /// Reads a size as people write it in options: a number of bytes, or of k, m or g (of either case). <paramref name="unit"/>: what a number without a letter
    /// counts.
    /// </summary>
    public static bool TryParse(string text, out long bytes, long unit = 1)
    {
        ArgumentNullException.ThrowIfNull(text);
        bytes = 0;
        if (text.Length == 0)
            return false;
        (long scale, string digits) = text[^1] switch
        {
            'k' or 'K' => (1L << 10, text[..^1]),
            'm' or 'M' => (1L << 20, text[..^1]),
            'g' or 'G' => (1L << 30, text[..^1]),
            _ => (unit, text),
        };
        if (!long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) || value < 0 || value > long.MaxValue / scale)
            return false;
        bytes = value * scale;
        return true;
    }

    public override string ToString()
    {
        if (Bytes is > -1024 and < 1024)
            return string.Create(CultureInfo.InvariantCulture, $"{Bytes} bytes");
        double value = Bytes;
        int unit = -1;
        while ((Math.Abs(value) >= 1023.5 || unit < 0) && unit < s_units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return $"{value.ToString(Math.Abs(value) < 9.95 ? "0.0" : "0", CultureInfo.InvariantCulture)} {s_units[unit]}";
    }
}
