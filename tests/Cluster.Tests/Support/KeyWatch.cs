using System.Collections.Concurrent;
using System.Diagnostics;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// Reads keys one after the other through one gateway, each on a connection of its own, so that one that waits holds up no other; and says for how long one
/// got no answer. Nobody else changes them: a miss is a complaint.
/// </summary>
public sealed class KeyWatch : IAsyncDisposable
{
    private const int Keys = 60;
    private const int PauseMilliseconds = 10;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<string> _complaints = [];
    private readonly double[] _longestGap = new double[Keys];
    private Task[] _readers = [];

    /// <summary>What was answered with something else than a hit.</summary>
    public IReadOnlyCollection<string> Complaints => _complaints;

    /// <summary>The longest time, in milliseconds, that any of the keys got no answer.</summary>
    public double LongestGap => _longestGap.Max();

    public static async Task<KeyWatch> StartAsync(ServerProcess gateway)
    {
        ArgumentNullException.ThrowIfNull(gateway);
        KeyWatch watch = new();
        using (RawClient client = gateway.Connect())
        {
            for (int key = 0; key < Keys; key++)
                Assert.Equal("STORED", await client.SetAsync($"watched-{key}", "there"));
        }

        watch._readers = [.. Enumerable.Range(0, Keys).Select(key => Task.Run(() => watch.ReadAsync(gateway, key)))];
        return watch;
    }

    /// <summary>Ends the reading, once each key has been answered again.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_readers);
        _stop.Dispose();
    }

    private async Task ReadAsync(ServerProcess gateway, int key)
    {
        RawClient? client = null;
        long answered = Stopwatch.GetTimestamp();
        try
        {
            while (true)
            {
                bool isLast = _stop.IsCancellationRequested;
                try
                {
                    client ??= gateway.Connect();
                    if (await client.GetTextAsync($"watched-{key}") is null)
                        _complaints.Enqueue($"watched-{key}: missing");
                    double gap = Stopwatch.GetElapsedTime(answered).TotalMilliseconds;
                    _longestGap[key] = Math.Max(_longestGap[key], gap);
                    answered = Stopwatch.GetTimestamp();
                    if (isLast)
                        return;
                }
                catch (Exception exception) when (exception is RawClientException or System.Net.Sockets.SocketException)
                {
                    _complaints.Enqueue($"watched-{key}: {exception.Message.Split('\n')[0]}");
                    client?.Dispose();
                    client = null;
                    if (Stopwatch.GetElapsedTime(answered) > TimeSpan.FromSeconds(90))
                        return;
                }

                await Task.Delay(PauseMilliseconds);
            }
        }
        finally
        {
            client?.Dispose();
        }
    }
}
