using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using OrleansCache.Grains.Hosting.Links;

namespace OrleansCache.Grains.Tests.Hosting.Links;

/// <summary>Connections between silos as Orleans and links see them. Linux only: elsewhere they are Orleans's own.</summary>
public sealed class LoopConnectionTests : IAsyncLifetime
{
    private static readonly object s_key = new();

    private readonly ServiceProvider _services;
    private readonly SiloTransport _transport;
    private IConnectionListener? _listener;

    public LoopConnectionTests()
    {
        ServiceCollection services = new();
        services.AddKeyedSingleton<IConnectionFactory>(s_key, static (_, _) => throw new InvalidOperationException("Orleans's own"));
        services.AddKeyedSingleton<IConnectionListenerFactory>(s_key, static (_, _) => throw new InvalidOperationException("Orleans's own"));
        SiloTransport.Register(services);
        _services = services.BuildServiceProvider();
        _transport = _services.GetRequiredService<SiloTransport>();
    }

    public async Task InitializeAsync() =>
        _listener = await _services.GetRequiredKeyedService<IConnectionListenerFactory>(s_key).BindAsync(new IPEndPoint(IPAddress.Loopback, 0));

    public async Task DisposeAsync()
    {
        await _listener!.DisposeAsync();
        await _services.DisposeAsync();
    }

    [LinuxFact]
    public void ItStandsInThePlaceOfOrleanssOwn() =>
        Assert.Same(_transport, _services.GetRequiredKeyedService<IConnectionFactory>(s_key));

    [LinuxFact]
    public async Task BytesArriveBothWaysAndInOrder()
    {
        (ConnectionContext one, ConnectionContext other) = await ConnectAsync();
        await one.Transport.Output.WriteAsync("hello"u8.ToArray());
        Assert.Equal("hello"u8.ToArray(), await ReadAsync(other, 5));
        await other.Transport.Output.WriteAsync("you"u8.ToArray());
        Assert.Equal("you"u8.ToArray(), await ReadAsync(one, 3));
        await one.DisposeAsync();
        await other.DisposeAsync();
    }

    /// <summary>Far more than a socket holds: whoever sends waits until the other end reads.</summary>
    [LinuxFact]
    public async Task MuchMoreThanTheSocketsHoldArrivesWhole()
    {
        (ConnectionContext one, ConnectionContext other) = await ConnectAsync();
        byte[] bytes = new byte[32 * 1024 * 1024];
        new Random(1).NextBytes(bytes);
        Task<byte[]> there = ReadAsync(other, bytes.Length);
        Task<byte[]> back = ReadAsync(one, bytes.Length);
        await Task.WhenAll(one.Transport.Output.WriteAsync(bytes).AsTask(), other.Transport.Output.WriteAsync(bytes).AsTask());
        byte[][] arrived = await Task.WhenAll(there, back);
        Assert.All(arrived, one => Assert.True(bytes.AsSpan().SequenceEqual(one)));
        await one.DisposeAsync();
        await other.DisposeAsync();
    }

    [LinuxFact]
    public async Task WhenOneEndGoesTheOtherReadsToTheEndAndHearsOfIt()
    {
        (ConnectionContext one, ConnectionContext other) = await ConnectAsync();
        await one.Transport.Output.WriteAsync("last"u8.ToArray());
        byte[] last = await ReadAsync(other, 4);
        await one.DisposeAsync();
        Assert.Equal("last"u8.ToArray(), last);
        ReadResult end = await other.Transport.Input.ReadAsync();
        Assert.True(end.IsCompleted && end.Buffer.IsEmpty);
        await CancelledAsync(other.ConnectionClosed);
        await other.DisposeAsync();
    }

    [LinuxFact]
    public async Task AnAbortedConnectionEndsAtBothEnds()
    {
        (ConnectionContext one, ConnectionContext other) = await ConnectAsync();
        Task<ReadResult> reads = one.Transport.Input.ReadAsync().AsTask();
        one.Abort(new ConnectionAbortedException("enough"));
        Assert.True((await reads).IsCompleted);
        await CancelledAsync(one.ConnectionClosed);
        await CancelledAsync(other.ConnectionClosed);
        await one.DisposeAsync();
        await other.DisposeAsync();
    }

    /// <summary>Who writes and is never read from is not held for ever.</summary>
    [LinuxFact]
    public async Task AWriteThatWaitsEndsWithTheConnection()
    {
        (ConnectionContext one, ConnectionContext other) = await ConnectAsync();
        await one.Transport.Output.WriteAsync(new byte[64 * 1024 * 1024]);
        other.Abort(new ConnectionAbortedException("enough"));
        await CancelledAsync(one.ConnectionClosed);
        await one.DisposeAsync();
        await other.DisposeAsync();
    }

    [LinuxFact]
    public async Task WhereNobodyListensConnectingFails()
    {
        EndPoint endPoint = _listener!.EndPoint;
        await _listener.UnbindAsync();
        SocketException refused = await Assert.ThrowsAsync<SocketException>(async () => await _transport.ConnectAsync(endPoint));
        Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);
        Assert.Null(await _listener.AcceptAsync());
    }

    [LinuxFact]
    public async Task AConnectThatIsGivenUpEnds()
    {
        // Nobody accepts, so when enough wait to be, the kernel answers no more.
        using Socket deaf = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        deaf.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        deaf.Listen(1);
        List<ConnectionContext> waiting = [];
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            for (int i = 0; i < 64; i++)
            {
                using CancellationTokenSource limit = new(TimeSpan.FromMilliseconds(200));
                waiting.Add(await _transport.ConnectAsync(deaf.LocalEndPoint!, limit.Token));
            }
        });
        foreach (ConnectionContext connection in waiting)
            await connection.DisposeAsync();
    }

    [LinuxFact]
    public async Task ConnectionsEndWithTheTransport()
    {
        (ConnectionContext one, ConnectionContext other) = await ConnectAsync();
        _transport.Dispose();
        await CancelledAsync(one.ConnectionClosed);
        await CancelledAsync(other.ConnectionClosed);
        await one.DisposeAsync();
        await other.DisposeAsync();
        await Assert.ThrowsAnyAsync<Exception>(async () => await _transport.ConnectAsync(_listener!.EndPoint));
    }

    private async Task<(ConnectionContext One, ConnectionContext Other)> ConnectAsync()
    {
        Task<ConnectionContext?> accepted = _listener!.AcceptAsync().AsTask();
        ConnectionContext one = await _transport.ConnectAsync(_listener.EndPoint);
        return (one, (await accepted)!);
    }

    private static async Task<byte[]> ReadAsync(ConnectionContext connection, int count)
    {
        ReadResult result = await connection.Transport.Input.ReadAtLeastAsync(count);
        byte[] bytes = result.Buffer.Slice(0, Math.Min(count, result.Buffer.Length)).ToArray();
        connection.Transport.Input.AdvanceTo(result.Buffer.GetPosition(bytes.Length));
        return bytes;
    }

    private static async Task CancelledAsync(CancellationToken token)
    {
        TaskCompletionSource cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = token.Register(cancelled.SetResult);
        await cancelled.Task;
    }
}
