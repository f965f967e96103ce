using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// Watches a cluster while silos come and go. Several writers, each with keys of its own and a connection to every gateway, write ever newer versions of
/// their values through one gateway and read them back through another: a read must give exactly the last version that was acknowledged or read. A write
/// whose reply never came leaves its version possible until a later one is acknowledged.
/// Besides, it holds a set of items that are written once and must all be there at the end.
/// </summary>
public sealed class Checker : IAsyncDisposable
{
    private const int Writers = 6;
    private const int KeysPerWriter = 150;
    private const int ConstantItems = 3000;
    private const int RefusedPauseMilliseconds = 5;

    private readonly Func<string> _output;
    private readonly int _seed;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<string> _complaints = new();
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private volatile ServerProcess[] _gateways;
    private Task[] _writers = [];
    private long _operations;
    private long _lost;
    private long _wrong;
    private long _errors;
    private long _cut;
    private long _longestMilliseconds;

    private Checker(IEnumerable<ServerProcess> gateways, Func<string> output)
    {
        _gateways = [.. gateways];
        _output = output;
        _seed = TestSeed.Next();
    }

    public long Operations => Interlocked.Read(ref _operations);

    public long Lost => Interlocked.Read(ref _lost);

    public long Wrong => Interlocked.Read(ref _wrong);

    public long Errors => Interlocked.Read(ref _errors);

    /// <summary>Everything that a failing test should say.</summary>
    public string Report =>
        string.Create(CultureInfo.InvariantCulture,
            $"{Operations} operations, lost {Lost}, wrong {Wrong}, errors {Errors}, cut connections {Interlocked.Read(ref _cut)}, longest "
                + $"{_longestMilliseconds} ms, seed {_seed}\n")
        + string.Join('\n', _complaints.Take(20)) + "\n" + _output();

    /// <summary>Writes the constant items and starts the writers over all gateways of the cluster.</summary>
    public static Task<Checker> StartAsync(SiloCluster cluster)
    {
        ArgumentNullException.ThrowIfNull(cluster);
        return StartAsync(cluster.Silos, () => cluster.Output);
    }

    /// <summary>The same over any servers that are one cache.</summary>
    public static async Task<Checker> StartAsync(IEnumerable<ServerProcess> gateways, Func<string> output)
    {
        var checker = new Checker(gateways, output);
        await checker.WriteConstantItemsAsync();
        checker._writers = [.. Enumerable.Range(0, Writers).Select(number => Task.Run(() => checker.WriteAndReadAsync(number)))];
        return checker;
    }

    /// <summary>Lets the writers use this gateway too.</summary>
    public void Use(ServerProcess gateway) => _gateways = [.. _gateways, gateway];

    /// <summary>Lets the writers not use this gateway any more, from their next operation on.</summary>
    public void Leave(ServerProcess gateway) => _gateways = [.. _gateways.Where(one => one != gateway)];

