using System.Globalization;

namespace OrleansCache;

/// <summary>
/// A number of bytes that a person reads as "1.2 GB", "600 MB", "12 KB" or "0 bytes". Units of 1024, as memcached's options count. A log in the JSON
/// format shows the number.
/// </summary>
public readonly record struct ByteSize(long Bytes)
{
    private static readonly string[] s_units = ["KB", "MB", "GB", "TB", "PB"];

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
