using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace OrleansCache.Membership;

/// <summary>Where a seed is asked: a host (name or address; IPv6 in brackets) and a port. Compared as written, without regard to case.</summary>
public readonly record struct SeedAddress
{
    /// <summary>Longest text of an address, in characters; all of them ASCII.</summary>
    public const int LengthMax = 255 + 6;

    private readonly string? _text;

    /// <summary>Throws <see cref="FormatException"/>, in one line, for what <see cref="TryParse"/> does not take.</summary>
    public SeedAddress(string host, int port)
    {
        string text = string.Create(CultureInfo.InvariantCulture, $"{host}:{port}");
        if (!TryParse(text, out SeedAddress address))
            throw new FormatException($"'{text}' is no seed's address; expected HOST:PORT");
        _text = address._text;
    }

    private SeedAddress(string text, bool _) => _text = text;

    public string Host => ToString()[..Math.Max(0, ToString().LastIndexOf(':'))];

    public int Port => _text is null ? 0 : int.Parse(_text.AsSpan(_text.LastIndexOf(':') + 1), NumberStyles.None, CultureInfo.InvariantCulture);

    /// <summary>HOST:PORT, port 1 to 65535, printable ASCII, no blanks.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out SeedAddress address)
    {
        address = default;
        if (text is null || text.Length > LengthMax || text.AsSpan().ContainsAnyExceptInRange('!', '~'))
            return false;
        int colon = text.LastIndexOf(':');
        if (colon <= 0 || (text.IndexOf(':') != colon && (text[0] != '[' || text[colon - 1] != ']')))
            return false;
        if (!ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
            return false;
        address = new SeedAddress(string.Create(CultureInfo.InvariantCulture, $"{text[..colon]}:{port}").ToLowerInvariant(), true);
        return true;
    }

    public override string ToString() => _text ?? "";
}
