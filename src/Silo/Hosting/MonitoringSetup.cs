using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Monitoring;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Hosting;

/// <summary>From the options to the HTTP port and the export of metrics. Nothing of it is loaded without --http or --otlp.</summary>
internal static class MonitoringSetup
{
    public static bool IsWanted(ServeOptions options) => options.HttpHost is not null || options.Otlp is not null;

    /// <summary>Throws <see cref="StartException"/> for a place that cannot be had, or that everybody could read.</summary>
    public static async Task<MonitoringServer> StartAsync(ServeOptions options, PasswordCheck? logins, ILoggerFactory loggers, TimeProvider time,
        CancellationToken cancellationToken)
    {
        IPEndPoint? endPoint = options.HttpHost is { } host ? new IPEndPoint(Resolve(host), options.HttpPort) : null;
        var monitoring = new MonitoringOptions
        {
            EndPoint = endPoint,
            Token = options.HttpTokenFile is { } file ? Encoding.UTF8.GetString(SecretFile.Read(file, "--http-token-file", "token")) : null,
            Logins = logins,
            Otlp = options.Otlp,
            Version = Product.Version,
            Role = options.Verb == Verb.Gateway ? NodeRole.Gateway : options.WantsCluster ? NodeRole.Silo : NodeRole.Single,
        };
        if (endPoint is not null && monitoring.IsOpen && !IPAddress.IsLoopback(endPoint.Address))
        {
            throw StartException.Usage(
                $"--http: everybody who reaches {endPoint} could read statistics and keys there: add --http-token-file (or -Y), or listen on 127.0.0.1");
        }

        var server = new MonitoringServer(monitoring, loggers, time);
        try
        {
            await server.StartAsync(cancellationToken);
            return server;
        }
        catch (GatewayStartException exception)
        {
            await server.DisposeAsync();
            throw new StartException(ExitCode.OperatingSystem, exception.Message, exception);
        }
    }

    private static IPAddress Resolve(string host)
    {
        if (IPAddress.TryParse(host, out IPAddress? literal))
            return literal;
        try
        {
            IPAddress[] addresses = Dns.GetHostAddresses(host);
            return addresses.FirstOrDefault(static address => address.AddressFamily == AddressFamily.InterNetwork) ?? addresses[0];
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException or IndexOutOfRangeException)
        {
            throw new StartException(ExitCode.OperatingSystem, $"--http: {host}: {exception.Message}", exception);
        }
    }
}
