using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace OrleansCache.Cli.Tests;

/// <summary>Each command against a live node: what it prints, in both forms, and how it ends.</summary>
public sealed class CommandTests(CliHarness harness) : IClassFixture<CliHarness>
{
    public static TheoryData<string> VerbNames => [.. Verbs.All.Select(verb => verb.Name)];

    [Theory]
    [MemberData(nameof(VerbNames))]
    public void EveryVerbExplainsItself(string verb)
    {
        CliResult result = harness.Run(verb, "--help");

        Assert.Equal(0, result.Code);
        Assert.StartsWith($"Usage: orleanscache {verb}", result.Out, StringComparison.Ordinal);
        Assert.All(Verbs.Find(verb)!.Options.Concat(CliVerb.Common), option => Assert.Contains("--" + option.Name, result.Out, StringComparison.Ordinal));
        Assert.All(result.Lines, line => Assert.True(line.Length <= 100, line));
    }

    [Theory]
    [MemberData(nameof(VerbNames))]
    public void AnUnknownOptionIsAUsageError(string verb)
    {
        CliResult result = harness.Run(verb, "--no-such-option");

        Assert.Equal(64, result.Code);
        Assert.Contains("unknown option '--no-such-option'", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void AnOptionWithoutItsValueAnOperandTooManyOrTooFewAreUsageErrors()
    {
        Assert.Equal(64, harness.Run("status", "--server").Code);
        Assert.Equal(64, harness.Run("status", "now").Code);
        Assert.Equal(64, harness.Run("get").Code);
        Assert.Equal(64, harness.Run("get", "k", "--timeout", "soon").Code);
        Assert.Equal(64, harness.Run("get", "a key").Code);
        Assert.Equal(64, harness.Run("get", "k", "--server", "h:x").Code);
        Assert.Equal(64, harness.Run("get", "k", "--user", "ann").Code);
    }

    [Fact]
    public void AnItemIsStoredReadAndDeleted()
    {
        Assert.Equal(0, harness.Run("set", "item", "hällo", "--ttl", "60", "--flags", "7").Code);
        Assert.Equal("hällo\n", harness.Run("get", "item").Out);
        using JsonDocument item = JsonDocument.Parse(harness.Run("get", "item", "--json").Out);
        Assert.Equal(7, item.RootElement.GetProperty("flags").GetInt32());
        Assert.Equal("hällo", item.RootElement.GetProperty("value").GetString());
        Assert.Equal(0, harness.Run("delete", "item").Code);
        CliResult gone = harness.Run("get", "item");
        Assert.Equal((1, ""), (gone.Code, gone.Out));
        Assert.Equal(1, harness.Run("delete", "item").Code);
    }

    [Fact]
    public void AValueThatIsNoTextGoesThroughUnchanged()
    {
        byte[] value = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];

        Assert.Equal(0, CliHarness.RunAt(harness.Server, 80, value, "set", "raw").Code);
        Assert.Equal(value, harness.Run("get", "raw").Raw);
        using JsonDocument item = JsonDocument.Parse(harness.Run("get", "raw", "--json").Out);
        Assert.Equal(value, item.RootElement.GetProperty("value_base64").GetBytesFromBase64());
    }

    [Fact]
    public void KeysAreListedByPrefix()
    {
        foreach (string key in (string[])["list:a", "list:b", "list:ü", "other"])
            harness.Run("set", key, "v");

        Assert.Equal(["list:a", "list:b", "list:ü"], harness.Run("keys", "--prefix", "list:").Lines.Order(StringComparer.Ordinal));
        Assert.Equal(2, harness.Run("keys", "--prefix", "list:", "--limit", "2").Lines.Length);
        using JsonDocument first = JsonDocument.Parse(harness.Run("keys", "--prefix", "list:", "--json").Lines[0]);
        Assert.Equal(JsonValueKind.Null, first.RootElement.GetProperty("ttl").ValueKind);
        Assert.Contains("never", harness.Run("keys", "--prefix", "list:", "--long").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void AServerThatServesIsOk()
    {
        CliResult result = harness.Run("status");

        Assert.Equal(0, result.Code);
        Assert.StartsWith("OK: 1 silo, 16 partitions", result.Out, StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(harness.Run("status", "--json").Out);
        Assert.Equal("OK", json.RootElement.GetProperty("status").GetString());
        Assert.Equal(16, json.RootElement.GetProperty("partitions_served").GetInt32());
        Assert.Equal(1, harness.Run("status", "--silos", "3").Code);
    }

    [Fact]
    public void AServerThatDoesNotAnswerIsCritical()
    {
        using var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        string silent = holder.LocalEndpoint.ToString()!;

        CliResult result = CliHarness.RunAt(silent, 80, null, "status", "--timeout", "1");

        Assert.Equal(2, result.Code);
        Assert.StartsWith($"CRITICAL: {silent}", result.Out, StringComparison.Ordinal);
        Assert.Equal(69, CliHarness.RunAt(silent, 80, null, "silos", "--timeout", "1").Code);
        using JsonDocument json = JsonDocument.Parse(CliHarness.RunAt(silent, 80, null, "status", "--timeout", "1", "--json").Out);
        Assert.Equal("CRITICAL", json.RootElement.GetProperty("status").GetString());
    }

    [Fact]
    public async Task WhatIsNoMemcachedIsSaidToBeNone()
    {
        using var web = new TcpListener(IPAddress.Loopback, 0);
        web.Start();
        Task answer = Task.Run(async () =>
        {
            using TcpClient client = await web.AcceptTcpClientAsync();
            await client.GetStream().WriteAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());
            while (await client.GetStream().ReadAsync(new byte[100]) > 0)
            {
            }
        });

        CliResult result = CliHarness.RunAt(web.LocalEndpoint.ToString()!, 80, null, "silos");

        await answer;
        Assert.Equal(69, result.Code);
        Assert.Contains("is it a memcached?", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void SilosAndMovesListTheNode()
    {
        Assert.Equal(2, harness.Run("silos").Lines.Length);
        Assert.StartsWith("SILO", harness.Run("moves").Out, StringComparison.Ordinal);
        using JsonDocument silos = JsonDocument.Parse(harness.Run("silos", "--json").Out);
        Assert.Equal("up", silos.RootElement[0].GetProperty("state").GetString());
        using JsonDocument moves = JsonDocument.Parse(harness.Run("moves", "--json").Out);
        Assert.Equal(0, moves.RootElement.GetProperty("silos")[0].GetProperty("partitions_moving").GetInt32());
        Assert.Equal((0, 0), (moves.RootElement.GetProperty("partitions_to_move").GetInt32(), moves.RootElement.GetProperty("seconds_left").GetInt32()));
        Assert.Contains("every partition is where it belongs", harness.Run("moves", "list").Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("pause")]
    [InlineData("resume")]
    [InlineData("abort", "7")]
    [InlineData("abort", "all")]
    [InlineData("limit", "10m")]
    [InlineData("limit", "off")]
    public void OrdersAboutMovesAreRefusedByANodeThatWasStartedWithoutA(params string[] order)
    {
        CliResult result = harness.Run(["moves", .. order]);

        Assert.Equal((1, ""), (result.Code, result.Out));
        Assert.Contains("-A", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("stop")]
    [InlineData("abort")]
    [InlineData("abort", "-1")]
    [InlineData("abort", "x")]
    [InlineData("limit")]
    [InlineData("limit", "10x")]
    [InlineData("limit", "99999999999g")]
    [InlineData("pause", "all")]
    [InlineData("pause", "--follow")]
    public void OrdersAboutMovesThatMakeNoSenseAreMistakes(params string[] order) => Assert.Equal(64, harness.Run(["moves", .. order]).Code);

    [Fact]
    public async Task MovesUnderWayAreShownWithWhatIsLeft()
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        const string Cluster = "STAT silos 1\r\nSTAT silo:10.0.0.1:11111 up partitions=3\r\nEND\r\n";
        const string Moves = "STAT paused 0\r\nSTAT limit_bytes_per_second 10485760\r\nSTAT partitions_to_move 3\r\nSTAT transfers 2\r\n"
            + "STAT bytes_left 2000\r\nSTAT bytes_per_second 100\r\nSTAT seconds_left 45\r\n"
            + "STAT move:17 copying reason=balance from=10.0.0.1:11111 to=10.0.0.2:11111 bytes=500 bytes_total=1000 bytes_per_second=100 seconds_left=5\r\n"
            + "STAT copy:18 resting reason=balance from=10.0.0.1:11111 to=10.0.0.3:11111 bytes=0 bytes_total=0 bytes_per_second=0 seconds_left=-1\r\n"
            + "STAT aborted:4 299\r\nEND\r\n";
        Task answers = Task.Run(async () =>
        {
            for (int i = 0; i < 2; i++)
            {
                using TcpClient client = await server.AcceptTcpClientAsync();
                using var reader = new StreamReader(client.GetStream());
                while (await reader.ReadLineAsync() is { } line)
                    await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(line.EndsWith("moves", StringComparison.Ordinal) ? Moves : Cluster));
            }
        });

        CliResult shown = CliHarness.RunAt(server.LocalEndpoint.ToString()!, 200, null, "moves");
        using JsonDocument json = JsonDocument.Parse(CliHarness.RunAt(server.LocalEndpoint.ToString()!, 80, null, "moves", "--json").Out);
        await answers;

        Assert.Contains("3 partitions to move, 100 bytes per second, about 45 s left", shown.Out, StringComparison.Ordinal);
        Assert.Contains("limited to 10 MB per second and silo", shown.Out, StringComparison.Ordinal);
        Assert.Contains("the move of partition 4 was given up, for 4 min more", shown.Out, StringComparison.Ordinal);
        string[] moved = shown.Lines.Single(static line => line.TrimStart().StartsWith("17 ", StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["17", "10.0.0.1:11111", "10.0.0.2:11111", "move", "balance", "50.0%"], moved[..6]);
        JsonElement transfers = json.RootElement.GetProperty("transfers");
        Assert.Equal((500, 5), (transfers[0].GetProperty("bytes").GetInt32(), transfers[0].GetProperty("seconds_left").GetInt32()));
        Assert.Equal(("copy", JsonValueKind.Null), (transfers[1].GetProperty("kind").GetString(), transfers[1].GetProperty("seconds_left").ValueKind));
        Assert.Equal(299, json.RootElement.GetProperty("aborted")[0].GetProperty("seconds").GetInt32());
    }

    [Fact]
    public void ANodeThatWasStartedWithoutAIsNotDrained()
    {
        CliResult result = harness.Run("drain", "127.0.0.1");

        Assert.Equal(1, result.Code);
        Assert.Contains("without -A", result.Error, StringComparison.Ordinal);
        Assert.Equal(64, harness.Run("drain", "10.9.9.9:1").Code);
    }

    [Fact]
    public void TheGeneratorTellsWhatItDid()
    {
        CliResult result = harness.Run("bench", "--seconds", "1", "--connections", "2", "--pipeline", "4", "--keys", "50", "--json");

        Assert.Equal(0, result.Code);
        using JsonDocument json = JsonDocument.Parse(result.Out);
        Assert.True(json.RootElement.GetProperty("operations").GetInt64() > 0, result.Out);
        Assert.Equal(1, json.RootElement.GetProperty("hit_ratio").GetDouble());
        JsonElement latencies = json.RootElement.GetProperty("latency_microseconds");
        Assert.True(latencies.GetProperty("p50").GetDouble() <= latencies.GetProperty("max").GetDouble(), result.Out);
        Assert.Contains("op/s", harness.Run("bench", "--seconds", "1", "--connections", "1", "--keys", "5").Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(200)]
    public void AFrameOfTopFitsItsTerminal(int columns)
    {
        CliResult result = CliHarness.RunAt(harness.Server, columns, null, "top", "--count", "1");

        Assert.Equal(0, result.Code);
        Assert.All(result.Lines, line => Assert.True(line.Length <= columns, line));
        Assert.Contains("op/s", result.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("\u001b", result.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void TopInJsonIsAnObjectALine()
    {
        using JsonDocument json = JsonDocument.Parse(harness.Run("top", "--json", "--count", "1").Out);

        Assert.True(json.RootElement.GetProperty("silos").GetArrayLength() == 1);
    }

    [Fact]
    public void CheckLooksAtTheServerAndAtOptions()
    {
        CliResult server = harness.Run("check");
        Assert.True(server.Code is 0 or 1, server.Out);
        Assert.Contains("gateway 127.0.0.1", server.Out, StringComparison.Ordinal);
        Assert.Contains("clock: ", server.Out, StringComparison.Ordinal);

        CliResult options = harness.Run("check", "--", "serve", "-m", "64");
        Assert.Equal(1, options.Code);
        Assert.Contains("WARN  options: careful", options.Out, StringComparison.Ordinal);
        Assert.Contains("is free", options.Out, StringComparison.Ordinal);

        CliResult bad = harness.Run("check", "--json", "--", "bad");
        Assert.Equal(2, bad.Code);
        using JsonDocument json = JsonDocument.Parse(bad.Out);
        Assert.Equal("bad is bad", json.RootElement.GetProperty("results")[0].GetProperty("text").GetString());
    }

    [Fact]
    public void APasswordFileHoldsAPasswordOrNames()
    {
        string file = Path.Combine(Path.GetTempPath(), $"orleanscache-login-{Guid.NewGuid():N}");
        try
        {
            File.WriteAllText(file, "ann:one\nbob:two:three\n");
            Assert.Equal(("ann", "one"), Client.ConnectionOptions.ReadLogin(null, file));
            Assert.Equal(("bob", "two:three"), Client.ConnectionOptions.ReadLogin("bob", file));
            Assert.Throws<CliException>(() => Client.ConnectionOptions.ReadLogin("eve", file));
            File.WriteAllText(file, "secret\n");
            Assert.Equal(("eve", "secret"), Client.ConnectionOptions.ReadLogin("eve", file));
            Assert.Throws<CliException>(() => Client.ConnectionOptions.ReadLogin(null, file));
        }
        finally
        {
            File.Delete(file);
        }
    }
}
