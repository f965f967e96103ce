using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Tests.Fakes;
using OrleansCache.Gateway.Tls;

namespace OrleansCache.Gateway.Tests.Tls;

/// <summary>TLS listeners over real sockets, beside plain ones.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly TestCertificates _certificates = new();

    public static TheoryData<TransportKind> Transports =>
        OperatingSystem.IsLinux() ? [TransportKind.Epoll, TransportKind.Pipelines] : [TransportKind.Pipelines];

    public void Dispose() => _certificates.Dispose();

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task PlainAndTlsListenersServeTheSameItemsSideBySide(TransportKind transport)
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On, transport: transport);
        Assert.Equal(2, gateway.Server.EndPoints.Count);
        using TlsTestClient tls = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        using TestClient plain = await gateway.ConnectAsync();
        await tls.AssertAsync("set a 0 0 1\r\nx\r\n", "STORED\r\n");
        await plain.AssertAsync("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
        await tls.AssertAsync(
            string.Concat(Enumerable.Repeat("get a\r\n", 10_000)), string.Concat(Enumerable.Repeat("VALUE a 0 1\r\nx\r\nEND\r\n", 10_000)));
        Assert.Equal(2, gateway.Server.Statistics.ConnectionsCurrent);
        await tls.AssertAsync("quit\r\n", "");
        Assert.Equal("", await tls.ReadToEndAsync());
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 1, "the connection is gone");
    }

    [Fact]
    public async Task ValuesOfAMegabyteGoBothWays()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On, configure: static o => o with { ItemBytesMax = 8 << 20 });
        gateway.Router.Store.RunBytesMax = 300_000;
        using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        string value = new('v', 1_000_000);
        await client.AssertAsync($"set a 3 0 {value.Length}\r\n{value}\r\n", "STORED\r\n");
        string once = $"VALUE a 3 {value.Length}\r\n{value}\r\nEND\r\n";
        await client.SendAsync("get a\r\nget a\r\nget a\r\nversion\r\n");
        string all = once + once + once + "VERSION 1.6.45\r\n";
        Assert.True(all == await client.ReadAsync(all.Length));
        await Wait.UntilAsync(() => gateway.Router.Store.Pins == 0, "pins are released");
    }

    [Fact]
    public async Task AStopAnswersWhatWasAsked()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On);
        using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        using TestClient plain = await gateway.ConnectAsync();
        await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        await plain.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        using var halfOpen = new TcpClient();
        await halfOpen.ConnectAsync((IPEndPoint)TlsEndPoint(gateway));
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 3, "three are there");
        await gateway.Server.StopAsync(TimeSpan.FromSeconds(5), CancellationToken.None);
        Assert.Equal("", await client.ReadToEndAsync());
        Assert.Equal("", await plain.ReadToEndAsync());
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 0, "all are gone");
    }

    [Fact]
    public async Task IdleTlsConnectionsAreClosed()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On, configure: static o => o with { IdleTimeoutSeconds = 10 });
        using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        gateway.Time.Advance(TimeSpan.FromSeconds(13));
        Assert.Equal("", await client.ReadToEndAsync());
    }

    [Theory]
    [InlineData(TlsMode.On, 0, "none", true)]
    [InlineData(TlsMode.On, 1, "none", true)]
    [InlineData(TlsMode.On, 1, "known", true)]
    [InlineData(TlsMode.On, 1, "stranger", false)]
    [InlineData(TlsMode.On, 2, "none", false)]
    [InlineData(TlsMode.On, 2, "known", true)]
    [InlineData(TlsMode.On, 3, "stranger", false)]
    [InlineData(TlsMode.NoClientCertificate, 2, "none", true)]
    [InlineData(TlsMode.ClientCertificate, 0, "none", false)]
    [InlineData(TlsMode.ClientCertificate, 0, "known", true)]
    [InlineData(TlsMode.ClientCertificate, 0, "stranger", false)]
    public async Task ClientCertificatesCountAsTheModeSays(TlsMode mode, int verifyMode, string shown, bool isServed)
    {
        await using GatewayHarness gateway = await StartAsync(
            mode, options: o => o with { VerifyMode = verifyMode, ClientAuthoritiesFile = _certificates.AuthorityFile });
        using X509Certificate2? certificate =
            shown switch { "known" => new X509Certificate2(_certificates.Client), "stranger" => new X509Certificate2(_certificates.Stranger), _ => null };
        Assert.Equal(isServed, await IsServedAsync(gateway, certificate));
        await Wait.UntilAsync(() => HandshakeErrors(gateway) == (isServed ? 0 : 1), "the failed handshake counts");
    }

    [Fact]
    public async Task WithoutAuthoritiesNoClientCertificateIsVouchedFor()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.ClientCertificate);
        Assert.False(await IsServedAsync(gateway, _certificates.Client));
    }

    [Fact]
    public async Task OlderVersionsThanTheLeastAreRefused()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On, options: static o => o with { MinVersion = 3 });
        using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        Assert.Equal(SslProtocols.Tls13, client.Version);
        await Assert.ThrowsAnyAsync<Exception>(() => TlsTestClient.ConnectAsync(TlsEndPoint(gateway), protocols: SslProtocols.Tls12));
    }

    [Fact]
    public async Task TheNamedCipherSuiteIsTaken()
    {
        if (OperatingSystem.IsWindows())
            return;
        await using GatewayHarness gateway = await StartAsync(TlsMode.On, options: static o => o with { Ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" });
        using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway), protocols: SslProtocols.Tls12);
        Assert.Equal(TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, client.Suite);
        await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
    }

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task AFormerSessionIsTakenUp(SslProtocols version)
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On);
        for (int i = 0; i < 3; i++)
        {
            // The client keeps sessions by the server's name, which must not be an address.
            using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway), protocols: version, host: $"cache-{version}.test");
            await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        }

        Assert.Equal(1, gateway.Shared.Tls.NewSessions);
    }

    [Fact]
    public async Task NewCertificatesCountForNewConnectionsAndBrokenOnesForNone()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On);
        using TlsTestClient first = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        Assert.Equal("CN=first", first.ServerName);
        _certificates.WriteServer("second");
        await first.AssertAsync("refresh_certs\r\n", "OK\r\n");
        using (TlsTestClient second = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway)))
            Assert.Equal("CN=second", second.ServerName);

        await File.WriteAllTextAsync(_certificates.ChainFile, "nonsense");
        await first.SendAsync("refresh_certs\r\n");
        Assert.StartsWith("SERVER_ERROR Error loading the certificate chain: ", await first.ReadAsync(50), StringComparison.Ordinal);
        using (TlsTestClient third = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway)))
            Assert.Equal("CN=second", third.ServerName);
        gateway.Errors.Messages.Clear();
    }

    [Theory]
    [InlineData("get a\r\n")]
    [InlineData("mn\r\n")]
    [InlineData("\u0080\u000b\0\0\0\0\0\0")]
    [InlineData("\u0016\u0003\u0001\0\u0005nonsense and more")]
    public async Task WhatIsNotTlsIsCutAtOnce(string input)
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(TlsEndPoint(gateway));
        using var client = new TestClient(socket);
        await client.SendAsync(input);
        await client.ReadToEndAsync();
        await Wait.UntilAsync(() => HandshakeErrors(gateway) == 1, "the failed handshake counts");
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 0, "the connection is gone");
    }

    [Fact]
    public async Task GarbageInAnEstablishedConnectionIsAProtocolError()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On);
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(TlsEndPoint(gateway));
        using var below = new NetworkStream(socket, ownsSocket: true);
        using var stream = new SslStream(below, leaveInnerStreamOpen: true, static (_, certificate, _, _) => certificate is not null);
        await stream.AuthenticateAsClientAsync("127.0.0.1");
        await stream.WriteAsync("version\r\n"u8.ToArray());
        byte[] reply = new byte[16];
        await stream.ReadExactlyAsync(reply);
        await below.WriteAsync("\u0017\u0003\u0003\u0000\u0020 this is no encrypted record, but long enough"u8.ToArray());
        await Wait.UntilAsync(() => gateway.Shared.Tls.ProtocolErrors == 1, "the error counts");
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 0, "the connection is gone");
    }

    [Fact]
    public async Task ATlsHelloOnAPlainPortIsNoCommand()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On);
        await Assert.ThrowsAnyAsync<Exception>(() => TlsTestClient.ConnectAsync(gateway.EndPoint).WaitAsync(TimeSpan.FromSeconds(5)));
        using TestClient client = await gateway.ConnectAsync();
        await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
    }

    [Fact]
    public async Task AHandshakeHasItsTime()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(TlsEndPoint(gateway));
        using var client = new TestClient(socket);
        await client.SendAsync("\u0016\u0003");
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 1, "it is there");
        await Wait.UntilAsync(
            () =>
            {
                gateway.Time.Advance(TimeSpan.FromSeconds(1));
                return gateway.Server.Statistics.ConnectionsCurrent == 0;
            },
            "its time is over");
        await client.ReadToEndAsync();
        Assert.Equal(1, gateway.Shared.Tls.HandshakeErrors);
    }

    [Fact]
    public async Task AThousandHalfOpenHandshakesKeepNobodyOut()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On, configure: static o => o with { ConnectionsMax = 4096 });
        using TlsTestClient before = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        using TestClient plain = await gateway.ConnectAsync();
        var halfOpen = new List<Socket>();
        try
        {
            for (int i = 0; i < 1000; i++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                halfOpen.Add(socket);
                await socket.ConnectAsync(TlsEndPoint(gateway));
                if (i % 2 == 0)
                    await socket.SendAsync(new byte[] { 22, 3, 1 });
            }

            await before.AssertAsync("set a 0 0 1\r\nx\r\n", "STORED\r\n");
            await plain.AssertAsync("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
            using TlsTestClient after = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
            await after.AssertAsync("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
            Assert.InRange(gateway.Server.Statistics.ConnectionsCurrent, 3, Limits.TlsHandshakesMax + 4);
        }
        finally
        {
            foreach (Socket socket in halfOpen)
                socket.Dispose();
        }
    }

    [Fact]
    public async Task StatsTellOfTls()
    {
        await using GatewayHarness gateway = await StartAsync(TlsMode.On, options: static o => o with { VerifyMode = 1, MinVersion = 3 });
        using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway));
        await client.SendAsync("stats\r\nstats settings\r\nquit\r\n");
        string stats = await client.ReadToEndAsync();
        Assert.Contains("STAT ssl_new_sessions 1\r\nSTAT ssl_handshake_errors 0\r\nSTAT ssl_proto_errors 0\r\nSTAT time_since_server_cert_refresh ", stats,
            StringComparison.Ordinal);
        Assert.Contains(
            $"STAT ssl_enabled yes\r\nSTAT ssl_chain_cert {_certificates.ChainFile}\r\nSTAT ssl_key {_certificates.KeyFile}\r\nSTAT ssl_verify_mode 1\r\n"
            + "STAT ssl_keyformat 1\r\nSTAT ssl_ciphers NULL\r\nSTAT ssl_ca_cert NULL\r\nSTAT ssl_wbuf_size 16384\r\nSTAT ssl_session_cache yes\r\n"
            + "STAT ssl_kernel_tls no\r\nSTAT ssl_min_version tlsv1.3\r\nSTAT num_napi_ids ",
            stats, StringComparison.Ordinal);
    }

    private static EndPoint TlsEndPoint(GatewayHarness gateway) => gateway.Server.EndPoints[1];

    private static long HandshakeErrors(GatewayHarness gateway) => gateway.Shared.Tls.HandshakeErrors;

    private static async Task<bool> IsServedAsync(GatewayHarness gateway, X509Certificate2? certificate)
    {
        try
        {
            using TlsTestClient client = await TlsTestClient.ConnectAsync(TlsEndPoint(gateway), certificate);
            await client.SendAsync("version\r\n");
            return await client.ReadAsync(16) == "VERSION 1.6.45\r\n";
        }
        catch (Exception failure) when (failure is IOException or AuthenticationException)
        {
            return false;
        }
    }

    private Task<GatewayHarness> StartAsync(
        TlsMode mode, Func<TlsOptions, TlsOptions>? options = null, Func<GatewayOptions, GatewayOptions>? configure = null,
            TransportKind transport = TransportKind.Auto) =>
        GatewayHarness.StartAsync(transport, o =>
        {
            var loopback = new IPEndPoint(IPAddress.Loopback, 0);
            o = o with { Listeners = [new ListenerOptions(loopback), new ListenerOptions(loopback) { Tls = mode }], Tls = _certificates.Load(options) };
            return configure?.Invoke(o) ?? o;
        });
}
