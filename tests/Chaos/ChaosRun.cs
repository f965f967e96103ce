using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using OrleansCache.Cluster.Tests;

namespace OrleansCache.Chaos;

/// <summary>One run from the first silo to the table of figures.</summary>
internal static class ChaosRun
{
    private const int ExitWrong = 1;
    private const int ExitUnavailable = 69;

    /// <summary>One client in so many goes on to use silos that are cut off.</summary>
    private const int ApartOneIn = 8;

    private static readonly TimeSpan s_settleMax = TimeSpan.FromSeconds(180);
    private static readonly TimeSpan s_stopMax = TimeSpan.FromSeconds(60);

    public static async Task<int> RunAsync(ChaosOptions options)
    {
#if !CLUSTER
        Console.Error.WriteLine("chaos: built without the cluster (Cluster=false): there are no silos to injure");
        await Task.CompletedTask;
        return ExitUnavailable;
#else
        if (options.Membership == Membership.Postgres && PostgresServer.WhyNot() is { } lacking)
        {
            Console.Error.WriteLine($"chaos: {lacking}");
            return ExitUnavailable;
        }

        if (options.NeedsNetwork && TestNetwork.WhyNot() is { } missing)
        {
            Console.Error.WriteLine($"chaos: {missing}");
            return ExitUnavailable;
        }

        string logs = options.LogFolder ?? Directory.CreateTempSubdirectory("orleanscache-chaos-").FullName;
        Directory.CreateDirectory(logs);
        using var cancellation = new CancellationTokenSource();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cancel);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cancel);

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"seed {options.Seed}; {options.Silos} silos, {options.Replicas} replicas, "
                + $"membership {(options.Membership == Membership.Seeds ? "on the silos" : "in PostgreSQL")}; "
                + $"{options.Keys} items, {options.Writers} writers; logs in {logs}"));
        var findings = new Findings();
        PostgresServer? postgres = options.Membership == Membership.Seeds ? null : await PostgresServer.StartAsync();
        using TestNetwork? network = options.NeedsNetwork ? TestNetwork.Create(options.Seed) : null;
        await using var fleet = new Fleet(options, postgres, network, logs);
        bool isClean = await InjureAsync(options, fleet, network, findings, cancellation.Token);
        if (!isClean || options.LogFolder is not null)
        {
            fleet.SaveLogs();
            await File.WriteAllLinesAsync(Path.Combine(logs, "complaints.txt"), findings.Complaints, CancellationToken.None);
            Console.WriteLine($"logs in {logs}");
        }
        else
            Directory.Delete(logs, recursive: true);
        return isClean ? 0 : ExitWrong;

        void Cancel(PosixSignalContext context)
        {
            context.Cancel = true;
            cancellation.Cancel();
        }
#endif
    }

    /// <summary>Returns whether nothing was wrong.</summary>
    private static async Task<bool> InjureAsync(
        ChaosOptions options, Fleet fleet, TestNetwork? network, Findings findings, CancellationToken cancellation)
    {
        var pause = TimeSpan.FromSeconds(2.0 * options.Writers / options.Rate);
        KeyClient[] clients = [.. Enumerable.Range(0, options.Writers).Select(number => new KeyClient(
            number, options.Seed, fleet, findings, pause, staysApart: options.NeedsNetwork && number % ApartOneIn == ApartOneIn - 1))];
        var constants = new ConstantItems(options.Keys, options.Seed, fleet, findings);
        var injector = new Injector(options, fleet, network, clients, constants, findings);
        using var stop = new CancellationTokenSource();
        Task load = Task.CompletedTask;
        StockClient? stock = null;
        bool isWell = true;
        try
        {
            await fleet.AddAsync(null, cancellation);
            for (int i = 1; i < options.Silos; i++)
                await fleet.AddAsync(null, cancellation);
            await fleet.WaitUntilWholeAsync(s_settleMax, withSeeds: true, cancellation);
            await constants.WriteAsync(cancellation);
            load = Task.WhenAll([.. clients.Select(client => Task.Run(() => client.RunAsync(stop.Token), CancellationToken.None)),
                Task.Run(() => constants.ReadAsync(stop.Token), CancellationToken.None)]);
            stock = StockClient.Start(fleet);
            Console.WriteLine($"stock client: {stock?.Name ?? "pymemcache is not installed"}");

            FaultKind[] possible = [.. options.Faults.Where(injector.IsPossible)];
            if (possible.Length == 0)
                throw new ChaosException("none of the faults is possible with this membership, number of silos and replicas");
            var random = new Random(options.Seed);
            var watch = Stopwatch.StartNew();
            for (int round = 0; round < options.Rounds && watch.Elapsed.TotalMinutes < options.Minutes && !cancellation.IsCancellationRequested; round++)
            {
                await injector.RunOneAsync(possible[random.Next(possible.Length)], cancellation);
                if (!findings.IsClean && isWell)
                {
                    isWell = false;
                    Console.WriteLine($"first findings:\n{string.Join('\n', findings.Complaints.Where(Findings.IsWrong).TakeLast(20))}");
                    fleet.SaveLogs();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Said below.
        }
        catch (Exception exception) when (exception is ChaosException or TimeoutException or ConnectionLostException)
        {
            Console.WriteLine(exception.Message);
            isWell = false;
        }

        if (cancellation.IsCancellationRequested)
            Console.WriteLine("interrupted");
        await stop.CancelAsync();
        await load;
        if (stock is not null)
            isWell &= await stock.StopAsync();
        isWell &= await StopAllAsync(fleet);
        Console.WriteLine();
        Console.Write(Report.TableOf(injector.Results));
        Console.WriteLine(Report.SummaryOf(findings));
        if (fleet.Evictions > 0)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"silos declared dead that nobody had touched (a busy machine): {fleet.Evictions}"));
        if (options.NeedsNetwork)
            Console.Write(Report.NetworkTableOf(injector.Results));
        foreach (string complaint in findings.Complaints.Where(Findings.IsWrong).Take(20))
            Console.WriteLine(complaint);
        return isWell && findings.IsClean;
    }

    /// <summary>As a script or systemd would: all at the same moment.</summary>
    private static async Task<bool> StopAllAsync(Fleet fleet)
    {
        Silo[] silos = [.. fleet.Silos.Where(static silo => !silo.Process.HasExited)];
        fleet.Forget(silos);
        var watch = Stopwatch.StartNew();
        foreach (Silo silo in silos)
            silo.Process.Terminate();
        int[] exitCodes = new int[silos.Length];
        for (int i = 0; i < silos.Length; i++)
        {
            try
            {
                exitCodes[i] = await silos[i].Process.WaitForExitAsync(s_stopMax);
            }
            catch (TimeoutException exception)
            {
                Console.WriteLine(exception.Message);
                exitCodes[i] = -1;
            }
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"all silos told to stop at once: exit codes {string.Join(", ", exitCodes)} after {watch.Elapsed.TotalSeconds:f1} s"));
        return Array.TrueForAll(exitCodes, static code => code == 0);
    }
}
