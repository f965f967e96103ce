namespace OrleansCache.Protocol.Text;

/// <summary>What the parser must know of the options.</summary>
/// <param name="ItemBytesMax">-I.</param>
/// <param name="FlushEnabled">False with -F: flush_all answers CLIENT_ERROR flush_all not allowed.</param>
public readonly record struct TextLimits(int ItemBytesMax, bool FlushEnabled = true);

/// <summary>
/// Parses the classic text protocol: bytes in, one command line out. Knows no I/O, keeps no state and allocates nothing.
/// Incomplete input consumes nothing, so that the same line parses alike however it was cut into segments.
/// </summary>
public static class TextParser
{
    /// <summary>Parses the first line of <paramref name="input"/>.</summary>
    /// <param name="input">What has been received and not yet consumed, contiguous.</param>
    /// <param name="limits">The options that matter.</param>
    /// <param name="command">Filled according to the status.</param>
    /// <param name="consumed">Bytes of the line with its end; 0 with NeedMore.</param>
    public static TextParseStatus Parse(ReadOnlySpan<byte> input, in TextLimits limits, out TextCommand command, out int consumed) =>
        throw new NotImplementedException();

    /// <summary>Takes the next key from the rest of a get line; false when there is none left.</summary>
    public static bool TryReadKey(ref ReadOnlySpan<byte> keys, out ReadOnlySpan<byte> key) => throw new NotImplementedException();
}
