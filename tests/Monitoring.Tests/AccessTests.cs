using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Gateway.Passwords;

namespace OrleansCache.Monitoring.Tests;

public sealed class AccessTests
{
    private const string Token = "0123456789abcdef";

    [Fact]
    public void BeyondLoopbackNothingIsServedWithoutATokenOrALogin() => Assert.Throws<ArgumentException>(() => new MonitoringServer(
        new MonitoringOptions { EndPoint = new IPEndPoint(IPAddress.Any, 0), Version = "0.0.0" }, NullLoggerFactory.Instance, TimeProvider.System));

    [Theory]
    [InlineData("127.0.0.1", HttpStatusCode.OK)]
    [InlineData("localhost:8080", HttpStatusCode.OK)]
    [InlineData("[::1]:8080", HttpStatusCode.OK)]
    [InlineData("rebound.example.org", HttpStatusCode.Forbidden)]
    public async Task WithoutATokenOnlyAnAddressOrLocalhostIsAnswered(string host, HttpStatusCode expected)
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/status");
        request.Headers.Host = host;
        Assert.Equal(expected, (await server.Http.SendAsync(request)).StatusCode);
    }

    [Theory]
    [InlineData(null, HttpStatusCode.Unauthorized)]
    [InlineData("Bearer " + Token, HttpStatusCode.OK)]
    [InlineData("Bearer 0123456789abcdeg", HttpStatusCode.Unauthorized)]
    [InlineData("Bearer ", HttpStatusCode.Unauthorized)]
    [InlineData("Basic anyone:" + Token, HttpStatusCode.OK)]
    [InlineData("Basic ann:secret", HttpStatusCode.OK)]
    [InlineData("Basic ann:wrong", HttpStatusCode.Unauthorized)]
    [InlineData("Basic ann", HttpStatusCode.Unauthorized)]
    [InlineData("Digest x", HttpStatusCode.Unauthorized)]
    public async Task ATokenOrALoginOpensEverything(string? authorization, HttpStatusCode expected)
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync(Token, new OneLogin());
        if (authorization?.Split(' ', 2) is [var scheme, var rest])
        {
            server.Http.DefaultRequestHeaders.Authorization =
                new AuthenticationHeaderValue(scheme, scheme == "Basic" ? Convert.ToBase64String(Encoding.UTF8.GetBytes(rest)) : rest);
        }

        foreach (string path in new[] { "/metrics", "/api/all" })
            Assert.Equal(expected, (await server.Http.GetAsync(path)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("/health/ready")).StatusCode);
    }

    [Fact]
    public async Task GuessesAreSlowAndTheRightTokenStillOpens()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync(Token);
        HttpStatusCode[] answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(async number =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", $"guess{number}");
            using HttpResponseMessage response = await server.Http.SendAsync(request);
            return response.StatusCode;
        }));
        Assert.Equal([HttpStatusCode.Unauthorized, HttpStatusCode.TooManyRequests], answers.Distinct().Order());
        Assert.InRange(answers.Count(static answer => answer == HttpStatusCode.Unauthorized), 1, 39);

        server.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Token);
        while ((await server.Http.GetAsync("/metrics")).StatusCode != HttpStatusCode.OK)
        {
            // The last guesses still hold their places.
        }
    }

    private sealed class OneLogin : PasswordCheck
    {
        public override bool IsRight(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password) => user.SequenceEqual("ann"u8) && password.SequenceEqual("secret"u8);
    }
}
