using OrleansCache.Gateway.Options;

namespace OrleansCache.Silo.Options;

/// <summary>
/// What -Y, -S, -Z, -B, -U and -l must fulfil together: memcached's rules in its words, but for -Y and -S given together, which here serves both
/// protocols.
/// </summary>
internal static class SecurityChecks
{
    public static void Check(ServeOptions options)
    {
        bool text = options.AuthFile is not null;
        bool sasl = options.SaslEnabled;
        WireProtocol? given = options.ProtocolGiven ? options.Protocol : null;
        if (sasl && (given == WireProtocol.Ascii || (given == WireProtocol.Auto && !text)))
            throw StartException.Usage("ERROR: You cannot allow the ASCII protocol while using SASL.");
        if (sasl && options.UdpPort != 0)
            throw StartException.Usage("ERROR: Cannot enable UDP while using binary SASL authentication.");
        if (text && (given == WireProtocol.Binary || (given == WireProtocol.Auto && !sasl)))
            throw StartException.Usage("ERROR: You cannot allow the BINARY protocol while using ascii authentication tokens.");
        if (text && options.UdpPort != 0)
            throw StartException.Usage("Cannot use UDP with ascii authentication enabled (-U 0 to disable)");
        if (options.TlsEnabled && options.SocketPath is null && options.Port == 0
            && (options.Listen is null || !options.Listen.Contains(':', StringComparison.Ordinal)))
            throw StartException.Usage("ERROR: You cannot enable SSL without a TCP port.");
        if (options.Listen is null || !ListenSpec.TryParse(options.Listen, options.Port, out List<ListenSpec> listeners, out _))
            return;
        foreach (ListenSpec listener in listeners)
        {
            if (listener.Tls is not null && !options.TlsEnabled)
                throw StartException.Usage($"'{listener.TlsPrefix}' option is valid only when SSL is enabled");
            if (listener.Protocol == WireProtocol.Binary && text && !sasl)
                throw StartException.Usage("Cannot use binary protocol when ascii authentication enabled");
            if (listener.Protocol == WireProtocol.Auto && text && !sasl)
                options.Warnings.Add("WARNING: negotiating ports are ascii only when ascii authentication enabled");
            if (listener.Protocol == WireProtocol.Auto && sasl && !text)
                options.Warnings.Add("WARNING: negotiating ports are binary only when SASL is enabled");
        }
    }

    /// <summary>What a listener speaks; null for one that says nothing about it.</summary>
    public static WireProtocol Protocol(ServeOptions options, WireProtocol? listener) => (listener ?? options.Protocol) switch
    {
        WireProtocol.Auto when options.AuthFile is not null && !options.SaslEnabled => WireProtocol.Ascii,
        WireProtocol.Auto when options.SaslEnabled && options.AuthFile is null => WireProtocol.Binary,
        WireProtocol protocol => protocol,
    };
}
