using System.Globalization;

namespace OrleansCache.Cli.Output;

/// <summary>Numbers as a person reads them at a glance.</summary>
internal static class Figures
{
    /// <summary>Up to 9,999 in full, then 12.3 k, 4.5 M, 1.2 G.</summary>
    public static string Count(double value)
    {
        if (Math.Abs(value) < 9_999.5)
            return value.ToString("0", CultureInfo.InvariantCulture);
        string[] units = ["k", "M", "G", "T"];
        int unit = -1;
        while (Math.Abs(value) >= 999.5 && unit < units.Length - 1)
        {
            value /= 1000;
            unit++;
        }

        return value.ToString(Math.Abs(value) < 9.95 ? "0.0" : "0", CultureInfo.InvariantCulture) + units[unit];
    }

    public static string Bytes(long bytes) => new ByteSize(bytes).ToString();

    public static string Percent(double? share) =>
        share is null ? "-" : (share.Value * 100).ToString(share > 0.9995 ? "0" : "0.0", CultureInfo.InvariantCulture) + "%";

    /// <summary>45 s, 12 min, 3 h, 8 d.</summary>
    public static string Duration(long seconds) => seconds switch
    {
        < 120 => Text(seconds, "s"),
        < 7200 => Text(seconds / 60, "min"),
        < 172_800 => Text(seconds / 3600, "h"),
        _ => Text(seconds / 86_400, "d"),
    };

    /// <summary>Microseconds as 450 us, 1.25 ms, 3.1 s.</summary>
    public static string Latency(double microseconds) => microseconds switch
    {
        < 1_000 => microseconds.ToString("0", CultureInfo.InvariantCulture) + " us",
        < 10_000 => (microseconds / 1_000).ToString("0.00", CultureInfo.InvariantCulture) + " ms",
        < 1_000_000 => (microseconds / 1_000).ToString("0.0", CultureInfo.InvariantCulture) + " ms",
        _ => (microseconds / 1_000_000).ToString("0.0", CultureInfo.InvariantCulture) + " s",
    };

    public static string Plural(long count, string noun) => string.Create(CultureInfo.InvariantCulture, $"{count} {noun}{(count == 1 ? "" : "s")}");

    private static string Text(long value, string unit) => string.Create(CultureInfo.InvariantCulture, $"{value} {unit}");
}
