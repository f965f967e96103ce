using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Options;

namespace OrleansCache.Gateway.Files;

/// <summary>Reads certificates and passwords again when somebody asks for it: off the loops, and one at a time however many ask.</summary>
internal sealed class FileReloader(GatewayOptions options, ILogger logger)
{
    private readonly Lock _lock = new();
    private Task<string?> _last = Task.FromResult<string?>(null);

    /// <summary>Whether there is anything to read.</summary>
    public bool HasFiles => options.Tls is not null || options.TextPasswords is not null || options.SaslPasswords is not null;

    /// <summary>Null, or what could not be taken over; what was loaded before stays in force then.</summary>
    public Task<string?> ReloadAsync()
    {
        lock (_lock)
            return _last = ReloadAfterAsync(_last);
    }

    private async Task<string?> ReloadAfterAsync(Task former)
    {
        await former.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return await Task.Run(Reload).ConfigureAwait(false);
    }

    private string? Reload()
    {
        string? first = null;
        Take("TLS certificates", options.Tls is { } tls ? tls.Reload : null);
        Take("passwords", options.TextPasswords is { } text ? text.Reload : null);
        if (!ReferenceEquals(options.SaslPasswords, options.TextPasswords))
            Take("SASL passwords", options.SaslPasswords is { } sasl ? sasl.Reload : null);
        return first;

        void Take(string what, Func<string?>? reload)
        {
            if (reload is null)
                return;
            if (reload() is { } error)
            {
                Log.ReloadFailed(logger, error);
                first ??= error;
            }
            else
            {
                Log.Reloaded(logger, what);
            }
        }
    }
}
