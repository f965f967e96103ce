using OrleansCache.Cli.Client;
using OrleansCache.Cli.Commands;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Tests;

/// <summary>What is made of `stats cluster`: states, findings, tables.</summary>
public sealed class SnapshotTests
{
    private static readonly KeyValuePair<string, string>[] ThreeSilos =
    [
        new("silos", "3"), new("silos_answering", "2"), new("partitions", "256"), new("get_hits", "30"), new("get_misses", "10"),
        new("silo:10.0.0.1:11111", "up partitions=86 gateway=10.0.0.1:11211 max_connections=100 curr_connections=95 get_hits=30 get_misses=10"),
        new("silo:10.0.0.2:11111", "up partitions=85 max_connections=100 curr_connections=1 draining=1"),
        new("silo:10.0.0.3:11111", "no_answer partitions=85 gateway=10.0.0.3:11211"),
    ];

    [Fact]
    public void AStateThatNeedsSomebodyIsFound()
    {
        List<Finding> findings = StatusCommand.Judge(ClusterSnapshot.Parse(ThreeSilos), silosMin: 3, hitRatioMin: 0.8);

        Assert.Equal(
            [
                new(Severity.Critical, "85 partitions not served"),
                new(Severity.Warning, "10.0.0.3:11111 does not answer"),
                new(Severity.Warning, "2 of 3 silos answer"),
                new(Severity.Warning, "10.0.0.1:11111: 95 of 100 connections (-c)"),
                new(Severity.Warning, "hit ratio 75.0%"),
                new(Severity.Ok, "10.0.0.2:11111 is draining"),
            ],
            findings);
    }

    [Fact]
    public void PartitionsOnTheirWayAreNoAlarm()
    {
        ClusterSnapshot moving = ClusterSnapshot.Parse([new("partitions", "256"), new("partitions_moving", "2"), new("silo:a:1", "up partitions=255")]);

        Assert.All(StatusCommand.Judge(moving, 0, 0), finding => Assert.Equal(Severity.Ok, finding.Severity));
    }

    [Fact]
    public void APauseIsNoAlarmAndIsTold()
    {
        ClusterSnapshot paused = ClusterSnapshot.Parse(
            [new("partitions", "256"), new("moves_paused", "1"), new("partitions_to_move", "85"), new("silo:a:1", "up partitions=256")]);

        Assert.Equal([new Finding(Severity.Ok, "moves are paused, 85 partitions to move")], StatusCommand.Judge(paused, 0, 0));
    }

    [Fact]
    public void MovesAreReadFromTheirLines()
    {
        MovesSnapshot moves = MovesSnapshot.Parse(
        [
            new("paused", "1"), new("seconds_left", "-1"), new("partitions_to_move", "2"),
            new("move:17", "handing_over reason=balance from=a:1 to=[::1]:2 bytes=5 bytes_total=10 bytes_per_second=3 seconds_left=-1"),
            new("copy:18", "copying reason=repair from=a:1 to=b:2 bytes=6 bytes_total=12 bytes_per_second=3 seconds_left=2 later=7"),
            new("aborted:4", "299"), new("later", "word"), new("later:1:2", "3"),
        ]);

        Assert.Equal((true, null, 2L), (moves.IsPaused, moves.SecondsLeft, moves["partitions_to_move"]));
        Assert.Equal([(4, 299L)], moves.Aborted);
        Assert.Equal(
            [(17, true, "handing_over", "balance", "a:1", "[::1]:2", 10L), (18, false, "copying", "repair", "a:1", "b:2", 12L)],
            moves.Transfers.Select(static one => (one.Partition, one.IsMove, one.State, one.Reason, one.From, one.To, one["bytes_total"])));
    }

    [Theory]
    [InlineData("10.0.0.2:11111", "10.0.0.2:11111")]
    [InlineData("10.0.0.3:11211", "10.0.0.3:11111")]
    [InlineData("10.0.0.1", "10.0.0.1:11111")]
    public void ASiloIsFoundByWhatAPersonCallsIt(string meant, string found) => Assert.Equal(found, ClusterSnapshot.Parse(ThreeSilos).Find(meant).Name);

    [Theory]
    [InlineData("10.0.0")]
    [InlineData("10.1")]
    public void AnUnclearNameIsAnError(string meant) => Assert.Throws<CliException>(() => ClusterSnapshot.Parse(ThreeSilos).Find(meant));

    [Theory]
    [InlineData(40)]
    [InlineData(60)]
    [InlineData(120)]
    public void TheScreenFitsItsTerminal(int columns)
    {
        var cluster = ClusterSnapshot.Parse(ThreeSilos);
        List<string> table = SilosCommand.Table(cluster).Lines(columns);

        Assert.Equal(4, table.Count);
        Assert.All(table, line => Assert.True(line.Length <= columns, line));
        Assert.All(table.Skip(1), line => Assert.StartsWith("10.0.0.", line, StringComparison.Ordinal));
        List<string> frame = TopCommand.Frame(new ServerAddress("10.0.0.1", 11211), new TopCommand.Rates(cluster, cluster, 1), columns);
        Assert.All(frame, line => Assert.True(line.Length <= columns, line));
    }

    [Fact]
    public void PercentilesAreWithinThreePercent()
    {
        var histogram = new LatencyHistogram();
        for (int i = 1; i <= 100_000; i++)
            histogram.Record(TimeSpan.FromMicroseconds(i));

        foreach (double share in (double[])[0.5, 0.9, 0.99, 0.999, 1])
            Assert.InRange(histogram.Microseconds(share), share * 100_000 * 0.999, share * 100_000 * 1.035);
        Assert.Equal(100_000, histogram.MaxMicroseconds);
        histogram.Record(TimeSpan.FromHours(5));
        Assert.Equal(TimeSpan.FromHours(5).TotalMicroseconds, histogram.MaxMicroseconds);
    }

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1:11211")]
    [InlineData("[::1]:5", "[::1]:5")]
    [InlineData("::1", "[::1]:11211")]
    [InlineData("host:1", "host:1")]
    [InlineData("unix:/run/cache", "unix:/run/cache")]
    public void AddressesAreRead(string text, string expected) => Assert.Equal(expected, ServerAddress.Parse(text).ToString());

    [Theory]
    [InlineData(0, "0")]
    [InlineData(9_999, "9999")]
    [InlineData(10_000, "10k")]
    [InlineData(1_234_567, "1.2M")]
    public void CountsAreShort(double value, string expected) => Assert.Equal(expected, Figures.Count(value));
}
