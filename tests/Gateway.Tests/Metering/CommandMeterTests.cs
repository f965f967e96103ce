using System.Text;
using OrleansCache.Gateway.Metering;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Metering;

public sealed class CommandMeterTests
{
    [Theory]
    [InlineData("set k 0 0 1\r\n2\r\n", "set stored")]
    [InlineData("set k 0 0 1 noreply\r\n2\r\n", "set stored")]
    [InlineData("ms k 1\r\n2\r\n", "set stored")]
    [InlineData("add n 0 0 1\r\n2\r\n", "add not_stored")]
    [InlineData("replace x 0 0 1\r\n2\r\n", "replace not_stored")]
    [InlineData("append n 0 0 1\r\n2\r\n", "append stored")]
    [InlineData("cas n 0 0 1 999\r\n2\r\n", "cas exists")]
    [InlineData("get n\r\n", "get hit")]
    [InlineData("get x\r\n", "get miss")]
    [InlineData("get n x n\r\n", "get hit, get miss")]
    [InlineData("mg n v\r\n", "get hit")]
    [InlineData("gat 10 n\r\n", "gat hit")]
    [InlineData("touch x 10\r\n", "touch miss")]
    [InlineData("incr n 1\r\n", "incr hit")]
    [InlineData("decr text 1\r\n", "decr error")]
    [InlineData("delete n\r\n", "delete hit")]
    [InlineData("delete x\r\n", "delete miss")]
    public void ACommandIsCountedByWhatItDidAndHowItEnded(string command, string expected)
    {
        using var harness = NewHarness();
        harness.Ask("set n 0 0 1\r\n1\r\n");
        harness.Ask("set text 0 0 1\r\nx\r\n");
        harness.Loop.Meter!.EndTurn();
        Dictionary<string, long> before = Read(harness);

        harness.Ask(command);
        harness.Loop.Meter.EndTurn();

        IEnumerable<string> grown = Read(harness).Where(after => after.Value > before.GetValueOrDefault(after.Key)).Select(static after => after.Key);
        Assert.Equal(expected, string.Join(", ", grown.Order()));
    }

    [Fact]
    public void EveryCommandOfAPipelineCounts()
    {
        using var harness = NewHarness();
        harness.Ask("set n 0 0 1\r\n1\r\n" + string.Concat(Enumerable.Repeat("get n\r\nget x\r\n", 50)));
        harness.Loop.Meter!.EndTurn();

        Assert.Equal([("get hit", 50), ("get miss", 50), ("set stored", 1)], Read(harness).Select(static one => (one.Key, (int)one.Value)));
    }

    [Fact]
    public void ManyConnectionsShareAReadingOfTheClockAndAllCount()
    {
        using var harness = NewHarness();
        for (int i = 0; i < 1000; i++)
        {
            harness.Ask(i % 3 == 0 ? "set n 0 0 1\r\n1\r\nget n\r\nget x\r\n" : "get n\r\n");
            harness.Loop.Meter!.EndConnectionTurn();
        }

        harness.Loop.Meter!.EndTurn();
        Assert.Equal([("get hit", 1000), ("get miss", 334), ("set stored", 334)], Read(harness).Select(static one => (one.Key, (int)one.Value)));
    }

    [Fact]
    public void LaterConnectionsOfATurnHaveWaitedLonger()
    {
        var meter = new CommandMeter();
        meter.BeginTurn();
        for (int connection = 0; connection < 8; connection++)
        {
            meter.Count(connection < 4 ? (int)CacheOperation.Get : (int)CacheOperation.Set, CacheStatus.Ok);
            SpinWait.SpinUntil(static () => false, 1);
            meter.EndConnectionTurn();
        }

        meter.EndTurn();
        var all = new Dictionary<(string Command, string Outcome), CommandLatencies>();
        meter.AddTo(all);
        CommandLatencies first = all[("get", "hit")], last = all[("set", "stored")];
        Assert.Equal((4, 4), (first.Count, last.Count));
        Assert.True(first.MaxNanoseconds < last.QuantileNanoseconds(0.01), $"{first.MaxNanoseconds} ns, {last.QuantileNanoseconds(0.01)} ns");
        Assert.True(last.MaxNanoseconds >= 8_000_000, $"{last.MaxNanoseconds} ns");
    }

