using System.Buffers.Text;

namespace OrleansCache.Protocol.Meta;

/// <summary>
/// Keys in base64 as memcached reads them: bytes outside of the alphabet are skipped, what is left must come in fours, and everything behind the padding is
/// ignored.
/// </summary>
internal static class Base64Key
{
    private const int NoDigit = 0x80;

    /// <summary>Bytes that a key takes in base64, at most.</summary>
    public const int EncodedBytesMax = (Limits.KeyBytesMax + 2) / 3 * 4;

    /// <summary>Returns the bytes written (fewer than came), or 0 if the source is not base64.</summary>
    public static int Decode(ReadOnlySpan<byte> source, Span<byte> target)
    {
        int digits = 0;
        foreach (byte character in source)
            digits += ReadDigit(character) != NoDigit ? 1 : 0;
        if (digits == 0 || digits % 4 != 0 || digits / 4 * 3 > target.Length)
            return 0;

        int written = 0, count = 0, padding = 0;
        uint block = 0;
        foreach (byte character in source)
        {
            int digit = ReadDigit(character);
            if (digit == NoDigit)
                continue;
            if (character == '=')
                padding++;
            block = (block << 6) | (uint)digit;
            if (++count < 4)
                continue;
            count = 0;
            target[written] = (byte)(block >> 16);
            target[written + 1] = (byte)(block >> 8);
            target[written + 2] = (byte)block;
            written += 3;
            if (padding > 0)
                return padding > 2 ? 0 : written - padding;
        }

        return written;
    }

    /// <summary>Returns the bytes written.</summary>
    public static int Encode(ReadOnlySpan<byte> key, Span<byte> target)
    {
        Base64.EncodeToUtf8(key, target, out _, out int written);
        return written;
    }

    private static int ReadDigit(byte character) => character switch
    {
        >= (byte)'A' and <= (byte)'Z' => character - 'A',
        >= (byte)'a' and <= (byte)'z' => character - 'a' + 26,
        >= (byte)'0' and <= (byte)'9' => character - '0' + 52,
        (byte)'+' => 62,
        (byte)'/' => 63,
        (byte)'=' => 0,
        _ => NoDigit,
    };
}