    /// <summary>Waits until the writers have done so many operations more.</summary>
    public async Task RunAsync(int operations)
    {
        long until = Operations + operations;
        var watch = Stopwatch.StartNew();
        while (Operations < until)
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), $"Only {operations - (until - Operations)} of {operations} operations in 60 s. {Report}");
            Assert.False(_writers.Any(writer => writer.IsCompleted), $"A writer has ended. {Report}");
            await Task.WhenAny(Task.Delay(20), Task.WhenAny(_writers));
        }
    }

    /// <summary>Ends the writers and waits for them.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_writers);
    }

    /// <summary>How many of the constant items this gateway does not find. Wrong values and errors count as such.</summary>
    public async Task<int> MissingConstantItemsAsync(ServerProcess gateway)
    {
        ArgumentNullException.ThrowIfNull(gateway);
        int missing = 0;
        using RawClient client = gateway.Connect();
        for (int index = 0; index < ConstantItems; index++)
        {
            string? found = await client.GetTextAsync($"constant-{index}");
            if (found is null)
                missing++;
            else if (found != ConstantValue(index))
                Count(ref _wrong, $"constant-{index} is {Short(found)}");
        }
        return missing;
    }

    public async Task WriteConstantItemsAsync()
    {
        using RawClient client = _gateways[0].Connect();
        for (int start = 0; start < ConstantItems; start += 100)
        {
            var burst = new StringBuilder();
            for (int index = start; index < start + 100; index++)
                burst.Append(CultureInfo.InvariantCulture, $"set constant-{index} 0 0 {ConstantValue(index).Length}\r\n{ConstantValue(index)}\r\n");
            Task sending = client.SendAsync(burst.ToString());
            for (int index = start; index < start + 100; index++)
                await client.ExpectLineAsync("STORED");
            await sending;
        }
    }

    /// <summary>The number of constant items.</summary>
    public static int ConstantCount => ConstantItems;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_writers);
        _stop.Dispose();
    }

    private static string ConstantValue(int index) => $"constant value {index} ".PadRight(20 + (index * 7 % 2000), (char)('a' + (index % 26)));

    private static string Short(string text) => text.Length <= 60 ? text : $"{text[..60]}... ({text.Length})";

    private async Task WriteAndReadAsync(int number)
    {
        var random = new Random(HashCode.Combine(_seed, number));
        Dictionary<ServerProcess, RawClient> connections = [];
        // What a key may hold: the acknowledged version, and those since whose reply never came.
        var acknowledged = new int[KeysPerWriter];
        var last = new int[KeysPerWriter];
        HashSet<int>[] uncertain = [.. Enumerable.Range(0, KeysPerWriter).Select(static _ => new HashSet<int>())];
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                int index = random.Next(KeysPerWriter);
                string key = $"checked-{number}-{index}";
                int version = ++last[index];
                string value = $"{key} version {version} ".PadRight(random.Next(40, 3000), (char)('a' + (version % 26)));
                switch (await TryAsync(connections, random, $"set {key}", client => client.SetAsync(key, value)))
                {
                    case null:
                        uncertain[index].Add(version);
                        break;
                    case "STORED":
                        acknowledged[index] = version;
                        uncertain[index].Clear();
                        break;
                    case string reply:
                        // A refusal may have taken effect all the same; the caller decides whether there may be any.
                        uncertain[index].Add(version);
                        Count(ref _errors, $"set {key}: {reply}");
                        break;
                }

                string? found = await TryAsync(connections, random, $"get {key}", async client => await client.GetTextAsync(key) ?? "");
                if (found is null)
                    continue;
                if (found.Length == 0)
                {
                    if (acknowledged[index] != 0)
                    {
                        Count(ref _lost, $"{key} version {acknowledged[index]} is gone");
                        acknowledged[index] = 0;
                        uncertain[index].Clear();
                    }
                    continue;
                }
                int held = uncertain[index].Append(acknowledged[index])
                    .FirstOrDefault(candidate => found.StartsWith($"{key} version {candidate} ", StringComparison.Ordinal), -1);
                if (held < 0)
                    Count(ref _wrong, $"{key} holds `{Short(found)}`, not version {acknowledged[index]} or {string.Join(", ", uncertain[index])}");
                else if (held != acknowledged[index])
                {
                    // Seen once, it may not go away again. An older one without a reply may not come any more.
                    acknowledged[index] = held;
                    uncertain[index].RemoveWhere(candidate => candidate <= held);
                }
            }
        }
        finally
        {
            foreach (RawClient client in connections.Values)
                client.Dispose();
        }
    }

    /// <summary>Does one operation through a random gateway; null when there was no reply because the connection ended.</summary>
    private async Task<string?> TryAsync(Dictionary<ServerProcess, RawClient> connections, Random random, string what, Func<RawClient, Task<string>> operation)
    {
        ServerProcess[] gateways = _gateways;
        ServerProcess gateway = gateways[random.Next(gateways.Length)];
        long started = _watch.ElapsedMilliseconds;
        try
        {
            if (!connections.TryGetValue(gateway, out RawClient? client))
                connections[gateway] = client = gateway.Connect();
            return await operation(client);
        }
        catch (RawClientException error)
        {
            bool ended = error.Message.Contains("closed the connection", StringComparison.Ordinal);
            Drop(connections, gateway);
            if (ended && !_gateways.Contains(gateway))
                Interlocked.Increment(ref _cut);
            else
                Count(ref _errors, $"{what}: {error.Message.Split('\n')[0]}");
            return null;
        }
        catch (System.Net.Sockets.SocketException error)
        {
            Drop(connections, gateway);
            if (_gateways.Contains(gateway))
                Count(ref _errors, $"{what}: {error.SocketErrorCode}");
            else
                Interlocked.Increment(ref _cut);

            // A refusal comes at once: without a pause the writers of a dead server would leave no thread of the pool to anybody, not even to those who wait
            // for its end.
            await Task.Delay(RefusedPauseMilliseconds);
            return null;
        }
        finally
        {
            Interlocked.Increment(ref _operations);
            long took = _watch.ElapsedMilliseconds - started;
            long longest = Interlocked.Read(ref _longestMilliseconds);
            while (took > longest && Interlocked.CompareExchange(ref _longestMilliseconds, took, longest) is var seen && seen != longest)
                longest = seen;
        }
    }

    private static void Drop(Dictionary<ServerProcess, RawClient> connections, ServerProcess gateway)
    {
        if (connections.Remove(gateway, out RawClient? client))
            client.Dispose();
    }

    private void Count(ref long counter, string complaint)
    {
        Interlocked.Increment(ref counter);
        if (_complaints.Count < 1000)
            _complaints.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{_watch.ElapsedMilliseconds} ms: {complaint}"));
    }
}
