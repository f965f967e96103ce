using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansCache.Gateway.Options;
using OrleansCache.Silo.Hosting;
using Xunit.Abstractions;

namespace OrleansCache.Silo.Tests;

/// <summary>Where the program listens: several addresses, IPv6, a UNIX socket, UDP.</summary>
public sealed class ListenTests(ITestOutputHelper output) : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-listen-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("-p 11300", "127.0.0.1:11300/Auto/")]
    [InlineData("-p 11300 -B ascii", "127.0.0.1:11300/Ascii/")]
    [InlineData("-p 11300 -l 127.0.0.1,127.0.0.2:11301", "127.0.0.1:11300/Auto/ 127.0.0.2:11301/Auto/")]
    [InlineData("-p 11300 -l proto[ascii]:tag[web]:127.0.0.1:5 -l proto[binary]:tag_tools_:127.0.0.1:6", "127.0.0.1:5/Ascii/web 127.0.0.1:6/Binary/tools")]
    [InlineData("-p 11300 -B binary -l proto[negotiating]:127.0.0.1,127.0.0.2", "127.0.0.1:11300/Auto/ 127.0.0.2:11300/Binary/")]
    [InlineData("-p 11300 -l [::1]:7,tag[six]:[::1]", "[::1]:7/Auto/ [::1]:11300/Auto/six")]
    [InlineData("-p 0 -U 11300", "")]
    public void EachListenerHasItsProtocolAndTag(string line, string expected)
    {
        GatewayOptions options = GatewaySetup.Options(Lines.Read(line));

        Assert.Equal(expected, string.Join(' ', options.Listeners.Select(listener => $"{listener.EndPoint}/{listener.Protocol}/{listener.Tag}")));
    }

    [Theory]
    [InlineData("-p 11300", "")]
    [InlineData("-U 11300", "127.0.0.1:11300")]
    [InlineData("-p 5 -U 11300 -l 127.0.0.1,127.0.0.2", "127.0.0.1:11300 127.0.0.2:11300")]
    [InlineData("-p 5 -U 11300 -l 127.0.0.1:6,[::1]", "127.0.0.1:6 [::1]:11300")]
    [InlineData("-U -1", "127.0.0.1:0")]
    [InlineData("-U 11300 -s /tmp/x", "")]
    public void UdpListensAtTheAddressesOfTcp(string line, string expected) =>
        Assert.Equal(expected, string.Join(' ', GatewaySetup.Options(Lines.Read(line)).UdpEndPoints));

    [Theory]
    [InlineData("epoll")]
    [InlineData("pipelines")]
    public async Task EveryAddressServesItsProtocol(string transport)
    {
        if (transport == "epoll" && !OperatingSystem.IsLinux())
        {
            output.WriteLine("skipped: epoll is a facility of Linux");
            return;
        }

        using ProductProcess product =
            await ProductProcess.StartAsync($"--transport {transport} -p -1 -U -1 -l 127.0.0.1,proto[ascii]:tag[text]:127.0.0.2,proto[binary]:127.0.0.3");
        string[] places = product.Error.Split("listening on ")[1].Split(';')[0].Split(", ");
        Assert.Equal(6, places.Length);
        IPEndPoint[] tcp = [.. places.Where(static place => !place.StartsWith("udp ", StringComparison.Ordinal)).Select(IPEndPoint.Parse)];

        foreach (IPEndPoint place in tcp[..2])
            Assert.StartsWith("VERSION ", await AskAsync(place, "version\r\n"u8.ToArray()), StringComparison.Ordinal);
        byte[] noop = new byte[24];
        (noop[0], noop[1]) = (0x80, 0x0a);
        Assert.StartsWith("\u0081", await AskAsync(tcp[2], noop), StringComparison.Ordinal);
        Assert.Equal("", await AskAsync(tcp[2], "version\r\n"u8.ToArray()));
        foreach (string place in places.Where(static place => place.StartsWith("udp ", StringComparison.Ordinal)))
            Assert.StartsWith("VERSION ", await AskUdpAsync(IPEndPoint.Parse(place[4..])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("epoll")]
    [InlineData("pipelines")]
    public async Task TheLoopbackOfIPv6Serves(string transport)
    {
        if (!HasIPv6(out string reason) || (transport == "epoll" && !OperatingSystem.IsLinux()))
        {
            output.WriteLine($"skipped: {reason}");
            return;
        }

        using ProductProcess product = await ProductProcess.StartAsync($"--transport {transport} -p -1 -U -1 -l [::1]");
        string[] places = product.Error.Split("listening on ")[1].Split(';')[0].Split(", ");

        Assert.StartsWith("VERSION ", await AskAsync(IPEndPoint.Parse(places[0]), "version\r\n"u8.ToArray()), StringComparison.Ordinal);
        Assert.Contains($":addr tcp6:{places[0]}", await AskAsync(IPEndPoint.Parse(places[0]), "stats conns\r\n"u8.ToArray()), StringComparison.Ordinal);
        Assert.StartsWith("VERSION ", await AskUdpAsync(IPEndPoint.Parse(places[1][4..])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("777", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupWrite
        | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute)]
    [InlineData("0660", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite)]
    public async Task AUnixSocketHasItsAccessMaskAndTakesTheNetworksPlace(string mask, UnixFileMode mode)
    {
        if (OperatingSystem.IsWindows())
        {
            output.WriteLine("skipped: no access masks on this system");
            return;
        }

        string path = Path.Combine(_folder, "socket");
        using ProductProcess product = await ProductProcess.StartAsync(string.Create(CultureInfo.InvariantCulture, $"-s {path} -a {mask} -U 11300 -p 11300"));

        Assert.Equal(mode, File.GetUnixFileMode(path));
        Assert.Equal(path, product.Error.Split("listening on ")[1].Split(';')[0]);
        Assert.StartsWith("VERSION ", await AskAsync(new UnixDomainSocketEndPoint(path), "version\r\n"u8.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void AUdpPortInUseEndsWith71AndSaysUdp()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        int port = ((IPEndPoint)taken.LocalEndPoint!).Port;

        (int code, _, string error) = ProductProcess.Run($"-p -1 -U {port}");

        Assert.Equal((71, $"orleanscache: failed to listen on UDP port {port}: Address already in use\n"), (code, error));
    }

    private static bool HasIPv6(out string reason)
    {
        reason = "";
        try
        {
            using var probe = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
            probe.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
            return true;
        }
        catch (SocketException failure)
        {
            reason = $"this machine has no IPv6 loopback: {failure.Message}";
            return false;
        }
    }

    /// <summary>Sends and returns the first piece of the answer; empty if the server closes.</summary>
    private static async Task<string> AskAsync(EndPoint place, byte[] request)
    {
        ProtocolType protocol = place is IPEndPoint ? ProtocolType.Tcp : ProtocolType.Unspecified;
        using var socket = new Socket(place.AddressFamily, SocketType.Stream, protocol);
        await socket.ConnectAsync(place).WaitAsync(s_patience);
        await socket.SendAsync(request).WaitAsync(s_patience);
        byte[] buffer = new byte[65536];
        try
        {
            return Encoding.Latin1.GetString(buffer, 0, await socket.ReceiveAsync(buffer).WaitAsync(s_patience));
        }
        catch (SocketException)
        {
            return "";
        }
    }

    private static async Task<string> AskUdpAsync(IPEndPoint place)
    {
        using var socket = new Socket(place.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(place);
        await socket.SendAsync("\0\u0001\0\0\0\u0001\0\0version\r\n"u8.ToArray());
        byte[] buffer = new byte[2000];
        int length = await socket.ReceiveAsync(buffer).WaitAsync(s_patience);
        return Encoding.Latin1.GetString(buffer, 8, length - 8);
    }
}
