using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>A TLS client that sends text and reads exactly what it expects.</summary>
internal sealed class TlsTestClient : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private readonly SslStream _stream;

    private TlsTestClient(SslStream stream) => _stream = stream;

    public string ServerName => _stream.RemoteCertificate!.Subject;
    public SslProtocols Version => _stream.SslProtocol;
    public TlsCipherSuite Suite => _stream.NegotiatedCipherSuite;

    public static async Task<TlsTestClient> ConnectAsync(
        EndPoint endPoint, X509Certificate2? certificate = null, SslProtocols protocols = SslProtocols.None, string host = "127.0.0.1")
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        var stream = new SslStream(await ConnectSocketAsync(socket, endPoint));
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = host,
            EnabledSslProtocols = protocols,
            ClientCertificates = certificate is null ? null : [certificate],
            RemoteCertificateValidationCallback = static (_, certificate, _, _) => certificate is not null,
        }).WaitAsync(s_patience);
        return new TlsTestClient(stream);
    }

    public async Task SendAsync(string text) => await _stream.WriteAsync(Encoding.Latin1.GetBytes(text)).AsTask().WaitAsync(s_patience);

    public async Task<string> ReadAsync(int bytes)
    {
        byte[] buffer = new byte[bytes];
        int read = await _stream.ReadAtLeastAsync(buffer, bytes, throwOnEndOfStream: false).AsTask().WaitAsync(s_patience);
        return Encoding.Latin1.GetString(buffer, 0, read);
    }

    /// <summary>Until the server says goodbye, or cuts.</summary>
    public async Task<string> ReadToEndAsync()
    {
        var text = new StringBuilder();
        byte[] buffer = new byte[65536];
        try
        {
            while (await _stream.ReadAsync(buffer).AsTask().WaitAsync(s_patience) is int count and > 0)
                text.Append(Encoding.Latin1.GetString(buffer, 0, count));
            return text.ToString();
        }
        catch (Exception failure) when (failure is IOException or AuthenticationException)
        {
            return text.Append("<cut>").ToString();
        }
    }

    public async Task AssertAsync(string input, string output)
    {
        await SendAsync(input);
        Assert.Equal(output, await ReadAsync(output.Length));
    }

    public void Dispose() => _stream.Dispose();

    private static async Task<NetworkStream> ConnectSocketAsync(Socket socket, EndPoint endPoint)
    {
        await socket.ConnectAsync(endPoint);
        return new NetworkStream(socket, ownsSocket: true);
    }
}
