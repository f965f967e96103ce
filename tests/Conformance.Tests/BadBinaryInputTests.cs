using System.Net;
using System.Net.Sockets;
using System.Text;
using static OrleansCache.Conformance.BinaryPacket;

namespace OrleansCache.Conformance;

/// <summary>
/// Binary packets that no good client sends, and who speaks what where. The differential streams compare most of the answers; here is what must not
/// happen to the server.
/// </summary>
public sealed class BadBinaryInputTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private const string SetExtras = "\0\0\0\0\0\0\0\0";
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task APacketCutAnywhereIsNotAnswered()
    {
        string packet = Store(Set, "cut", "value");
        for (int cut = 1; cut < packet.Length; cut++)
        {
            using RawClient client = fixture.Server.Connect();
            await client.SendAsync(Of(NoOp, opaque: 5) + packet[..cut]);
            client.EndSending();
            Assert.Equal("0a 00 #5", ShowAll(await client.ReadToEndAsync()));
        }

        using RawClient neighbour = fixture.Server.Connect();
        Assert.Null(await neighbour.GetAsync("cut"));
    }

    /// <summary>Bodies of up to 4 GiB are announced on many connections, and a part of each is sent.</summary>
    [Fact]
    public async Task AnnouncedGigabytesDoNotFillTheMemory()
    {
        const int connections = 40;
        const int sentBytes = 2 << 20;
        uint[] announced = [(1u << 30) - 100, 1u << 30, 0x7fffffff, 0x80000000, uint.MaxValue];
        using RawClient neighbour = fixture.Server.Connect();
        long before = fixture.Server.ResidentBytes;
        var clients = new List<RawClient>();
        byte[] part = new byte[sentBytes];
        try
        {
            for (int i = 0; i < connections; i++)
            {
                RawClient client = fixture.Server.Connect();
                clients.Add(client);
                byte opcode = new[] { Set, SetQ, Append, (byte)0x50, SaslAuth, Get }[i % 6];
                await client.SendAsync(Of(opcode, "announced", opcode is Set or SetQ ? SetExtras : "", bodyLength: announced[i % announced.Length]));
                try
                {
                    await client.SendAsync(part);
                }
                catch (SocketException)
                {
                    // Closed: as good an answer as any.
                }
            }

            Assert.StartsWith("VERSION ", await neighbour.CommandAsync("version"), StringComparison.Ordinal);
            long grown = fixture.Server.ResidentBytes - before;
            Assert.True(grown < connections * sentBytes / 2, $"{grown} bytes more for {connections} connections that sent {sentBytes} bytes each");
        }
        finally
        {
            clients.ForEach(client => client.Dispose());
        }
    }

    /// <summary>Lengths that lie: what follows is not what the header says. The connection's own trouble, nobody else's.</summary>
    [Fact]
    public async Task RandomHeadersLeaveTheServerAsItWas()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using RawClient neighbour = fixture.Server.Connect();
        Assert.Equal("STORED", await neighbour.SetAsync("kept-through-packets", "whole"));
        for (int connection = 0; connection < 400; connection++)
        {
            var input = new StringBuilder();
            for (int count = random.Next(1, 20); count > 0; count--)
            {
                byte opcode = (byte)random.Next(random.Next(4) == 0 ? 256 : 0x26);

                // A flush would be right, and take the neighbour's item.
                if (opcode is Flush or FlushQ)
                    continue;
                string key = new('k', random.Next(5));
                string extras = new('\0', Pick(0, 0, 4, 8, 20));
                bool lies = random.Next(5) == 0;
                input.Append(Of(
                    opcode, key, extras, new string('v', random.Next(10)), keyLength: lies
                        ? random.Next(400) : null, extrasLength: lies ? random.Next(30) : null,
                    bodyLength: lies ? (uint)random.Next(500) : null));
            }

            // At least a packet's first byte, or it would be text.
            input.Append('\u0080');
            using RawClient client = fixture.Server.Connect();
            try
            {
                await client.SendAsync(input.ToString());
                client.EndSending();
            }
            catch (SocketException)
            {
                // Closed in the middle.
            }

            await client.ReadToEndAsync();
        }

        string? kept = await neighbour.GetTextAsync("kept-through-packets");
        Assert.True(kept == "whole", $"seed {seed}: {kept}\n{fixture.Server.Output}");
        Assert.DoesNotContain("   at ", fixture.Server.Output, StringComparison.Ordinal);

        int Pick(params int[] choices) => choices[random.Next(choices.Length)];
    }

    [Theory]
    [InlineData("auto", false, "81")]
    [InlineData("auto", true, "VERSION")]
    [InlineData("ascii", false, "CLIENT_ERROR")]
    [InlineData("ascii", true, "VERSION")]
    [InlineData("binary", false, "81")]
    [InlineData("binary", true, "")]
    public async Task EachListenerSpeaksWhatItIsToldTo(string protocol, bool sendsText, string expected)
    {
        if (ServerUnderTest.IsMemcached)
            return; // -B binary would keep the tests from asking whether it serves.
        int port = TestPorts.Next();
        string name = protocol == "auto" ? "negotiating" : protocol;
        await using ServerProcess server = await ServerProcess.StartAsync("-B", "ascii", "-l", $"proto[{name}]:127.0.0.1:{ServerUnderTest.Invariant(port)}");
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        await socket.SendAsync(Encoding.Latin1.GetBytes(sendsText ? "version\r\nversion\r\nversion\r\n" : Of(NoOp)));
        socket.Shutdown(SocketShutdown.Send);
        using var expiry = new CancellationTokenSource(s_timeout);
        byte[] buffer = new byte[1000];
        int length = 0;
        try
        {
            while (await socket.ReceiveAsync(buffer.AsMemory(length), expiry.Token) is > 0 and int received)
                length += received;
        }
        catch (SocketException)
        {
            // A reset is an end too.
        }

        string text = length > 0 && buffer[0] == 0x81 ? "81" : Encoding.Latin1.GetString(buffer, 0, length).Split(' ')[0];
        Assert.Equal(expected, text);
    }
}
