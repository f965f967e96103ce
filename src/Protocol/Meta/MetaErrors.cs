namespace OrleansCache.Protocol.Meta;

/// <summary>memcached's error lines of the meta commands, CRLF included.</summary>
internal static class MetaErrors
{
    public static ReadOnlySpan<byte> DuplicateFlag => "CLIENT_ERROR duplicate flag\r\n"u8;
    public static ReadOnlySpan<byte> InvalidFlag => "CLIENT_ERROR invalid flag\r\n"u8;
    public static ReadOnlySpan<byte> InvalidOrDuplicateFlag => "CLIENT_ERROR invalid or duplicate flag\r\n"u8;
    public static ReadOnlySpan<byte> TooManyFlags => "CLIENT_ERROR options flags are too long\r\n"u8;
    public static ReadOnlySpan<byte> BadKey => "CLIENT_ERROR error decoding key\r\n"u8;
    public static ReadOnlySpan<byte> BadToken => "CLIENT_ERROR bad token in command line format\r\n"u8;
    public static ReadOnlySpan<byte> BadInitial => "CLIENT_ERROR invalid numeric initial value\r\n"u8;
    public static ReadOnlySpan<byte> BadDelta => "CLIENT_ERROR invalid numeric delta value\r\n"u8;
    public static ReadOnlySpan<byte> BadSetMode => "CLIENT_ERROR invalid mode for ms M token\r\n"u8;
    public static ReadOnlySpan<byte> BadArithmeticMode => "CLIENT_ERROR invalid mode for ma M token\r\n"u8;
    public static ReadOnlySpan<byte> OpaqueTooLong => "CLIENT_ERROR opaque token too long\r\n"u8;
}
