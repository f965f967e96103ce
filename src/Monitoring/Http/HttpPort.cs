using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansCache.Gateway;

namespace OrleansCache.Monitoring.Http;

/// <summary>The listening socket: Kestrel without a host around it, which starts in a few milliseconds, HTTP/1.1, tightly bounded.</summary>
internal sealed class HttpPort : IAsyncDisposable
{
    private readonly IPEndPoint _wanted;
    private readonly KestrelServer _server;
    private readonly HttpApplication _application;

    public HttpPort(IPEndPoint endPoint, Access access, Readiness readiness, ILoggerFactory loggerFactory)
    {
        _wanted = endPoint;
        _application = new HttpApplication(access, readiness, loggerFactory.CreateLogger("OrleansCache.Monitoring.Http"));
        var options = new KestrelServerOptions { AddServerHeader = false, AllowSynchronousIO = false };
        KestrelServerLimits limits = options.Limits;
        limits.MaxConcurrentConnections = HttpLimits.ConnectionsMax;
        limits.MaxConcurrentUpgradedConnections = 0;
        limits.MaxRequestLineSize = HttpLimits.RequestLineBytesMax;
        limits.MaxRequestHeadersTotalSize = HttpLimits.HeaderBytesMax;
        limits.MaxRequestHeaderCount = HttpLimits.HeadersMax;
        limits.MaxRequestBodySize = 0;
        limits.MaxRequestBufferSize = HttpLimits.RequestLineBytesMax + HttpLimits.HeaderBytesMax;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(HttpLimits.HeaderSecondsMax);
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(HttpLimits.IdleSecondsMax);
        limits.MinResponseDataRate = new MinDataRate(HttpLimits.ResponseBytesPerSecondMin, TimeSpan.FromSeconds(HttpLimits.ResponseGraceSeconds));
        options.Listen(endPoint, static listener => listener.Protocols = HttpProtocols.Http1);
        var transport = new SocketTransportFactory(Options.Create(new SocketTransportOptions { IOQueueCount = 1, Backlog = HttpLimits.ConnectionsMax }),
            loggerFactory);
        _server = new KestrelServer(Options.Create(options), transport, loggerFactory);
    }

    public IPEndPoint? EndPoint { get; private set; }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _server.StartAsync(_application, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or SocketException)
        {
            string reason = exception.InnerException is SocketException or Microsoft.AspNetCore.Connections.AddressInUseException
                || exception is SocketException ? Reason(exception) : exception.Message;
            throw new GatewayStartException($"--http: cannot listen on {_wanted}: {reason}", exception);
        }

        // The real port, where any was asked for.
        string address = _server.Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        EndPoint = new IPEndPoint(_wanted.Address, new Uri(address.Replace("[::]", "[::1]", StringComparison.Ordinal)).Port);
    }

    public void Attach(NodeReader reader) => _application.Attach(reader);

    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMilliseconds(500));
        try
        {
            await _server.StopAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Clients that are still there are cut.
        }

        _server.Dispose();
        _application.Dispose();
    }

    private static string Reason(Exception exception)
    {
        for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is SocketException socket)
                return socket.SocketErrorCode == SocketError.AddressAlreadyInUse ? "Address already in use" : socket.Message;
        }

        return exception.Message;
    }
}
