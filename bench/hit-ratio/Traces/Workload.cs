using System.Globalization;
using System.Text;

namespace OrleansCache.HitRatio.Traces;

/// <summary>A trace with what the servers see of it: the text of its keys and the sizes of its values.</summary>
public sealed class Workload
{
    public const int KeyBytesMin = 18;
    public const int KeyBytesMax = 250;

    public Workload(Trace trace, ValueSizes sizes, int keyBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keyBytes, KeyBytesMin);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(keyBytes, KeyBytesMax);
        Trace = trace;
        KeyBytes = keyBytes;
        ValueBytes = [.. trace.KeyNumbers.Select(sizes.BytesOf)];
    }

    public Trace Trace { get; }

    public int KeyBytes { get; }

    /// <summary>The bytes of each key's value.</summary>
    public int[] ValueBytes { get; }

    /// <summary>What a simulation counts for each key: key, value and the overhead.</summary>
    public int[] ItemBytes(int overheadBytes) => [.. ValueBytes.Select(valueBytes => KeyBytes + valueBytes + overheadBytes)];

    /// <summary>"k:" and the key's number in hexadecimal, with leading zeros up to the length of a key.</summary>
    public void WriteKey(int key, Span<byte> destination)
    {
        destination = destination[..KeyBytes];
        destination.Fill((byte)'0');
        "k:"u8.CopyTo(destination);
        Span<char> digits = stackalloc char[16];
        Trace.KeyNumbers[key].TryFormat(digits, out int count, "x", CultureInfo.InvariantCulture);
        Encoding.ASCII.GetBytes(digits[..count], destination[(KeyBytes - count)..]);
    }
}
