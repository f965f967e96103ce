using System.Net;
using System.Net.Sockets;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sockets;

public sealed class WatchSocketTests
{
    public static TheoryData<TransportKind> Transports => SocketTests.Transports;

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task ConnectionsAreToldWhenTheyBeginAndEnd(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport);
        using TestClient watcher = await gateway.ConnectAsync();
        await watcher.AssertAsync("watch connevents\r\n", "OK\r\n");
        foreach (string reason in (string[])["normal", "normal", "error"])
        {
            TestClient client = await gateway.ConnectAsync();
            int port = ((IPEndPoint)client.Socket.LocalEndPoint!).Port;
            string opened = await ReadLineAsync(watcher);
            Assert.Matches($@"^ts=\d+\.\d+ gid=\d+ type=conn_new rip=127\.0\.0\.1 rport={port} transport=tcp cfd=\d+\n$", opened);
            string name = opened[opened.IndexOf("cfd=", StringComparison.Ordinal)..];
            await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
            if (reason == "error")
                client.Reset();
            else if (port % 2 == 0)
                await client.SendAsync("quit\r\n");
            else
                client.Socket.Shutdown(SocketShutdown.Send);
            string closed = await ReadLineAsync(watcher);
            Assert.Matches($@"^ts=\d+\.\d+ gid=\d+ type=conn_close rip=127\.0\.0\.1 rport={port} transport=tcp reason={reason} {name}$", closed);
            client.Dispose();
        }
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AWatcherIsNeverIdleAndLeavesWhenItCloses(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { IdleTimeoutSeconds = 10 });
        using TestClient watcher = await gateway.ConnectAsync();
        await watcher.AssertAsync("watch connevents\r\n", "OK\r\n");
        using (TestClient idle = await gateway.ConnectAsync())
        {
            await ReadLineAsync(watcher);
            await idle.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
            gateway.Time.Advance(TimeSpan.FromSeconds(20));
            Assert.Contains(" reason=idle_timeout ", await ReadLineAsync(watcher));
            Assert.Equal("", await idle.ReadToEndAsync());
        }

        using TestClient asking = await gateway.ConnectAsync();
        await ReadLineAsync(watcher);
        await asking.SendAsync("stats conns\r\n");
        Assert.Contains(":state conn_watch\r\n", await ReadUntilAsync(asking, "END\r\n"));
        watcher.Dispose();
        await Wait.UntilAsync(() => gateway.Router.Events.Watched == EventKinds.None, "the watcher is gone");
    }

    /// <summary>
    /// It does not read; what it is sent stops; others are served, other watchers get every line; when it reads at last it is told what it lost.
    /// </summary>
    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AWatcherThatDoesNotReadStallsNobody(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { WatcherLogBytesMax = 64 * 1024 });
        EventLog log = gateway.Router.Events;
        using TestClient slow = await gateway.ConnectAsync();
        slow.Socket.ReceiveBufferSize = 4096;
        await slow.AssertAsync("watch fetchers\r\n", "OK\r\n");
        using TestClient client = await gateway.ConnectAsync();
        byte[] key = new byte[Limits.KeyBytesMax]; // every byte becomes three
        long told = 0;
        byte[] buffer = new byte[64 * 1024];
        using (IEventFeed fast = log.Watch(EventKinds.Fetchers, Limits.EventFeedBytesMax, static () => { })!)
        {
            long seen = 0;
            for (int round = 0; log.ReadStatistics().Skipped < 2_000; round++)
            {
                Assert.True(round < 2000, "the slow watcher is sent everything");
                for (int i = 0; i < 500; i++, told++)
                    log.ItemGet(key, ItemGetStatus.Found, 1, 2, i);
                for (int bytes = fast.Read(buffer); bytes > 0; bytes = fast.Read(buffer))
                    seen += buffer.AsSpan(0, bytes).Count((byte)'\n');
                await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
            }

            Assert.Equal(told, seen);
        }

        // Room, and with the next line the word on what is missing, comes only with reading.
        long received = 0;
        string text = "";
        while (!text.Contains("\nskipped=", StringComparison.Ordinal))
        {
            log.ItemGet(key, ItemGetStatus.Found, 1, 2, 3);
            int bytes = await slow.Socket.ReceiveAsync(buffer).WaitAsync(TimeSpan.FromSeconds(10));
            Assert.NotEqual(0, bytes);
            received += bytes;
            text = text[^Math.Min(text.Length, 200)..] + System.Text.Encoding.ASCII.GetString(buffer, 0, bytes);
        }

        Assert.True(received < told * key.Length);
    }

    private static Task<string> ReadLineAsync(TestClient client) => ReadUntilAsync(client, "\n");

    private static async Task<string> ReadUntilAsync(TestClient client, string end)
    {
        var text = new System.Text.StringBuilder();
        while (true)
        {
            string next = await client.ReadAsync(1);
            Assert.NotEmpty(next);
            text.Append(next);
            if (text.ToString().EndsWith(end, StringComparison.Ordinal))
                return text.ToString();
        }
    }
}
