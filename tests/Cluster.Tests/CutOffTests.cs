using System.Diagnostics;
using System.Globalization;
using System.Net;
using OrleansCache.Chaos;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>One silo is cut off from the two others, while clients still reach it. `./orleanscache chaos --faults network` does that under load.</summary>
public sealed class CutOffTests : IAsyncLifetime
{
    private const int Keys = 100;
    private const int GatewayPort = 11211;
    private const int SiloPort = 11111;

    /// <summary>EX_TEMPFAIL, see docs/options.md.</summary>
    private const int ExitEvicted = 75;

    private static readonly TimeSpan s_max = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(50);

    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;
    private readonly string _clusterId = "test-" + Guid.NewGuid().ToString("N")[..12];
    private readonly List<ChildProcess> _silos = [];
    private readonly List<NetworkPlace> _places = [];
    private TestNetwork? _network;

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync()
    {
        foreach (ChildProcess silo in _silos)
            silo.Dispose();
        _network?.Dispose();
        Directory.Delete(_folder, recursive: true);
        return Task.CompletedTask;
    }

    [NetworkFact]
    public async Task ASiloThatIsCutOffAcknowledgesNothingStopsServingAndLeavesWhenItHearsOfTheOthersAgain()
    {
        _network = TestNetwork.Create(TestSeed.Next());
        for (int i = 0; i < 3; i++)
            Start();
        await WaitUntilWholeAsync(_places);
        await SetAllAsync(_places[0], "first");

        NetworkPlace cut = _places[^1];
        NetworkPlace[] others = [.. _places.SkipLast(1)];
        _network.SetRule([cut], LinkRule.Cut, LinkRule.Cut);
        await WaitUntilWholeAsync(others);
        await SetAllAsync(others[0], "second");

        // Whatever it owned it has for as long as its lease lasts, which may not be over yet. Then all wait.
        Task<string>[] writes = [.. Enumerable.Range(0, Keys).Select(async key =>
        {
            using TextClient client = Connect(cut);
            return await ReplyOrNothingAsync(client.SetAsync(KeyOf(key), "third"));
        })];
        var watch = Stopwatch.StartNew();
        while (await AnswersAsync(cut))
            Assert.True(watch.Elapsed < s_max, $"serves {watch.Elapsed} after the others went on without it\n{Output()}");

        Assert.DoesNotContain(writes, static write => write.IsCompletedSuccessfully && write.Result == "STORED");
        _network.Heal();
        Assert.Equal(ExitEvicted, await _silos[^1].WaitForExitAsync(s_max));

        // What had not left the silo that was cut off may have gone to the new owners before it left itself. Nothing else has changed, and both others say so.
        string[] replies = await Task.WhenAll(writes);
        string[][] answers = await Task.WhenAll(others.Select(ValuesAsync));
        string[] wrong = [.. answers[0].Zip(replies).Where(static key => key is not (("second", not "STORED") or ("third", _))).Select(static key => $"{key}")];
        Assert.True(wrong.Length == 0, $"{string.Join(", ", wrong)}\n{Output()}");
        Assert.Equal(answers[0], answers[1]);
    }

    private static string KeyOf(int key) => string.Create(CultureInfo.InvariantCulture, $"cut-{key}");

    private static TextClient Connect(NetworkPlace place) => new(new IPEndPoint(place.ClientAddress, GatewayPort), s_max);

    private static async Task<string> ReplyOrNothingAsync(Task<string> reply)
    {
        try
        {
            return await reply;
        }
        catch (ConnectionLostException)
        {
            return "";
        }
    }

    private static async Task SetAllAsync(NetworkPlace place, string value)
    {
        using TextClient client = Connect(place);
        Assert.True(await client.SetManyAsync([.. Enumerable.Range(0, Keys).Select(key => (KeyOf(key), value))]));
    }

    private static async Task<string[]> ValuesAsync(NetworkPlace place)
    {
        using TextClient client = Connect(place);
        string[] keys = [.. Enumerable.Range(0, Keys).Select(KeyOf)];
        (Dictionary<string, string>? found, string line) = await client.GetAsync(keys);
        return [.. keys.Select(key => found is null ? line : found.GetValueOrDefault(key, "nothing"))];
    }

    /// <summary>Whether a value comes at once from the silo's own partitions, for any of the keys.</summary>
    private static async Task<bool> AnswersAsync(NetworkPlace place)
    {
        bool[] answered = await Task.WhenAll(Enumerable.Range(0, Keys).Select(async key =>
        {
            using var client = new TextClient(new IPEndPoint(place.ClientAddress, GatewayPort), TimeSpan.FromSeconds(1));
            try
            {
                return (await client.GetAsync([KeyOf(key)])).Found is not null;
            }
            catch (ConnectionLostException)
            {
                return false;
            }
        }));
        return answered.Any(static value => value);
    }

    private void Start()
    {
        NetworkPlace place = _network!.Add();
        string secret = Path.Combine(_folder, "secret");
        if (_places.Count == 0)
            File.WriteAllText(secret, Guid.NewGuid().ToString());
        string[] join = _places.Count == 0 ? [] : ["--join", string.Join(',', _places.Select(static other => $"{other.SiloAddress}:{Text(SiloPort)}"))];
        _places.Add(place);
        _silos.Add(ChildProcess.Start(
            ["ip", "netns", "exec", place.Namespace, .. ServerUnderTest.OrleansCacheCommand(
                [
                    "serve", "-l", place.ClientAddress.ToString(), "-p", Text(GatewayPort), "--silo-port", Text(SiloPort),
                    "--advertise", place.SiloAddress.ToString(), "--cluster-secret-file", secret, "--cluster-id", _clusterId,
                    "--data-dir", Path.Combine(_folder, Text(place.Port)), "--join-timeout", Text((int)s_max.TotalSeconds), .. join,
                ])],
            workingFolder: _folder));
    }

    private async Task WaitUntilWholeAsync(IReadOnlyCollection<NetworkPlace> places)
    {
        var watch = Stopwatch.StartNew();
        foreach (NetworkPlace place in places)
        {
            while (await WhyNotWholeAsync(place, places.Count) is { } lacking)
            {
                Assert.True(watch.Elapsed < s_max && !_silos.Exists(static silo => silo.HasExited), $"After {watch.Elapsed}: {lacking}\n{Output()}");
                await Task.Delay(s_poll);
            }
        }
    }

    private static async Task<string?> WhyNotWholeAsync(NetworkPlace place, int count)
    {
        try
        {
            using TextClient client = Connect(place);
            return ClusterStatus.WhyNotWhole(await client.StatsAsync("cluster"), count, replicas: 1, withSeeds: count == 3);
        }
        catch (ConnectionLostException exception)
        {
            return exception.Message;
        }
    }

    private string Output() => string.Join("\n\n", _silos.Select(static silo => silo.Output));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
