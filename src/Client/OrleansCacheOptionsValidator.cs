using Microsoft.Extensions.Options;
using OrleansCache.Client.Entries;
using OrleansCache.Client.Gateways;

namespace OrleansCache.Client;

/// <summary>Says everything that is wrong with the options, each in a sentence that names the option.</summary>
internal sealed class OrleansCacheOptionsValidator : IValidateOptions<OrleansCacheOptions>
{
    private const int EndPointsMax = 1024;
    private const int ConnectionsMax = 64;
    private const int PendingOperationsMax = 1 << 20;
    private const int PendingBytesMax = 512 * 1024 * 1024;

    /// <summary>Timers know no longer times.</summary>
    private static readonly TimeSpan s_timeMax = TimeSpan.FromDays(24);

    public ValidateOptionsResult Validate(string? name, OrleansCacheOptions options)
    {
        List<string> failures = [.. Find(options)];
        return failures.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(failures);
    }

    public static void ThrowIfInvalid(OrleansCacheOptions options)
    {
        List<string> failures = [.. Find(options)];
        if (failures.Count > 0)
            throw new OptionsValidationException(Options.DefaultName, typeof(OrleansCacheOptions), failures);
    }

    private static IEnumerable<string> Find(OrleansCacheOptions options)
    {
        if (options.EndPoints.Count is 0 or > EndPointsMax)
            yield return $"{nameof(options.EndPoints)}: 1 to {EndPointsMax} gateways are needed, such as \"cache.example:11211\".";
        foreach (string endPoint in options.EndPoints)
        {
            if (endPoint is null || !GatewayEndPoint.TryParse(endPoint, out _))
                yield return $"{nameof(options.EndPoints)}: '{endPoint}' is no host, host:port, [ipv6]:port or unix:/path.";
        }

        if (options.Connections is < 1 or > ConnectionsMax)
            yield return $"{nameof(options.Connections)}: {options.Connections} is not within 1 to {ConnectionsMax}.";
        if (options.PendingOperationsMax is < 1 or > PendingOperationsMax)
            yield return $"{nameof(options.PendingOperationsMax)}: {options.PendingOperationsMax} is not within 1 to {PendingOperationsMax}.";
        if (options.PendingBytesMax is < 1024 or > PendingBytesMax)
            yield return $"{nameof(options.PendingBytesMax)}: {options.PendingBytesMax} is not within 1024 to {PendingBytesMax}.";
        if (options.ValueBytesMax is < 1 or > Limits.ItemBytesMax)
            yield return $"{nameof(options.ValueBytesMax)}: {options.ValueBytesMax} is not within 1 to {Limits.ItemBytesMax}.";
        foreach ((string name, TimeSpan value) in Times(options))
        {
            if (value < TimeSpan.FromMilliseconds(1) || value > s_timeMax)
                yield return $"{name}: {value} is not within 1 ms to {s_timeMax.TotalDays} days.";
        }

        if (options.ReconnectDelayMax < options.ReconnectDelayMin)
            yield return $"{nameof(options.ReconnectDelayMax)}: is less than {nameof(options.ReconnectDelayMin)}.";
        if (!CacheKey.IsValidPrefix(options.KeyPrefix))
            yield return $"{nameof(options.KeyPrefix)}: may have {CacheKey.PrefixBytesMax} bytes, without spaces and control characters.";
        if (string.IsNullOrEmpty(options.User) != string.IsNullOrEmpty(options.Password))
            yield return $"{nameof(options.User)} and {nameof(options.Password)}: one is missing.";
        if (options.User?.AsSpan().IndexOfAny(" \r\n") >= 0 || options.Password?.AsSpan().IndexOfAny("\r\n") >= 0)
            yield return $"{nameof(options.User)} and {nameof(options.Password)}: a user has no spaces, and neither has line ends.";
        if (!options.UseTls && (options.TlsHost ?? options.TlsAuthorityFile ?? options.TlsCertificateFile) is not null)
            yield return $"{nameof(options.UseTls)}: is off, and other options of TLS are set.";
        foreach (string? file in (string?[])[options.TlsAuthorityFile, options.TlsCertificateFile, options.TlsKeyFile])
        {
            if (file is not null && !File.Exists(file))
                yield return $"The file '{file}' is not there.";
        }
    }

    private static IEnumerable<(string Name, TimeSpan Value)> Times(OrleansCacheOptions options) =>
    [
        (nameof(options.ConnectTimeout), options.ConnectTimeout),
        (nameof(options.OperationTimeout), options.OperationTimeout),
        (nameof(options.DiscoveryInterval), options.DiscoveryInterval),
        (nameof(options.ReconnectDelayMin), options.ReconnectDelayMin),
        (nameof(options.ReconnectDelayMax), options.ReconnectDelayMax),
    ];
}
