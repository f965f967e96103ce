using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace OrleansCache.Client.Tests.Support;

/// <summary>
/// A gateway that does what a test says: every command line that arrives waits in <see cref="NextAsync"/>, and is answered when the test answers it. `mn` is
/// answered by itself.
/// </summary>
internal sealed class FakeGateway : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly TcpListener _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<FakeCommand> _commands = Channel.CreateUnbounded<FakeCommand>();
    private readonly List<TcpClient> _clients = [];
    private readonly Task _accepting;
    private int _open;

    public FakeGateway(int port = 0)
    {
        _listener = new TcpListener(IPAddress.Loopback, port);
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    public string EndPoint => $"127.0.0.1:{Port}";

    /// <summary>Connections that were ever accepted.</summary>
    public int Accepted { get; private set; }

    /// <summary>Said instead of MN to every connection.</summary>
    public string Greeting { get; set; } = "MN\r\n";

    /// <summary>What `config get cluster` answers, by itself: the version, and the gateways. Null: the test answers.</summary>
    public (int Version, string[] EndPoints)? Cluster { get; set; }

    /// <summary>Connections that are open.</summary>
    public int Open
    {
        get
        {
            lock (_clients)
                return _open;
        }
    }

    /// <summary>The next command line that arrives on any connection, without its end.</summary>
    public async Task<FakeCommand> NextAsync()
    {
        using var limit = new CancellationTokenSource(s_patience);
        return await _commands.Reader.ReadAsync(limit.Token);
    }

    /// <summary>Waits until a command has arrived, and leaves it there.</summary>
    public async Task WaitAsync(CancellationToken cancellationToken) => await _commands.Reader.WaitToReadAsync(cancellationToken);

    /// <summary>The next one, which must begin so.</summary>
    public async Task<FakeCommand> ExpectAsync(string beginning)
    {
        FakeCommand command = await NextAsync();
        Assert.StartsWith(beginning, command.Line, StringComparison.Ordinal);
        return command;
    }

    /// <summary>Nothing answers any more, as on a machine that has gone: the connections break.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested)
            return;
        await _stop.CancelAsync();
        _listener.Stop();
        lock (_clients)
        {
            foreach (TcpClient client in _clients)
                client.Close();
        }

        await _accepting;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                TcpClient client = await _listener.AcceptTcpClientAsync(_stop.Token);
                Accepted++;
                lock (_clients)
                {
                    _clients.Add(client);
                    _open++;
                }

                _ = ServeAsync(client);
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        try
        {
            NetworkStream stream = client.GetStream();
            using var reader = new StreamReader(stream, Encoding.Latin1);
            Task former = Task.CompletedTask;
            while (await reader.ReadLineAsync(_stop.Token) is { } line)
            {
                if (line == "mn")
                {
                    await stream.WriteAsync(Encoding.Latin1.GetBytes(Greeting), _stop.Token);
                    continue;
                }

                if (line == "config get cluster" && Cluster is { } cluster)
                {
                    IEnumerable<string> nodes = cluster.EndPoints.Select(endPoint => endPoint.Replace(":", "|127.0.0.1|", StringComparison.Ordinal));
                    string body = $"{cluster.Version}\n{string.Join(' ', nodes)}\n";

                    // In its turn: replies come in the order of the commands.
                    await former.WaitAsync(_stop.Token);
                    await stream.WriteAsync(Encoding.Latin1.GetBytes($"CONFIG cluster 0 {body.Length}\r\n{body}\r\nEND\r\n"), _stop.Token);
                    continue;
                }

                // Values of tests have no line ends.
                string value = line.StartsWith("ms ", StringComparison.Ordinal) ? await reader.ReadLineAsync(_stop.Token) ?? "" : "";
                var command = new FakeCommand(client, line, value);
                former = Task.WhenAll(former, command.Answered);
                await _commands.Writer.WriteAsync(command, _stop.Token);
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException or ObjectDisposedException or InvalidOperationException)
        {
        }
        finally
        {
            lock (_clients)
                _open--;
        }
    }
}

/// <summary>A command that has arrived at a <see cref="FakeGateway"/>.</summary>
internal sealed record FakeCommand(TcpClient Client, string Line, string Value)
{
    private readonly TaskCompletionSource _answered = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Answered => _answered.Task;

    public async Task AnswerAsync(string answer)
    {
        await Client.GetStream().WriteAsync(Encoding.Latin1.GetBytes(answer));
        _answered.TrySetResult();
    }

    /// <summary>Closes its connection.</summary>
    public void Cut() => Client.Close();
}
