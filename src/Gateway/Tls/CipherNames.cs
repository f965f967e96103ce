using System.Net.Security;

namespace OrleansCache.Gateway.Tls;

/// <summary>
/// Reads a list of cipher suites: IANA's names (TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) and OpenSSL's (ECDHE-RSA-AES128-GCM-SHA256).
/// Non-goal: OpenSSL's classes and operators (HIGH, !aNULL, @STRENGTH); .NET wants suites by name.
/// </summary>
internal static class CipherNames
{
    private static readonly TlsCipherSuite[] s_tls13 =
        [TlsCipherSuite.TLS_AES_256_GCM_SHA384, TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256, TlsCipherSuite.TLS_AES_128_GCM_SHA256];

    /// <summary>
    /// Null if a name is unknown; <paramref name="unknown"/> is that name then. TLS 1.3's suites are always allowed, as OpenSSL's list does not touch them.
    /// </summary>
    public static IReadOnlyList<TlsCipherSuite>? Parse(string list, out string unknown)
    {
        var suites = new List<TlsCipherSuite>(s_tls13);
        unknown = list;
        foreach (string name in list.Split([':', ' '], StringSplitOptions.RemoveEmptyEntries))
        {
            unknown = name;
            string standard = name.StartsWith("TLS_", StringComparison.Ordinal) ? name : ToStandard(name);
            if (!Enum.TryParse(standard, ignoreCase: false, out TlsCipherSuite suite) || !Enum.IsDefined(suite))
                return null;
            if (!suites.Contains(suite))
                suites.Add(suite);
        }

        return suites.Count > s_tls13.Length || list.Contains("TLS_", StringComparison.Ordinal) ? suites : null;
    }

    // OpenSSL leaves out what goes without saying: RSA as the key exchange, CBC as the mode, WITH, and SHA-256 of ChaCha20.
    private static string ToStandard(string name)
    {
        string exchange = "RSA";
        foreach (string prefix in (ReadOnlySpan<string>)["ECDHE-ECDSA-", "ECDHE-RSA-", "DHE-RSA-"])
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal))
            {
                exchange = prefix[..^1].Replace('-', '_');
                name = name[prefix.Length..];
            }
        }

        if (name == "CHACHA20-POLY1305")
            name += "-SHA256";
        name = name.Replace("AES128", "AES_128", StringComparison.Ordinal).Replace("AES256", "AES_256", StringComparison.Ordinal).Replace('-', '_')
            .Replace("CCM8", "CCM_8", StringComparison.Ordinal);
        if (name.StartsWith("AES_", StringComparison.Ordinal)
            && name.Contains("_SHA", StringComparison.Ordinal) && !name.Contains("_GCM", StringComparison.Ordinal))
            name = name.Replace("_SHA", "_CBC_SHA", StringComparison.Ordinal);
        return $"TLS_{exchange}_WITH_{name}";
    }
}
