using System.Net;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Stats;

/// <summary>A gateway that has everything on which lines of `stats` depend: TLS, UDP, a time-out, a temporary queue, and a slab class with an item.</summary>
internal sealed class AllLines : IDisposable
{
    private readonly TestCertificates _certificates = new();
    private readonly SessionHarness _harness;

    public AllLines()
    {
        var router = new FakeRouter();
        router.Statistics.Classes = [Class];
        _harness = new SessionHarness(options => options with
        {
            Tls = _certificates.Load(),
            UdpEndPoints = [new IPEndPoint(IPAddress.Loopback, 11211)],
            IdleTimeoutSeconds = 60,
            Lru = options.Lru with { TemporaryEnabled = true },
        }, router);
    }

    public static SlabClassStatistics Class => new() { ClassId = 5, TotalPages = 1, Items = 1 };

    public ManualTime Time => _harness.Time;

    public GatewayShared Shared => _harness.Shared;

    public FakeRouter Router => _harness.Router;

    public LoopContext Loop => _harness.Loop;

    public List<(string Name, string Value)> Lines(string command)
    {
        string[] lines = _harness.Ask(command + "\r\n").Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("END", lines[^1]);
        return [.. lines[..^1].Select(static line => line.Split(' ')).Select(static words => (words[1], words[2]))];
    }

    public void Dispose()
    {
        _harness.Dispose();
        _certificates.Dispose();
    }
}