    [Fact]
    public void CommandsThatOtherSilosAnswerAreMeasuredWhenTheReplyComes()
    {
        using var harness = NewHarness();
        harness.Router.IsRemote = static _ => true;
        harness.Send("get x\r\nset y 0 0 1\r\n1\r\n");
        harness.Loop.Meter!.EndTurn();
        Assert.Empty(Read(harness));

        harness.Router.Waiting[0].Complete();
        harness.Router.Waiting[0].Complete();
        Assert.Equal([("get miss", 1), ("set stored", 1)], Read(harness).Select(static one => (one.Key, (int)one.Value)));
    }

    [Fact]
    public void TheHottestKeyLeadsTheListHoweverManyOthersThereAre()
    {
        using var harness = NewHarness();
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var input = new StringBuilder();
        for (int i = 0; i < 100_000; i++)
            input.Append(random.Next(10) == 0 ? "get hot\r\n" : $"get cold{random.Next(50_000)}\r\n");
        foreach (string part in Split(input.ToString()))
            harness.Ask(part);

        var hot = new Dictionary<ulong, HotKey>();
        var large = new Dictionary<ulong, LargeValue>();
        long samples = harness.Loop.Meter!.Keys.AddTo(hot, large);
        HotKey first = hot.Values.MaxBy(static key => key.Sampled)!;
        Assert.True("hot" == Encoding.ASCII.GetString(first.Key), $"seed {seed}");
        Assert.InRange((double)first.Sampled / samples, 0.05, 0.2);
        Assert.Equal(KeySampler.HotMax, hot.Count);
    }

    [Fact]
    public void TheLargestValuesAreKept()
    {
        using var harness = NewHarness();
        for (int size = 1; size <= 40; size++)
            harness.Ask($"set k{size} 0 0 {size * 10_000}\r\n{new string('x', size * 10_000)}\r\n");

        var large = new Dictionary<ulong, LargeValue>();
        harness.Loop.Meter!.Keys.AddTo([], large);
        Assert.Equal(
            Enumerable.Range(40 - KeySampler.LargeMax + 1, KeySampler.LargeMax).Select(static size => $"k{size} {size * 10_000}"),
            large.Values.OrderBy(static value => value.ValueBytes).Select(static value => $"{Encoding.ASCII.GetString(value.Key)} {value.ValueBytes}"));
    }

    [Fact]
    public void NothingIsAllocatedOnceACommandHasBeenSeen()
    {
        using var harness = NewHarness();
        harness.Ask("set n 0 0 1\r\n1\r\n");
        byte[] command = "get n\r\nget x\r\nset n 0 0 1\r\n1\r\n"u8.ToArray();
        Assert.Equal(0, Allocations.LeastOf(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                harness.Session.Receive(command);
                harness.Loop.Meter!.EndTurn();
                harness.Session.Output.Consume(harness.Session.Output.Bytes);
            }
        }));
    }

    [Fact]
    public void WithoutMeteringThereIsNothingInBetween()
    {
        using var harness = new SessionHarness();
        Assert.Null(harness.Loop.Meter);
        Assert.IsNotType<MeteredChannel>(harness.Loop.Channel);
    }

    private static SessionHarness NewHarness() => new(static options => options with { MeterCommands = true });

    private static IEnumerable<string> Split(string commands) => commands.Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Chunk(1000)
        .Select(static part => string.Join("\r\n", part) + "\r\n");

    private static Dictionary<string, long> Read(SessionHarness harness)
    {
        var all = new Dictionary<(string Command, string Outcome), CommandLatencies>();
        harness.Loop.Meter!.AddTo(all);
        return all.Values.Where(static one => one.Count > 0).OrderBy(static one => one.Command, StringComparer.Ordinal)
            .ThenBy(static one => one.Outcome, StringComparer.Ordinal)
            .ToDictionary(static one => $"{one.Command} {one.Outcome}", static one => one.Count);
    }
}
