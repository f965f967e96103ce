using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.Tests.Support;
using OrleansCache.Conformance;

namespace OrleansCache.Client.Tests.Gateways;

/// <summary>Logins and TLS, against the built server.</summary>
public sealed class SecureTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task ALoginIsSaidOnEveryConnection()
    {
        using var passwords = new TemporaryFile("ann:secret word\n");
        await using ServerProcess server = await ServerProcess.StartGuardedAsync("-Y", passwords.Path);
        await using OrleansCacheClient client = Client(server, options => (options.User, options.Password) = ("ann", "secret word"));
        await WorksAsync(client);

        await using OrleansCacheClient wrong = Client(server, options => (options.User, options.Password) = ("ann", "guess"));
        OrleansCacheException refused = await Assert.ThrowsAsync<OrleansCacheException>(() => wrong.GetAsync("k").WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.LoginRefused, refused.Error);
        Assert.DoesNotContain("guess", refused.ToString(), StringComparison.Ordinal);

        // Lines of so few bytes close a connection that has not logged in, as in memcached.
        await using OrleansCacheClient nobody = Client(server);
        OrleansCacheException closed = await Assert.ThrowsAsync<OrleansCacheException>(() => nobody.GetAsync("k").WaitAsync(s_patience));
        Assert.Contains("login", closed.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TlsChecksTheServerAndShowsTheClient()
    {
        using var certificates = new TestCertificates();
        await using ServerProcess server = await ServerProcess.StartGuardedAsync(
            "-Z", "-o", $"{certificates.ServerOptions},ssl_ca_cert={certificates.Path("ca.pem")},ssl_verify_mode=2");
        await using OrleansCacheClient client = Client(server, options =>
        {
            options.UseTls = true;
            options.TlsAuthorityFile = certificates.Path("ca.pem");
            options.TlsCertificateFile = certificates.Path("client.pem");
            options.TlsKeyFile = certificates.Path("client.key");
        });
        await WorksAsync(client);

        await RefusesAsync(server, options => options.TlsAuthorityFile = certificates.Path("other-ca.pem"));
        await RefusesAsync(server, options => (options.TlsAuthorityFile, options.TlsHost) = (certificates.Path("ca.pem"), "another.example"));

        // Without a certificate of its own.
        await RefusesAsync(server, options => options.TlsAuthorityFile = certificates.Path("ca.pem"));

        // Without TLS.
        await using OrleansCacheClient plain = Client(server);
        await Assert.ThrowsAsync<OrleansCacheException>(() => plain.GetAsync("k").WaitAsync(s_patience));
    }

    private static async Task RefusesAsync(ServerProcess server, Action<OrleansCacheOptions> configure)
    {
        await using OrleansCacheClient client = Client(server, options =>
        {
            options.UseTls = true;
            configure(options);
        });
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => client.GetAsync("k").WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.Unavailable, failure.Error);
    }

    private static async Task WorksAsync(OrleansCacheClient client)
    {
        byte[] value = new byte[300_000];
        new Random(1).NextBytes(value);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async i =>
        {
            await client.SetAsync($"k{i}", value, new DistributedCacheEntryOptions());
            Assert.Equal(value, await client.GetAsync($"k{i}"));
        })).WaitAsync(s_patience);
    }

    private static OrleansCacheClient Client(ServerProcess server, Action<OrleansCacheOptions>? configure = null) =>
        new(TestOptions.For([$"127.0.0.1:{server.Port}"], configure));

    private sealed class TemporaryFile : IDisposable
    {
        public TemporaryFile(string content) => File.WriteAllText(Path, content);

        public string Path { get; } = System.IO.Path.GetTempFileName();

        public void Dispose() => File.Delete(Path);
    }
}
