using OrleansCache.Gateway.Options;

namespace OrleansCache.Silo.Options;

/// <summary>
/// One listener of -l, in memcached's grammar: notls:proto[ascii]:tag[name]:host:port, where all but the host may be missing. IPv6 addresses stand in
/// brackets if a port follows. Names are resolved when the listener opens, not here.
/// </summary>
/// <param name="Host">Name or address; null for every interface.</param>
/// <param name="Port">0 for any free port.</param>
/// <param name="Protocol">Null: -B says it.</param>
/// <param name="Tls">notls, btls or mtls; null: -Z says it.</param>
/// <param name="Tag">Empty if there is none.</param>
internal readonly record struct ListenSpec(string? Host, int Port, WireProtocol? Protocol = null, TlsMode? Tls = null, string Tag = "")
{
    private const int TagCharactersMax = 8;

    private static readonly (string Prefix, TlsMode Mode)[] s_tlsPrefixes =
        [("notls", TlsMode.Off), ("btls", TlsMode.NoClientCertificate), ("mtls", TlsMode.ClientCertificate)];

    /// <summary>The word of -l for what <see cref="Tls"/> says.</summary>
    public string TlsPrefix
    {
        get
        {
            TlsMode? tls = Tls;
            return Array.Find(s_tlsPrefixes, one => one.Mode == tls).Prefix ?? "";
        }
    }

    /// <summary>Parses a whole -l argument. Entries that are named twice listen once.</summary>
    public static bool TryParse(string text, int defaultPort, out List<ListenSpec> listeners, out string? error)
    {
        listeners = [];
        error = null;
        foreach (string entry in text.Split([',', ';'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (!TryParseOne(entry, defaultPort, out ListenSpec listener, out error))
                return false;
            if (!listeners.Exists(other => other.Host == listener.Host && other.Port == listener.Port))
                listeners.Add(listener);
        }

        if (listeners.Count == 0)
            error = "No address given to listen on";
        return error is null;
    }

    private static bool TryParseOne(string entry, int defaultPort, out ListenSpec listener, out string? error)
    {
        listener = default;
        string rest = entry;
        WireProtocol? wire = null;
        TlsMode? tls = null;
        foreach ((string prefix, TlsMode mode) in s_tlsPrefixes)
        {
            if (!rest.StartsWith(prefix + ":", StringComparison.Ordinal))
                continue;
            tls = mode;
            rest = rest[(prefix.Length + 1)..];
            break;
        }

        if (rest.StartsWith("proto[", StringComparison.Ordinal))
        {
            if (!TakeBracketed(ref rest, "proto[", ']', out string protocol))
                return Fail($"Invalid protocol spec: \"{entry}\"", out error);
            wire = protocol switch
            {
                "ascii" => WireProtocol.Ascii,
                "binary" => WireProtocol.Binary,
                "negotiating" => WireProtocol.Auto,
                _ => null,
            };
            if (wire is null)
                return Fail($"Invalid protocol spec: \"{entry}\"", out error);
        }

        string tag = "";
        char tagEnd = rest.StartsWith("tag[", StringComparison.Ordinal) ? ']' : rest.StartsWith("tag_", StringComparison.Ordinal) ? '_' : '\0';
        if (tagEnd != '\0')
        {
            if (!TakeBracketed(ref rest, rest[..4], tagEnd, out tag))
                return Fail($"Invalid tag in socket config: \"{entry}\"", out error);
            if (tag.Length is 0 or > TagCharactersMax)
                return Fail($"Listener tags must be between 1 and {TagCharactersMax} characters: \"{tag}\"", out error);
        }

        string host;
        string? portText = null;
        if (rest.StartsWith('['))
        {
            int end = rest.IndexOf(']', StringComparison.Ordinal);
            if (end < 0)
                return Fail($"Invalid IPV6 address: \"{rest}\"", out error);
            host = rest[1..end];
            string after = rest[(end + 1)..];
            if (after.Length > 0)
            {
                if (after[0] != ':')
                    return Fail($"Invalid IPV6 address: \"{rest}\"", out error);
                portText = after[1..];
            }
        }
        else
        {
            // One colon divides host and port; more than one make a bare IPv6 address.
            int colon = rest.IndexOf(':', StringComparison.Ordinal);
            bool hasPort = colon >= 0 && rest.IndexOf(':', colon + 1) < 0;
            host = hasPort ? rest[..colon] : rest;
            if (hasPort)
                portText = rest[(colon + 1)..];
        }

        int port = defaultPort == -1 ? 0 : defaultPort;
        if (portText is not null)
        {
            if (!Values.TryPort(portText, -1, out port))
                return Fail($"Invalid port number: \"{portText}\"", out error);
            port = Math.Max(port, 0);
        }

        listener = new ListenSpec(host is "*" or "" ? null : host, port, wire, tls, tag);
        error = null;
        return true;
    }

    private static bool TakeBracketed(ref string rest, string opening, char closing, out string inside)
    {
        int end = rest.IndexOf(closing, opening.Length);
        inside = end < 0 ? "" : rest[opening.Length..end];
        if (end < 0)
            return false;
        rest = rest[(end + 1)..];
        if (rest.StartsWith(':'))
            rest = rest[1..];
        return true;
    }

    private static bool Fail(string message, out string error)
    {
        error = message;
        return false;
    }
}
