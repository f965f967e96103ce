using System.Text;

namespace OrleansCache.Monitoring.Api;

/// <summary>Keys as text: bytes that are no letter, digit or one of -._~ are percent-encoded, as in `lru_crawler metadump`.</summary>
internal static class KeyText
{
    public static string Encode(ReadOnlySpan<byte> key)
    {
        var text = new StringBuilder(key.Length);
        foreach (byte one in key)
        {
            if (char.IsAsciiLetterOrDigit((char)one) || one is (byte)'-' or (byte)'.' or (byte)'_' or (byte)'~')
                text.Append((char)one);
            else
                text.Append('%').Append(one.ToString("X2", System.Globalization.CultureInfo.InvariantCulture));
        }

        return text.ToString();
    }
}
