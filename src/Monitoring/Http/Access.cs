using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace OrleansCache.Monitoring.Http;

internal enum AccessResult
{
    Granted = 0,

    /// <summary>Nothing was shown that could be wrong.</summary>
    LoginMissing,

    /// <summary>A wrong token or login.</summary>
    LoginWrong,

    /// <summary>A page of another site has made the browser ask (DNS rebinding).</summary>
    ForeignHost,
}

/// <summary>
/// Who may read. With a token or logins: who shows one of them. Without: everybody on this machine, by an address or `localhost` only, because the
/// name of another site that resolves to this machine is how a page in a browser would get here.
/// </summary>
internal sealed class Access
{
    private readonly MonitoringOptions _options;
    private readonly byte[]? _tokenDigest;

    public Access(MonitoringOptions options, IPEndPoint endPoint)
    {
        if (options.IsOpen && !IPAddress.IsLoopback(endPoint.Address))
            throw new ArgumentException("Beyond loopback a token or logins are needed.", nameof(options));
        _options = options;
        _tokenDigest = options.Token is null ? null : Digest(Encoding.UTF8.GetBytes(options.Token));
    }

    public AccessResult Check(HttpRequest request)
    {
        if (_options.IsOpen)
            return IsAddress(request.Host.Host) ? AccessResult.Granted : AccessResult.ForeignHost;
        string? header = request.Headers.Authorization;
        if (string.IsNullOrEmpty(header))
            return AccessResult.LoginMissing;
        return IsRight(header) ? AccessResult.Granted : AccessResult.LoginWrong;
    }

    private static bool IsAddress(string host) =>
        host.Length == 0 || host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || IPAddress.TryParse(host.Trim('[', ']'), out _);

    private bool IsRight(string header)
    {
        if (header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return IsToken(Encoding.UTF8.GetBytes(header["Bearer ".Length..].Trim()));
        if (!header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase))
            return false;
        byte[] pair = new byte[header.Length];
        if (!Convert.TryFromBase64String(header["Basic ".Length..].Trim(), pair, out int length))
            return false;
        ReadOnlySpan<byte> login = pair.AsSpan(0, length);
        int colon = login.IndexOf((byte)':');
        return colon >= 0 && (IsToken(login[(colon + 1)..]) || _options.Logins?.IsRight(login[..colon], login[(colon + 1)..]) == true);
    }

    /// <summary>Digests have one length, so that the time tells nothing.</summary>
    private bool IsToken(ReadOnlySpan<byte> shown) => _tokenDigest is not null && CryptographicOperations.FixedTimeEquals(Digest(shown), _tokenDigest);

    private static byte[] Digest(ReadOnlySpan<byte> text) => SHA256.HashData(text);
}
