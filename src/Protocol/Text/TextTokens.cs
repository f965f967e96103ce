using System.Runtime.CompilerServices;

namespace OrleansCache.Protocol.Text;

/// <summary>
/// The tokens of a command line by memcached's rules: separated by runs of spaces (only spaces), the first 23 of them, in the first 64 KiB of the line.
/// Tokens beyond are invisible: they are neither arguments nor noreply.
/// </summary>
internal struct TextTokens
{
    private const int CountMax = Limits.TokensMax - 1;
    private const int LineBytesVisible = ushort.MaxValue - 1;

    private Bounds _starts;
    private Bounds _ends;

    public int Count { get; private set; }

    /// <summary>The token's bytes.</summary>
    public readonly ReadOnlySpan<byte> this[ReadOnlySpan<byte> text, int index] => index < Count ? text[_starts[index].._ends[index]] : default;

    public readonly int StartOf(int index) => _starts[index];

    /// <summary>Whether the last visible token is noreply, wherever it stands.</summary>
    public readonly bool EndsWithNoReply(ReadOnlySpan<byte> text) => Count > 0 && this[text, Count - 1].SequenceEqual("noreply"u8);

    /// <summary>The part of a line, without its end, that memcached's tokenizer sees.</summary>
    public static ReadOnlySpan<byte> Clamp(ReadOnlySpan<byte> text)
    {
        if (text.Length < LineBytesVisible)
            return text;
        return text[..(LineBytesVisible - (text[LineBytesVisible - 2] == '\r' ? 2 : 1))];
    }

    [SkipLocalsInit]
    public static TextTokens Read(ReadOnlySpan<byte> text, int countMax = CountMax)
    {
        Unsafe.SkipInit(out TextTokens tokens);
        text = Clamp(text);
        int count = 0;
        int position = 0;
        while (count < countMax)
        {
            while ((uint)position < (uint)text.Length && text[position] == ' ')
                position++;
            if (position >= text.Length)
                break;

            int length = text[position..].IndexOf((byte)' ');
            int end = length < 0 ? text.Length : position + length;
            tokens._starts[count] = position;
            tokens._ends[count] = end;
            count++;
            position = end;
        }

        tokens.Count = count;
        return tokens;
    }

    [InlineArray(CountMax)]
    private struct Bounds
    {
        private int _first;
    }
}
