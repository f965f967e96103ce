using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Tls;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

/// <summary>-Z, -Y, -S and what they mean for listeners.</summary>
public sealed class SecurityOptionTests
{
    [Fact]
    public void TlsOptionsArriveAsMemcachedMeansThem()
    {
        ServeOptions options = Read(
            "-Z -o ssl_chain_cert=c.pem,ssl_key=k.der,ssl_keyformat=2,ssl_verify_mode=3,ssl_ciphers=A:B,ssl_ca_cert=ca.pem,ssl_wbuf_size=32,"
                + "ssl_session_cache,ssl_kernel_tls,ssl_min_version=1");
        Assert.True(options.TlsEnabled);
        Assert.Equal(
            new TlsOptions
            {
                ChainFile = "c.pem", KeyFile = "k.der", KeyFormat = TlsKeyFormat.Der, VerifyMode = 3, Ciphers = "A:B", ClientAuthoritiesFile = "ca.pem",
                WriteBufferBytes = 32 * 1024, SessionCache = true, KernelTls = true, MinVersion = 1,
            },
            options.Tls);
        Assert.Equal(3, Read("-Z -o ssl_min_version=tlsv1.3").Tls.MinVersion);
        Assert.Equal(TlsKeyFormat.Pem, Read("-Z -o ssl_keyformat=PEM").Tls.KeyFormat);
    }

    [Theory]
    [InlineData("notls:127.0.0.1:1", TlsMode.Off)]
    [InlineData("mtls:127.0.0.1:1", TlsMode.ClientCertificate)]
    [InlineData("btls:proto[ascii]:tag_x_:127.0.0.1:1", TlsMode.NoClientCertificate)]
    [InlineData("127.0.0.1:1", null)]
    public void AListenersPrefixSaysItsTls(string text, TlsMode? mode)
    {
        Assert.True(ListenSpec.TryParse(text, 11211, out List<ListenSpec> listeners, out _));
        Assert.Equal(mode, Assert.Single(listeners).Tls);
    }

    [Theory]
    [InlineData("-Y f", null, WireProtocol.Ascii)]
    [InlineData("-S", null, WireProtocol.Binary)]
    [InlineData("-S -Y f", null, WireProtocol.Auto)]
    [InlineData("-S -B binary", null, WireProtocol.Binary)]
    [InlineData("-Y f", WireProtocol.Auto, WireProtocol.Ascii)]
    [InlineData("-S", WireProtocol.Ascii, WireProtocol.Ascii)]
    [InlineData("", null, WireProtocol.Auto)]
    public void LoginsDecideWhatAListenerSpeaks(string line, WireProtocol? listener, WireProtocol expected) =>
        Assert.Equal(expected, SecurityChecks.Protocol(Read(line), listener));

    private static ServeOptions Read(string line) => OptionReader.Read([.. Lines.Split(line)], _ => null, hasCluster: false);
}
