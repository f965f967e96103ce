using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OrleansCache.Cli.Client;

/// <summary>How to speak to a server: time-out, login and TLS, the same for every connection of a command.</summary>
internal sealed record ConnectionOptions
{
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);

    public string? User { get; init; }

    public string? Password { get; init; }

    public bool Tls { get; init; }

    public bool TlsInsecure { get; init; }

    public X509Certificate2Collection? Authorities { get; init; }

    public X509Certificate2? Certificate { get; init; }

    public static ConnectionOptions Read(CliContext context)
    {
        (string? user, string? password) = ReadLogin(context.Text("user"), context.Text("password-file"));
        string? authority = context.Text("tls-ca");
        string? certificate = context.Text("tls-cert");
        string? key = context.Text("tls-key");
        try
        {
            X509Certificate2Collection? authorities = null;
            if (authority is not null)
            {
                authorities = [];
                authorities.ImportFromPemFile(authority);
            }

            return new ConnectionOptions
            {
                Timeout = TimeSpan.FromSeconds(context.Integer("timeout", 5, 1, 3600)),
                User = user,
                Password = password,
                Tls = context.Has("tls") || authority is not null || certificate is not null || context.Has("tls-insecure"),
                TlsInsecure = context.Has("tls-insecure"),
                Authorities = authorities,
                Certificate = certificate is null ? null : X509Certificate2.CreateFromPemFile(certificate, key ?? certificate),
            };
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw CliException.Usage($"the certificates cannot be read: {exception.Message}");
        }
    }

    /// <summary>The file has the password alone, or lines name:password of which that of the user counts, or the first.</summary>
    internal static (string? User, string? Password) ReadLogin(string? user, string? file)
    {
        if (file is null)
            return user is null ? (null, null) : throw CliException.Usage("--user needs --password-file (a password on the command line is seen by everybody)");
        string[] lines;
        try
        {
            lines = [.. File.ReadLines(file).Take(10_000).Where(line => line.Length > 0)];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw CliException.Usage($"--password-file: {exception.Message}");
        }

        if (lines.Length == 0)
            throw CliException.Usage($"--password-file: {file} is empty");
        foreach (string line in lines)
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0 && (user is null || line[..colon] == user))
                return (line[..colon], line[(colon + 1)..]);
        }

        if (user is null)
            throw CliException.Usage("--password-file holds no name:password line: --user says who logs in");
        return lines.Length == 1 ? (user, lines[0]) : throw CliException.Usage($"--password-file: {file} does not know {user}");
    }
}
