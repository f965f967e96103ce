using Microsoft.Extensions.Logging;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Gateway.Tls;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// The certificates and passwords of a process: read before anything listens, so that a wrong file is told at once and with memcached's exit codes.
/// </summary>
internal sealed class SecuritySetup : IDisposable
{
    /// <summary>memcached's variable for the file of SASL passwords.</summary>
    public const string SaslFileVariable = "MEMCACHED_SASL_PWDB";

    private readonly PasswordFile? _text;
    private readonly PasswordFile? _sasl;
    private readonly TlsCertificates? _tls;

    public SecuritySetup(ServeOptions options, Func<string, string?> environment, ILoggerFactory loggers)
    {
        if (options.TlsEnabled)
            _tls = Try(() => TlsCertificates.Load(options.Tls, TimeProvider.System), ExitCode.Usage);
        if (options.AuthFile is { } file)
            _text = Open(file, PasswordFileFormat.AuthFile);
        if (!options.SaslEnabled)
            return;
        if (environment(SaslFileVariable) is { Length: > 0 } database)
            _sasl = Open(database, PasswordFileFormat.SaslDatabase);
        else
            _sasl = _text ?? throw StartException.Usage(
                $"-S needs passwords: {SaslFileVariable} must name a file with lines of user:password, or give one with -Y");

        PasswordFile Open(string path, PasswordFileFormat format) => Try(() => PasswordFile.Open(path, format, TimeProvider.System, loggers), ExitCode.Failure);
    }

    public GatewayOptions AddTo(GatewayOptions options) => options with { Tls = _tls, TextPasswords = _text, SaslPasswords = _sasl };

    public void Dispose()
    {
        _text?.Dispose();
        _sasl?.Dispose();
    }

    private static T Try<T>(Func<T> open, int exitCode)
    {
        try
        {
            return open();
        }
        catch (GatewayStartException failure)
        {
            throw new StartException(exitCode, failure.Message, failure);
        }
    }
}
