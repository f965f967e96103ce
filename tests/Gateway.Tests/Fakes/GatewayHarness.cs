using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Options;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>A gateway on a free loopback port, over a <see cref="FakeRouter"/>.</summary>
internal sealed class GatewayHarness : IAsyncDisposable
{
    public GatewayHarness(TransportKind transport, Func<GatewayOptions, GatewayOptions>? configure = null, FakeRouter? router = null)
    {
        var options = new GatewayOptions { Listeners = [new ListenerOptions(new IPEndPoint(IPAddress.Loopback, 0))], Threads = 2, Transport = transport };
        Router = router ?? new FakeRouter();
        Server = new GatewayServer(configure?.Invoke(options) ?? options, Router, Errors, Time);
    }

    public FakeRouter Router { get; }
    public ManualTime Time { get; } = new();
    public ErrorRecorder Errors { get; } = new();
    public GatewayServer Server { get; }
    public GatewayShared Shared => Server.Shared;
    public IPEndPoint EndPoint => (IPEndPoint)Server.EndPoints[0];

    public static async Task<GatewayHarness> StartAsync(
        TransportKind transport, Func<GatewayOptions, GatewayOptions>? configure = null, FakeRouter? router = null)
    {
        var harness = new GatewayHarness(transport, configure, router);
        await harness.Server.StartAsync(CancellationToken.None);
        return harness;
    }

    public async Task<TestClient> ConnectAsync()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(EndPoint);
        return new TestClient(socket);
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        Assert.Empty(Errors.Messages);
        Assert.Equal(0, Router.Store.Pins);
    }
}

/// <summary>A client that sends text and reads exactly what it expects.</summary>
internal sealed class TestClient(Socket socket) : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    public Socket Socket { get; } = socket;

    public async Task SendAsync(string text)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        int sent = 0;
        while (sent < bytes.Length)
            sent += await Socket.SendAsync(bytes.AsMemory(sent)).AsTask().WaitAsync(s_patience);
    }

    /// <summary>Reads so many bytes, or fewer if the connection ends.</summary>
    public async Task<string> ReadAsync(int bytes)
    {
        byte[] buffer = new byte[bytes];
        int read = 0;
        while (read < bytes)
        {
            int count = await Socket.ReceiveAsync(buffer.AsMemory(read)).AsTask().WaitAsync(s_patience);
            if (count == 0)
                break;
            read += count;
        }

        return Encoding.Latin1.GetString(buffer, 0, read);
    }

    /// <summary>Reads until the server closes.</summary>
    public async Task<string> ReadToEndAsync()
    {
        var text = new StringBuilder();
        byte[] buffer = new byte[65536];
        while (true)
        {
            int count;
            try
            {
                count = await Socket.ReceiveAsync(buffer).WaitAsync(s_patience);
            }
            catch (SocketException)
            {
                return text.Append("<reset>").ToString();
            }

            if (count == 0)
                return text.ToString();
            text.Append(Encoding.Latin1.GetString(buffer, 0, count));
        }
    }

    public async Task AssertAsync(string input, string output)
    {
        await SendAsync(input);
        Assert.Equal(output, await ReadAsync(output.Length));
    }

    public void Reset()
    {
        Socket.LingerState = new LingerOption(true, 0);
        Socket.Close();
    }

    public void Dispose() => Socket.Dispose();
}

/// <summary>Keeps what the gateway logs as errors: a client's mistake must never be among it.</summary>
internal sealed class ErrorRecorder : ILoggerFactory, ILogger
{
    public ConcurrentQueue<string> Messages { get; } = new();

    public ILogger CreateLogger(string categoryName) => categoryName.StartsWith("OrleansCache", StringComparison.Ordinal)
        ? this
        : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
            Messages.Enqueue($"{formatter(state, exception)}: {exception}");
    }

    public void Dispose()
    {
    }
}
