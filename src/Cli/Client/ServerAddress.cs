using System.Globalization;

namespace OrleansCache.Cli.Client;

/// <summary>Where a server listens: HOST:PORT, HOST (port 11211), [V6]:PORT, or unix:PATH.</summary>
internal sealed record ServerAddress(string Host, int Port, string? SocketPath = null)
{
    public const int PortDefault = 11211;

    public static ServerAddress Parse(string text)
    {
        if (text.StartsWith("unix:", StringComparison.Ordinal) && text.Length > 5)
            return new ServerAddress("", 0, text[5..]);
        int colon = text.LastIndexOf(':');
        bool isBareV6 = text.Count(character => character == ':') > 1 && !text.Contains(']', StringComparison.Ordinal);
        if (colon < 0 || isBareV6 || text.EndsWith(']'))
            return Check(text, text, PortDefault);
        if (!int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port is < 1 or > 65535)
            throw CliException.Usage($"--server: \"{text}\" is not HOST:PORT");
        return Check(text, text[..colon], port);
    }

    public override string ToString() =>
        SocketPath is not null ? "unix:" + SocketPath
        : string.Create(CultureInfo.InvariantCulture, $"{(Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port}");

    private static ServerAddress Check(string text, string host, int port)
    {
        host = host.Trim('[', ']');
        return host.Length > 0 ? new ServerAddress(host, port) : throw CliException.Usage($"--server: \"{text}\" is not HOST:PORT");
    }
}
