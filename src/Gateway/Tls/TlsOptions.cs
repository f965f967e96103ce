namespace OrleansCache.Gateway.Tls;

/// <summary>How the file of the private key is written.</summary>
public enum TlsKeyFormat
{
    /// <summary>memcached's number.</summary>
    Pem = 1,

    Der = 2,
}

/// <summary>memcached's -o ssl_*, in its meanings and with its defaults.</summary>
public sealed record TlsOptions
{
    /// <summary>Highest <see cref="VerifyMode"/>, and highest <see cref="MinVersion"/>.</summary>
    public const int ModeMax = 3;

    /// <summary>ssl_chain_cert: PEM, the server's certificate first.</summary>
    public string? ChainFile { get; init; }

    /// <summary>ssl_key; without it the key stands in <see cref="ChainFile"/>.</summary>
    public string? KeyFile { get; init; }

    public TlsKeyFormat KeyFormat { get; init; } = TlsKeyFormat.Pem;

    /// <summary>
    /// ssl_verify_mode: 0 asks for no client certificate, 1 asks and takes none for an answer, 2 and 3 want one. One that is shown must be vouched for.
    /// </summary>
    public int VerifyMode { get; init; }

    /// <summary>ssl_ca_cert: PEM, who vouches for client certificates.</summary>
    public string? ClientAuthoritiesFile { get; init; }

    /// <summary>ssl_ciphers: suites up to TLS 1.2 by OpenSSL's or IANA's names, separated by colons; null for the system's choice.</summary>
    public string? Ciphers { get; init; }

    /// <summary>ssl_min_version: 0 to 3 for TLS 1.0 to 1.3.</summary>
    public int MinVersion { get; init; } = 2;

    /// <summary>ssl_wbuf_size: output is encrypted in pieces of up to this size.</summary>
    public int WriteBufferBytes { get; init; } = 16 * 1024;

    /// <summary>ssl_session_cache.</summary>
    public bool SessionCache { get; init; }

    /// <summary>ssl_kernel_tls: `stats settings` shows it; it changes nothing.</summary>
    public bool KernelTls { get; init; }

    /// <summary>memcached's word for the least version.</summary>
    public string MinVersionName => MinVersion switch { 0 => "tlsv1.0", 1 => "tlsv1.1", 2 => "tlsv1.2", _ => "tlsv1.3" };
}
