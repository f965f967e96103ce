using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using OrleansCache.Monitoring.Api;
using OrleansCache.Monitoring.Dashboard;
using OrleansCache.Monitoring.Metrics;

namespace OrleansCache.Monitoring.Http;

/// <summary>From a request to its answer: bounds, access, path. Nothing here changes anything.</summary>
internal sealed partial class HttpApplication : IHttpApplication<HttpContext>, IDisposable
{
    private const string Starting = "starting";
    private readonly Access _access;
    private readonly Readiness _readiness;
    private readonly ILogger _logger;
    private readonly TokenBucketRateLimiter _requests = NewLimiter();
    private readonly TokenBucketRateLimiter _probes = NewLimiter();
    private readonly SemaphoreSlim _logins = new(HttpLimits.LoginsAtOnceMax);
    private volatile NodeReader? _reader;
    private int _wrongLogins;
    private long _wrongLoginsToldAt = long.MinValue / 2;

    public HttpApplication(Access access, Readiness readiness, ILogger logger)
    {
        _access = access;
        _readiness = readiness;
        _logger = logger;
    }

    public void Attach(NodeReader reader) => _reader = reader;

    public HttpContext CreateContext(IFeatureCollection contextFeatures) => new DefaultHttpContext(contextFeatures);

    public void DisposeContext(HttpContext context, Exception? exception)
    {
    }

    public async Task ProcessRequestAsync(HttpContext context)
    {
        try
        {
            await AnswerAsync(context).ConfigureAwait(false);
        }
        catch (Exception exception) when (!context.RequestAborted.IsCancellationRequested)
        {
            LogFailed(_logger, exception, context.Request.Path.Value ?? "");
            if (!context.Response.HasStarted)
                await Reply.ErrorAsync(context, StatusCodes.Status500InternalServerError, "internal error").ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The client has gone.
        }
    }

    public void Dispose()
    {
        _requests.Dispose();
        _probes.Dispose();
        _logins.Dispose();
    }

    private static TokenBucketRateLimiter NewLimiter() => new(new TokenBucketRateLimiterOptions
    {
        TokenLimit = HttpLimits.RequestsBurst,
        TokensPerPeriod = HttpLimits.RequestsPerSecond / 10,
        ReplenishmentPeriod = TimeSpan.FromMilliseconds(100),
        QueueLimit = 0,
        AutoReplenishment = true,
    });

    private async Task AnswerAsync(HttpContext context)
    {
        string path = context.Request.Path.Value ?? "/";
        bool isProbe = path is "/health/live" or "/health/ready";
        using RateLimitLease lease = (isProbe ? _probes : _requests).AttemptAcquire();
        if (!lease.IsAcquired)
        {
            await Task.Delay(HttpLimits.RefusalMilliseconds, context.RequestAborted).ConfigureAwait(false);
            if (!isProbe)
            {
                context.Response.Headers.RetryAfter = "1";
                await Reply.ErrorAsync(context, StatusCodes.Status429TooManyRequests, "too many requests").ConfigureAwait(false);
                return;
            }
        }

        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
        {
            context.Response.Headers.Allow = "GET, HEAD";
            await Reply.ErrorAsync(context, StatusCodes.Status405MethodNotAllowed, "only GET and HEAD").ConfigureAwait(false);
            return;
        }

        if (isProbe)
        {
            string? reason = path == "/health/live" ? null : _readiness.NotReady;
            string text = reason is null ? path["/health/".Length..] : "not ready: " + reason;
            await Reply.TextAsync(context, reason is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, text + "\n")
                .ConfigureAwait(false);
            return;
        }

        if (await MayReadAsync(context).ConfigureAwait(false))
            await ReadAsync(context, path).ConfigureAwait(false);
    }

    private async ValueTask<bool> MayReadAsync(HttpContext context)
    {
        // A wrong login keeps its place for a while: that bounds how many can be tried, from wherever.
        if (!await _logins.WaitAsync(TimeSpan.FromMilliseconds(HttpLimits.RefusalMilliseconds), context.RequestAborted).ConfigureAwait(false))
        {
            await Reply.ErrorAsync(context, StatusCodes.Status429TooManyRequests, "too many wrong logins").ConfigureAwait(false);
            return false;
        }

        try
        {
            switch (_access.Check(context.Request))
            {
                case AccessResult.Granted:
                    return true;
                case AccessResult.ForeignHost:
                    await Reply.ErrorAsync(context, StatusCodes.Status403Forbidden, "ask by an IP address or localhost, or set --http-token-file")
                        .ConfigureAwait(false);
                    return false;
                case AccessResult.LoginWrong:
                    NoteWrongLogin(context);

                    // Also when the client hangs up meanwhile.
                    await Task.Delay(HttpLimits.WrongLoginMilliseconds, CancellationToken.None).ConfigureAwait(false);
                    break;
            }
        }
        finally
        {
            _logins.Release();
        }

        context.Response.Headers.WWWAuthenticate = "Basic realm=\"OrleansCache\", charset=\"UTF-8\"";
        await Reply.ErrorAsync(context, StatusCodes.Status401Unauthorized, "a token or login is needed").ConfigureAwait(false);
        return false;
    }

    /// <summary>At most one line in a while.</summary>
    private void NoteWrongLogin(HttpContext context)
    {
        int wrong = Interlocked.Increment(ref _wrongLogins);
        long now = Environment.TickCount64;
        long last = Interlocked.Read(ref _wrongLoginsToldAt);
        if (now - last < Limits.LoginLogSeconds * 1000 || Interlocked.CompareExchange(ref _wrongLoginsToldAt, now, last) != last)
            return;
        Interlocked.Add(ref _wrongLogins, -wrong);
        LogWrongLogin(_logger, wrong, context.Connection.RemoteIpAddress?.ToString() ?? "?");
    }

    private Task ReadAsync(HttpContext context, string path)
    {
        if (DashboardFiles.Contains(path))
            return DashboardFiles.AnswerAsync(context, path);
        if (path is not "/metrics" && !ApiPaths.Contains(path))
            return Reply.ErrorAsync(context, StatusCodes.Status404NotFound, "no such path; docs/http.md lists them");
        if (_reader is not { } reader)
            return Reply.ErrorAsync(context, StatusCodes.Status503ServiceUnavailable, Starting);
        return path == "/metrics" ? MetricsAsync(context, reader) : ApiPaths.AnswerAsync(context, reader, path);
    }

    private static Task MetricsAsync(HttpContext context, NodeReader reader)
    {
        bool isOpenMetrics = PrometheusText.WantsOpenMetrics(context.Request.Headers.Accept);
        var text = new PrometheusText(isOpenMetrics);
        text.Write(reader.Read());
        return Reply.BytesAsync(context, StatusCodes.Status200OK, isOpenMetrics ? PrometheusText.OpenMetricsType : PrometheusText.TextType, text.Bytes);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} wrong logins at the HTTP port, the last from {Address}")]
    private static partial void LogWrongLogin(ILogger logger, int count, string address);

    [LoggerMessage(Level = LogLevel.Error, Message = "The answer to {Path} failed")]
    private static partial void LogFailed(ILogger logger, Exception exception, string path);
}
