namespace OrleansCache.Protocol.Text;

/// <summary>Writes the replies of the text protocol. Every method returns the bytes written; the destination is large enough (see the Max constants) or it throws.</summary>
public static class TextReply
{
    /// <summary>Longest VALUE line: "VALUE " key flags bytes cas CRLF.</summary>
    public const int ValueHeaderBytesMax = 6 + Limits.KeyBytesMax + 1 + 10 + 1 + 10 + 1 + 20 + 2;

    /// <summary>Longest line of a command with one key and no value (a counter, STORED, an error).</summary>
    public const int LineBytesMax = 256;

    public static ReadOnlySpan<byte> End => "END\r\n"u8;

    /// <summary>"VALUE key flags bytes[ cas]CRLF". The value and its CRLF follow.</summary>
    public static int WriteValueHeader(Span<byte> destination, ReadOnlySpan<byte> key, uint clientFlags, int valueLength, bool withCas, ulong cas) =>
        throw new NotImplementedException();

    /// <summary>The line that answers a command other than the get family and the admin commands: STORED, NOT_FOUND, TOUCHED, a counter, SERVER_ERROR ...</summary>
    public static int WriteResult(Span<byte> destination, TextVerb verb, in CacheReply reply) => throw new NotImplementedException();

    /// <summary>"SERVER_ERROR reasonCRLF", control characters replaced, cut to <see cref="LineBytesMax"/>.</summary>
    public static int WriteServerError(Span<byte> destination, string reason) => throw new NotImplementedException();
}
