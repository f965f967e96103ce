namespace OrleansCache.Conformance;

/// <summary>Clients over TLS and with SASL logins, as clients/secure.py and openssl drive them, against servers as processes of their own.</summary>
public sealed class SecureClientTests(SecureClientTests.Files files) : IClassFixture<SecureClientTests.Files>
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    /// <summary>Debian's memcached 1.6.18 stops when many commands arrive in one piece over TLS: only OrleansCache is started.</summary>
    [PeerFact("python3", "pymemcache")]
    public async Task PymemcacheOverTlsBesideAPlainPort()
    {
        int plainPort = TestPorts.Next();
        await using ServerProcess server = await ServerProcess.StartGuardedAsync(
            ServerKind.OrleansCache, null, "-Z", "-o", files.Certificates.ServerOptions, "-l", $"notls:127.0.0.1:{ServerUnderTest.Invariant(plainPort)}");
        await RunAsync(server, "tls", ServerUnderTest.Invariant(plainPort), ServerUnderTest.Invariant(server.Port), files.Certificates.Folder);
    }

    [PeerFact("python3", "pymemcache")]
    public async Task PymemcacheMustShowACertificate()
    {
        await using ServerProcess server = await ServerProcess.StartGuardedAsync(
            "-Z", "-o", $"{files.Certificates.ServerOptions},ssl_verify_mode=2,ssl_ca_cert={files.Certificates.Path("ca.pem")}");
        await RunAsync(server, "mutual", ServerUnderTest.Invariant(server.Port), files.Certificates.Folder);
    }

    /// <summary>Debian's memcached keeps its passwords in a database of the SASL library: only OrleansCache is started.</summary>
    [PeerFact("python3", "pylibmc")]
    public async Task PylibmcLogsIn()
    {
        await using ServerProcess server = await ServerProcess.StartGuardedAsync(ServerKind.OrleansCache, files.SaslEnvironment, "-S");
        await RunAsync(server, "sasl", ServerUnderTest.Invariant(server.Port));
    }

    [PeerFact("python3")]
    public async Task SaslOverTls()
    {
        await using ServerProcess server = await ServerProcess.StartGuardedAsync(
            ServerKind.OrleansCache, files.SaslEnvironment, "-S", "-Z", "-o", files.Certificates.ServerOptions);
        await RunAsync(server, "sasl-tls", ServerUnderTest.Invariant(server.Port), files.Certificates.Folder);
    }

    [PeerFact("openssl")]
    public async Task OpensslTakesUpAFormerSession()
    {
        await using ServerProcess server = await ServerProcess.StartGuardedAsync("-Z", "-o", files.Certificates.ServerOptions);
        foreach (string version in (string[])["tls1_2", "tls1_3"])
        {
            string session = files.Certificates.Path(version);
            string first = await ConnectAsync(server, version, "-sess_out " + session);
            Assert.Contains("New, TLSv1", first, StringComparison.Ordinal);
            Assert.Contains("Verify return code: 0 (ok)", first, StringComparison.Ordinal);
            string second = await ConnectAsync(server, version, "-sess_in " + session);
            Assert.Contains("Reused, TLSv1", second, StringComparison.Ordinal);
            Assert.Contains("VERSION ", second, StringComparison.Ordinal);
        }
    }

    /// <summary>What openssl says of one connection that asks for the version and quits. The shell is there to write to its standard input.</summary>
    private async Task<string> ConnectAsync(ServerProcess server, string version, string session)
    {
        string line = $"printf 'version\\r\\nquit\\r\\n' | {Peer.Find("openssl")} s_client -connect {ClientScript.Address(server)} -CAfile "
            + $"{files.Certificates.Path("ca.pem")} -ign_eof -{version} {session}";
        (_, string printed, _) = await ChildProcess.RunAsync(["/bin/sh", "-c", line], s_timeout);
        return $"{printed}\n{server.Output}";
    }

    private static Task<string> RunAsync(ServerProcess server, params string[] arguments) =>
        ClientScript.RunAsync([Peer.Python, Path.Combine(Peer.Scripts, "secure.py"), .. arguments], server);

    /// <summary>Certificates and passwords for all tests.</summary>
    public sealed class Files : IDisposable
    {
        public Files() => File.WriteAllText(Certificates.Path("passwords"), "bob:other\nann:secret\n");

        internal TestCertificates Certificates { get; } = new();

        internal Dictionary<string, string> SaslEnvironment => new() { ["MEMCACHED_SASL_PWDB"] = Certificates.Path("passwords") };

        public void Dispose() => Certificates.Dispose();
    }
}
