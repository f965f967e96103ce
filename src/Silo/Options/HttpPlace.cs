namespace OrleansCache.Silo.Options;

/// <summary>The value of --http: PORT, HOST:PORT or [ADDRESS]:PORT. Port 0 is any free one.</summary>
internal static class HttpPlace
{
    public const string HostDefault = "127.0.0.1";

    public static bool TryParse(string text, out string? host, out int port)
    {
        int colon = text.LastIndexOf(':');
        host = colon < 0 ? HostDefault : text[..colon];
        if (host.StartsWith('[') && host.EndsWith(']'))
            host = host[1..^1];
        else if (host.Contains(':', StringComparison.Ordinal))
            host = "";
        return Values.TryPort(text[(colon + 1)..], 0, out port) && host.Length > 0;
    }
}
