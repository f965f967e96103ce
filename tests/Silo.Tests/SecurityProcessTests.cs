using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Silo.Tests;

/// <summary>-Z and -Y from outside: what is served, what ends the start, and how new files are taken over.</summary>
public sealed class SecurityProcessTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly TestCertificates _certificates = new();

    private string AuthFile => _certificates.Path("passwords");

    public void Dispose() => _certificates.Dispose();

    [Theory]
    [InlineData("-Z", 64, "TLS needs a certificate, -o ssl_chain_cert=FILE")]
    [InlineData("-Z -o ssl_chain_cert=/nowhere/server.pem", 64, "Error loading the certificate chain: /nowhere/server.pem: no such file")]
    [InlineData("-Y /nowhere/passwords", 1, "Could not open authfile [/nowhere/passwords] for reading, error no such file")]
    [InlineData("-S", 64, "-S needs passwords: MEMCACHED_SASL_PWDB must name a file")]
    [InlineData("-Y /nowhere/passwords -U 11211", 64, "Cannot use UDP with ascii authentication enabled (-U 0 to disable)")]
    [InlineData("-S -U 11211", 64, "ERROR: Cannot enable UDP while using binary SASL authentication.")]
    public void AFileThatCannotBeUsedEndsTheStart(string line, int expected, string reason)
    {
        (int code, string text, string error) = ProductProcess.Run(line + " -p -1");
        Assert.Equal((expected, ""), (code, text));
        Assert.Contains(reason, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SighupTakesNewFilesOverAndKeepsTheOldOnesWhenTheNewAreBroken()
    {
        if (OperatingSystem.IsWindows())
            return;
        _certificates.WriteServer("first");
        await File.WriteAllTextAsync(AuthFile, "ann:old\n");
        using ProductProcess server = await ProductProcess.StartAsync(
            $"-Z -Y {AuthFile} -p -1 -l 127.0.0.1,notls:127.0.0.2 -o ssl_chain_cert={_certificates.ChainFile},ssl_key={_certificates.KeyFile} -v");
        IPEndPoint tls = await server.EndPointAsync();
        Assert.Equal(("CN=first", "STORED"), await LogInAsync(tls, "ann old"));

        _certificates.WriteServer("second");
        await File.WriteAllTextAsync(AuthFile, "ann:new\n");
        server.Signal("HUP");
        await Wait.UntilAsync(() => server.Error.Contains("Reloaded: TLS certificates", StringComparison.Ordinal)
            && server.Error.Contains("Reloaded: passwords", StringComparison.Ordinal), () => server.Error);
        Assert.Equal(("CN=second", "STORED"), await LogInAsync(tls, "ann new"));
        Assert.Equal(("CN=second", "CLIENT_ERROR authentication failure"), await LogInAsync(tls, "ann old"));

        await File.WriteAllTextAsync(_certificates.ChainFile, "nonsense");
        await File.WriteAllTextAsync(AuthFile, "nonsense");
        server.Signal("HUP");
        await Wait.UntilAsync(() => server.Error.Contains("Error loading the certificate chain", StringComparison.Ordinal)
            && server.Error.Contains("malformed entry", StringComparison.Ordinal), () => server.Error);
        Assert.Equal(("CN=second", "STORED"), await LogInAsync(tls, "ann new"));

        // By itself: no signal.
        await File.WriteAllTextAsync(AuthFile, "ann:third\n");
        await Wait.UntilAsync(() => server.Error.Contains($"Reloaded: {AuthFile}", StringComparison.Ordinal), () => server.Error);
        Assert.Equal(("CN=second", "STORED"), await LogInAsync(tls, "ann third"));
        server.Signal("TERM");
        Assert.Equal(0, server.WaitForExit());
    }

    /// <summary>nohup and scripts have both ignored; memcached handles them even then.</summary>
    [Fact]
    public async Task SignalsThatAreIgnoredWhenItIsStartedAreHandledAllTheSame()
    {
        if (!OperatingSystem.IsLinux())
            return;
        await File.WriteAllTextAsync(AuthFile, "ann:old\n");
        using ProductProcess server = await ProductProcess.StartIgnoringSignalsAsync($"-Y {AuthFile} -p -1 -l 127.0.0.1 -v");
        await File.WriteAllTextAsync(AuthFile, "ann:new\n");
        server.Signal("HUP");
        await Wait.UntilAsync(() => server.Error.Contains("Reloaded: passwords", StringComparison.Ordinal), () => server.Error);
        server.Signal("INT");
        Assert.Equal(0, server.WaitForExit());
    }

    /// <summary>The server's name, and the answer to the login.</summary>
    private static async Task<(string Server, string Answer)> LogInAsync(IPEndPoint endPoint, string token)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(endPoint);
        using var stream = new SslStream(client.GetStream(), false, static (_, certificate, _, _) => certificate is not null);
        await stream.AuthenticateAsClientAsync("localhost").WaitAsync(s_patience);
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"set login 0 0 {token.Length}\r\n{token}\r\n"));
        using var reader = new StreamReader(stream, Encoding.ASCII);
        return (stream.RemoteCertificate!.Subject, await reader.ReadLineAsync().WaitAsync(s_patience) ?? "");
    }
}
