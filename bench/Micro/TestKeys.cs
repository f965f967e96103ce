using System.Globalization;
using System.Text;

namespace OrleansCache.Benchmarks;

/// <summary>The load generator's keys: 32 bytes, "k000...0123".</summary>
internal static class TestKeys
{
    public const int Bytes = 32;

    public static string Text(int number) => "k" + number.ToString(CultureInfo.InvariantCulture).PadLeft(Bytes - 1, '0');

    public static byte[] Of(int number) => Encoding.ASCII.GetBytes(Text(number));

    /// <summary>Keys <paramref name="first"/>, <paramref name="first"/> + 1, ... in one array, <see cref="Bytes"/> each.</summary>
    public static byte[] Range(int first, int count)
    {
        byte[] keys = new byte[count * Bytes];
        for (int i = 0; i < count; i++)
            Encoding.ASCII.GetBytes(Text(first + i), keys.AsSpan(i * Bytes, Bytes));
        return keys;
    }
}
