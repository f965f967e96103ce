using OrleansCache.Gateway.Tls;

namespace OrleansCache.Silo.Options;

/// <summary>The names of -o that belong to -Z, with memcached's checks and words.</summary>
internal static class TlsExtendedOptions
{
    private const int WriteBufferKilobytesMax = Limits.TlsWriteBufferBytesMax / 1024;

    private static readonly string[] s_versions = ["tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"];

    public static IReadOnlyList<ExtendedOption> All { get; } =
    [
        Value("ssl_chain_cert", "file", "file with the server's certificate and those above it, in PEM format",
            (o, text) => Set(o, o.Tls with { ChainFile = text })),
        Value("ssl_key", "file", "file with the private key, if it does not stand in ssl_chain_cert", (o, text) => Set(o, o.Tls with { KeyFile = text })),
        Value("ssl_verify_mode", "0..3", "client certificates: 0 not asked for, 1 checked if shown, 2 or 3 demanded", (o, text) =>
            !Values.TryInteger(text, out long mode) ? "could not parse argument to ssl_verify_mode"
            : mode is < 0 or > TlsOptions.ModeMax ? "Invalid ssl_verify_mode. Use help to see valid options."
            : Set(o, o.Tls with { VerifyMode = (int)mode })),
        Value("ssl_keyformat", "format", "format of ssl_key: 1 or PEM, 2 or DER", (o, text) => text.ToUpperInvariant() switch
        {
            "1" or "PEM" => Set(o, o.Tls with { KeyFormat = TlsKeyFormat.Pem }),
            "2" or "DER" => Set(o, o.Tls with { KeyFormat = TlsKeyFormat.Der }),
            "ENGINE" => "ssl_keyformat: keys in an engine cannot be used here; PEM and DER can",
            _ => "could not parse argument to ssl_keyformat",
        }),
        Value("ssl_ciphers", "a:b", "cipher suites up to TLS 1.2, by OpenSSL's or IANA's names, separated by colons (no classes such as HIGH)",
            (o, text) => Set(o, o.Tls with { Ciphers = text })),
        Value("ssl_ca_cert", "file", "file with the authorities that vouch for client certificates, in PEM format",
            (o, text) => Set(o, o.Tls with { ClientAuthoritiesFile = text })),
        Value("ssl_wbuf_size", "num", "kilobytes of output that are encrypted at a time, 4 to 1024", (o, text) =>
            !Values.TryInteger(text, out long kilobytes) || kilobytes < 0 ? "could not parse argument to ssl_wbuf_size"
            : kilobytes > WriteBufferKilobytesMax ? Values.Invariant($"ssl_wbuf_size cannot be more than {WriteBufferKilobytesMax}")
            : Set(o, o.Tls with { WriteBufferBytes = (int)kilobytes * 1024 })),
        Flag("ssl_session_cache", OptionState.Works, "count new sessions in `stats` (clients may take up a former session in any case)",
            o => Set(o, o.Tls with { SessionCache = true })),
        Flag("ssl_kernel_tls", OptionState.NoEffect, "encryption stays in the process", o => Set(o, o.Tls with { KernelTls = true })),
        Value("ssl_min_version", "version", "least version: 0 to 3, or tlsv1.0 to tlsv1.3", (o, text) =>
        {
            long version = Array.IndexOf(s_versions, text);
            if (version < 0 && !Values.TryInteger(text, out version))
                return "could not parse argument to ssl_min_version";
            return version is < 0 or > TlsOptions.ModeMax
                ? "Invalid ssl_min_version. Use help to see valid options." : Set(o, o.Tls with { MinVersion = (int)version });
        }),
    ];

    private static string? Set(ServeOptions options, TlsOptions tls)
    {
        options.Tls = tls;
        return null;
    }

    private static ExtendedOption Value(string name, string argument, string help, Func<ServeOptions, string, string?> apply) => new()
    {
        Name = name,
        Argument = argument,
        Help = help,
        State = OptionState.Works,
        Missing = $"Missing {name} argument",
        Apply = (o, text) => text.Length == 0 ? $"Missing {name} argument" : apply(o, text),
    };

    private static ExtendedOption Flag(string name, OptionState state, string help, Action<ServeOptions> set) =>
        new() { Name = name, Help = help, State = state, Set = set };
}
