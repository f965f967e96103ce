using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace OrleansCache.Silo.Tests;

/// <summary>Clients that only connect, more of them than there are descriptors: the process serves on.</summary>
public sealed partial class OpenFilesTests
{
    private const int Limit = 512;
    private const int OpenFiles = 7; // RLIMIT_NOFILE on Linux
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData("epoll")]
    [InlineData("pipelines")]
    public async Task ConnectionsAreGrantedOnlyWhatTheProcessDoesNotNeedItself(string transport)
    {
        using ProductProcess product = await ProductProcess.StartAsync($"-p -1 -t 2 -c {Limit} --transport {transport}", openFilesMax: Limit);
        IPEndPoint address = await product.EndPointAsync();
        List<Socket> clients = await ConnectAsync(address, Limit + 100);

        int served = 0, refused = 0;
        foreach (Socket client in clients)
        {
            string answer = await AskAsync(client);
            if (answer.StartsWith("VERSION ", StringComparison.Ordinal))
                served++;
            else if (answer.StartsWith("ERROR Too many open connections", StringComparison.Ordinal))
                refused++;
            else
                Assert.Fail($"neither served nor refused: '{answer}'; {product.Error}");
        }

        Assert.Equal(Limit + 100, served + refused);
        Assert.InRange(served, Limit - 160, Limit - 80);
        string warning = string.Create(CultureInfo.InvariantCulture,
            $"WARNING: the limit of open files, {Limit}, has room for {served} connections, not for {Limit} (-c)");
        Assert.Contains(warning, product.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("paused", product.Error, StringComparison.Ordinal);
        clients.ForEach(static client => client.Dispose());
        product.Signal("TERM");
        Assert.Equal(0, product.WaitForExit());
    }

    [Fact]
    public async Task WithoutDescriptorsOpenConnectionsAreServedAndNewOnesWait()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using ProductProcess product = await ProductProcess.StartAsync("-p -1 -t 2 -c 100");
        IPEndPoint address = await product.EndPointAsync();
        using Socket served = (await ConnectAsync(address, 1))[0];
        Assert.StartsWith("VERSION ", await AskAsync(served), StringComparison.Ordinal);

        // What this command needs has been loaded then; that comes out of what is reserved in real life.
        Assert.Equal(0, await StatisticAsync(served, "listen_disabled_num"));
        Assert.Equal(0, SetOpenFiles(product.Id, null, out (ulong Soft, ulong Hard) before));

        // Below what is open already: no descriptor can be had at all.
        var none = (Soft: 20UL, before.Hard);
        Assert.Equal(0, SetOpenFiles(product.Id, none, out _));
        List<Socket> clients = await ConnectAsync(address, 30);
        while (await StatisticAsync(served, "listen_disabled_num") < 5)
            Assert.False(product.HasExited, product.Error);
        Assert.StartsWith("VERSION ", await AskAsync(served), StringComparison.Ordinal);

        Assert.Equal(0, SetOpenFiles(product.Id, before, out _));
        foreach (Socket client in clients)
            Assert.StartsWith("VERSION ", await AskAsync(client), StringComparison.Ordinal);
        Assert.Single(product.Error.Split('\n'), static line => line.Contains("paused", StringComparison.Ordinal));
        clients.ForEach(static client => client.Dispose());
        product.Signal("TERM");
        Assert.Equal(0, product.WaitForExit());
    }

    private static async Task<List<Socket>> ConnectAsync(IPEndPoint address, int count)
    {
        var clients = new List<Socket>();
        for (int i = 0; i < count; i++)
        {
            var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await client.ConnectAsync(address);
            clients.Add(client);
        }

        return clients;
    }

    private static async Task<string> AskAsync(Socket client)
    {
        try
        {
            await client.SendAsync("version\r\n"u8.ToArray());
        }
        catch (SocketException)
        {
            // Refused already: the reason can still be read.
        }

        byte[] answer = new byte[100];
        try
        {
            int count = await client.ReceiveAsync(answer).WaitAsync(s_patience);
            return Encoding.ASCII.GetString(answer, 0, count);
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
        {
            // A refusal that the reset behind it overtook.
            return "ERROR Too many open connections";
        }
    }

    private static async Task<long> StatisticAsync(Socket client, string name)
    {
        await client.SendAsync("stats\r\n"u8.ToArray());
        var text = new StringBuilder();
        byte[] buffer = new byte[16384];
        while (!text.ToString().EndsWith("END\r\n", StringComparison.Ordinal))
            text.Append(Encoding.ASCII.GetString(buffer, 0, await client.ReceiveAsync(buffer).WaitAsync(s_patience)));
        string line = text.ToString().Split("\r\n").First(line => line.StartsWith($"STAT {name} ", StringComparison.Ordinal));
        return long.Parse(line.Split(' ')[2], CultureInfo.InvariantCulture);
    }

    private static unsafe int SetOpenFiles(int process, (ulong Soft, ulong Hard)? limit, out (ulong Soft, ulong Hard) before)
    {
        ulong* set = stackalloc ulong[2], old = stackalloc ulong[2];
        if (limit is { } wanted)
            (set[0], set[1]) = (wanted.Soft, wanted.Hard);
        int result = ProcessLimit(process, OpenFiles, limit is null ? null : set, old);
        before = (old[0], old[1]);
        return result;
    }

    [LibraryImport("libc", EntryPoint = "prlimit")]
    private static unsafe partial int ProcessLimit(int process, int resource, ulong* set, ulong* old);
}
