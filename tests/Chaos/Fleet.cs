using System.Diagnostics;
using System.Globalization;
using OrleansCache.Cluster.Tests;
using OrleansCache.Conformance;

namespace OrleansCache.Chaos;

/// <summary>Where a silo stands, so that a later one can take its place: its ports and its data directory.</summary>
/// <param name="Port">For memcached clients.</param>
/// <param name="SiloPort">Between silos.</param>
internal sealed record Place(int Port, int SiloPort, int HttpPort, string DataFolder);

/// <summary>One silo, a process on this machine.</summary>
internal sealed class Silo(ChildProcess process, int number, Place place)
{
    public ChildProcess Process => process;

    public int Number => number;

    public Place Place => place;

    public int Port => place.Port;

    public int SiloPort => place.SiloPort;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"silo {number}");
}

/// <summary>The silos of one cluster: starts them, ends them, and says whether all is well. Only processes that it has started are ever ended.</summary>
internal sealed class Fleet(ChaosOptions options, PostgresServer? postgres, string logFolder) : IAsyncDisposable
{
    /// <summary>See docs/options.md.</summary>
    private const int ExitEvicted = 75;

    private const int ExitUnavailable = 69;

    /// <summary>Starts that may fail in a row.</summary>
    private const int StartsMax = 5;

    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_askTimeout = TimeSpan.FromSeconds(15);

    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(5) };
    private readonly string _clusterId = string.Create(CultureInfo.InvariantCulture, $"chaos-{options.Seed}-{Environment.ProcessId}");
    private readonly List<ChildProcess> _all = [];
    private volatile Silo[] _silos = [];
    private int _lastNumber;

    /// <summary>Those that live, the oldest first. Clients choose among them.</summary>
    public IReadOnlyList<Silo> Silos => _silos;

    /// <summary>Silos that the others have declared dead though nobody touched them: a machine so busy that they did not answer in time.</summary>
    public int Evictions { get; private set; }

    /// <summary>Starts one more, in the place of one that has ended if that is given, and waits until it has its share.</summary>
    public Task<Silo> AddAsync(Place? former, CancellationToken cancellation) => AddAsync(former, StartsMax, cancellation);

    private async Task<Silo> AddAsync(Place? former, int starts, CancellationToken cancellation)
    {
        int number = ++_lastNumber;
        Place place = former ?? new Place(TestPorts.Next(), TestPorts.Next(adjacent: 2), TestPorts.Next(), Path.Combine(logFolder, $"data-{Text(number)}"));
        string[] membership = postgres is not null ? ["--clustering", "postgres", "--connection", postgres.ConnectionString]
            : _silos.Length == 0 ? ["--data-dir", place.DataFolder]
            : ["--data-dir", place.DataFolder, "--join", string.Join(',', _silos.Select(silo => $"127.0.0.1:{Text(silo.SiloPort)}"))];
        string dll = Path.GetFullPath(
            Path.Combine(AppContext.BaseDirectory, "..", "..", "OrleansCache.Silo", new DirectoryInfo(AppContext.BaseDirectory).Name, "OrleansCache.dll"));
        string[] command =
        [
            "dotnet", dll, "serve", "-l", "127.0.0.1", "-p", Text(place.Port), "-m", Text(options.MemoryMegabytes), "--silo-port", Text(place.SiloPort),
            "--http", $"127.0.0.1:{Text(place.HttpPort)}", "--cluster-id", _clusterId, "--replicas", Text(options.Replicas),
            "--join-timeout", Text((int)s_startTimeout.TotalSeconds), .. membership,
        ];
        var process = ChildProcess.Start(command, workingFolder: logFolder);
        var silo = new Silo(process, number, place);
        lock (_all)
        {
            _all.Add(process);
        }

        var watch = Stopwatch.StartNew();
        while (!await IsReadyAsync(silo))
        {
            cancellation.ThrowIfCancellationRequested();
            if (process.HasExited && process.ExitCode == ExitUnavailable && starts > 1)
            {
                // On a busy machine whom it joins may not have answered in time. A service manager starts it again as well.
                return await AddAsync(place, starts - 1, cancellation);
            }

            if (process.HasExited || watch.Elapsed > s_startTimeout)
                throw new ChaosException($"{silo} does not become ready ({watch.Elapsed.TotalSeconds:f0} s):\n{process.Output}");
            await Task.Delay(50, cancellation);
        }

        _silos = [.. _silos, silo];
        WritePorts();
        return silo;
    }

    /// <summary>kill -9.</summary>
    public static void Kill(IReadOnlyCollection<Silo> victims)
    {
        foreach (Silo victim in victims)
            victim.Process.Kill();
    }

    /// <summary>Clients use it no more, from their next operation on.</summary>
    public void Forget(IReadOnlyCollection<Silo> gone)
    {
        _silos = [.. _silos.Where(silo => !gone.Contains(silo))];
        WritePorts();
    }

    /// <summary>It was only frozen.</summary>
    public void Return(Silo silo)
    {
        _silos = [.. _silos.Append(silo).OrderBy(static silo => silo.Number)];
        WritePorts();
    }

    /// <summary>Whether the cluster has so many members, by what one of them says.</summary>
    public async Task<bool> CountsAsync(int silos)
    {
        try
        {
            using var client = new TextClient(_silos[^1].Port, s_askTimeout);
            List<KeyValuePair<string, string>> statistics = await client.StatsAsync("cluster");
            return statistics.Contains(new("silos_answering", Text(silos)));
        }
        catch (ConnectionLostException)
        {
            return false;
        }
    }

    /// <summary>The gateways that clients may use, for a client that is another program.</summary>
    public string WritePorts()
    {
        string path = Path.Combine(logFolder, "gateways");
        string next = path + ".next";
        lock (_all)
        {
            File.WriteAllLines(next, _silos.Select(static silo => Text(silo.Port)));
            File.Move(next, path, overwrite: true);
        }

        return path;
    }

    /// <summary>SIGTERM, and waits for the end.</summary>
    public async Task StopAsync(Silo silo)
    {
        Forget([silo]);
        silo.Process.Terminate();
        int exitCode = await silo.Process.WaitForExitAsync(s_stopTimeout);
        if (exitCode == ExitEvicted)
            NoteEvicted(silo);
        else if (exitCode != 0)
            throw new ChaosException($"{silo} ended with exit code {exitCode} after SIGTERM:\n{silo.Process.Output}");
    }

    /// <summary>
    /// Waits until every silo is ready and knows of all others, no partition moves, and every replica is there: what an operator waits for before the next
    /// silo is touched. Returns how long that took.
    /// </summary>
    /// <param name="withSeeds">Also until the membership outlives another loss.</param>
    public async Task<TimeSpan> WaitUntilWholeAsync(TimeSpan timeMax, bool withSeeds, CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            string? lacking = await WhyNotWholeAsync(withSeeds);
            if (lacking is null)
                return watch.Elapsed;
            if (watch.Elapsed > timeMax)
                throw new ChaosException($"Not whole after {watch.Elapsed.TotalSeconds:f0} s: {lacking}\n{Output()}");
            await Task.Delay(50, cancellation);
        }
    }

    /// <summary>What all silos have printed.</summary>
    public string Output()
    {
        lock (_all)
        {
            return string.Join("\n\n", _all.TakeLast(6).Select(static process => process.Output));
        }
    }

    /// <summary>Writes what each silo has printed into the folder of logs.</summary>
    public void SaveLogs()
    {
        lock (_all)
        {
            for (int i = 0; i < _all.Count; i++)
                File.WriteAllText(Path.Combine(logFolder, string.Create(CultureInfo.InvariantCulture, $"silo-{i + 1:d3}.log")), _all[i].Output + "\n");
        }
    }

    public async ValueTask DisposeAsync()
    {
        _silos = [];
        ChildProcess[] all;
        lock (_all)
        {
            all = [.. _all];
        }

        foreach (ChildProcess process in all)
        {
            if (!process.HasExited)
                process.Kill();
        }

        foreach (ChildProcess process in all)
            process.Dispose();
        _http.Dispose();
        if (postgres is not null)
            await postgres.DisposeAsync();
    }

    private void NoteEvicted(Silo silo)
    {
        Evictions++;
        Forget([silo]);
    }

    private async Task<bool> IsReadyAsync(Silo silo)
    {
        try
        {
            using HttpResponseMessage response = await _http.GetAsync(new Uri($"http://127.0.0.1:{Text(silo.Place.HttpPort)}/health/ready"));
            return response.IsSuccessStatusCode;
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
        {
            return false;
        }
    }

    /// <summary>Null if nothing is lacking.</summary>
    private async Task<string?> WhyNotWholeAsync(bool withSeeds)
    {
        Silo[] silos = _silos;
        foreach (Silo silo in silos)
        {
            if (silo.Process.HasExited)
            {
                if (silo.Process.ExitCode != ExitEvicted)
                    throw new ChaosException($"{silo} has ended by itself:\n{silo.Process.Output}");
                NoteEvicted(silo);
                return $"{silo} was declared dead";
            }

            if (!await IsReadyAsync(silo))
                return $"{silo} is not ready";
        }

        foreach (Silo silo in silos)
        {
            try
            {
                using var client = new TextClient(silo.Port, s_askTimeout);
                if (ClusterStatus.WhyNotWhole(await client.StatsAsync("cluster"), silos.Length, options.Replicas, withSeeds) is { } lacking)
                    return $"{silo}: {lacking}";
            }
            catch (ConnectionLostException exception)
            {
                return $"{silo}: {exception.Message}";
            }
        }

        return null;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}

/// <summary>The run cannot go on: a silo has ended or the cluster does not come to rest.</summary>
internal sealed class ChaosException(string message) : Exception(message);
