using System.Globalization;
using System.Net;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Options;
using OrleansCache.Monitoring;
using OrleansCache.Silo.Cluster;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// `serve` and `gateway`: puts node and gateway together, serves until a signal asks it to stop, and takes both down in the order that loses nothing:
/// no new connections, partitions handed over, replies flushed, node stopped.
/// </summary>
internal static class ServeCommand
{
    /// <summary>How long open connections may take to get the replies that are under way.</summary>
    private static readonly TimeSpan GatewayGraceTime = TimeSpan.FromSeconds(2);

    /// <summary>How long a stop may take after the partitions have been handed over.</summary>
    private static readonly TimeSpan StopTimeMax = TimeSpan.FromSeconds(8);

    public static int Run(ServeOptions options)
    {
        StandardError.Install(options.LogFormat);
        StoreSetup.CheckMemory(options);
        foreach (string warning in options.Warnings)
            Console.Error.WriteLine(warning);
        ProcessSetup.Apply(options);
        PoolThreads.Start();
        using var signals = new StopSignals();
        AppDomain.CurrentDomain.UnhandledException += (_, unhandled) =>
        {
            // A defect on a thread of its own: say it in one line and leave, before the runtime prints its trace and aborts.
            int code = Product.Fail(unhandled.ExceptionObject as Exception ?? new InvalidOperationException("unknown"), options.Verbosity);
            Environment.Exit(code);
        };
        return RunAsync(options, signals).GetAwaiter().GetResult();
    }

    private static async Task<int> RunAsync(ServeOptions options, StopSignals signals)
    {
        var verbosity = new LogVerbosity(options.Verbosity);
        using LoggerFactory loggers = StderrLoggerProvider.CreateFactory(verbosity, options.LogFormat);
        TimeProvider time = options.DebugTimeEnabled ? new DebugClock(TimeProvider.System) : TimeProvider.System;

        // Addresses first: a wrong one should not cost the wait for a cluster.
        using var security = new SecuritySetup(options, Environment.GetEnvironmentVariable, loggers);
        GatewayOptions gatewayOptions = security.AddTo(GatewaySetup.Options(options)) with
        {
            VerbosityChanged = level => verbosity.Level = level,
            Shutdown = options.ShutdownEnabled ? signals.Ask : null,
            DebugClock = time as DebugClock,
            MeterCommands = MonitoringSetup.IsWanted(options),
        };
        MonitoringServer? monitoring = MonitoringSetup.IsWanted(options)
            ? await MonitoringSetup.StartAsync(options, gatewayOptions.TextPasswords, loggers, time, signals.Token) : null;
        await using var monitored = monitoring;
        await using INode node = options.WantsCluster ? ClusterSeam.Create(options, loggers) : new LocalNode(options, time);
        if (options.ShutdownEnabled)
            gatewayOptions = gatewayOptions with { Drain = node.BeginDraining };
        try
        {
            await node.StartAsync(signals.Token);
            return await ServeAsync(options, gatewayOptions, node, monitoring, loggers, signals, time, verbosity);
        }
        catch (OperationCanceledException) when (signals.Token.IsCancellationRequested)
        {
            return ExitCode.Ok;
        }
    }

    private static async Task<int> ServeAsync(ServeOptions options, GatewayOptions gatewayOptions, INode node, MonitoringServer? monitoring,
        LoggerFactory loggers, StopSignals signals, TimeProvider time, LogVerbosity verbosity)
    {
        await using var gateway = new GatewayServer(gatewayOptions, node.Router, loggers, time);
        try
        {
            await gateway.StartAsync(signals.Token);
        }
        catch (GatewayStartException exception)
        {
            // By now a silo may have been given partitions, with their items.
            await node.DrainAsync(CancellationToken.None);
            await node.StopAsync(CancellationToken.None);
            throw GatewaySetup.Failure(options, exception);
        }

        using ServiceManager manager = ServiceManager.Connect(Environment.GetEnvironmentVariable);
        signals.HungUp = () => _ = ReloadAsync(gateway, manager);
        node.Publish(gateway);
        monitoring?.Attach(gateway, node.Router, node.NotReady);
        using PidFile? pidFile = options.PidFile is null ? null : PidFile.Write(options.PidFile);
        PortFile.Write(gateway.EndPoints, gateway.UdpEndPoints);
        Announce(options, gateway, node, monitoring);
        manager.Ready(node.Description);
        Daemon.Detach();

        await Task.WhenAny(signals.Asked, node.Failure, gateway.Failure);
        int code = ExitCode.Ok;
        if (gateway.Failure.IsCompleted && !signals.Asked.IsCompleted)
        {
            await Console.Error.WriteLineAsync($"orleanscache: {await gateway.Failure}; the process ends");
            code = ExitCode.Software;
        }
        else if (node.Failure.IsCompleted && !signals.Asked.IsCompleted)
        {
            NodeFailure failure = await node.Failure;
            await Console.Error.WriteLineAsync($"orleanscache: {failure.Reason}");
            code = failure.ExitCode;
        }
        else if (verbosity.Level > 0)
        {
            await Console.Error.WriteLineAsync($"orleanscache: {await signals.Asked}, stopping");
        }

        monitoring?.BeginStop();
        manager.Stopping(StopTimeMax + GatewayGraceTime + TimeSpan.FromSeconds(options.WantsCluster ? options.DrainTimeoutSeconds : 0));
        await gateway.StopAcceptingAsync();
        await node.DrainAsync(CancellationToken.None);
        using Timer limit = new(_ => EndAtOnce(code), null, StopTimeMax, Timeout.InfiniteTimeSpan);
        await gateway.StopAsync(GatewayGraceTime, CancellationToken.None);
        await node.StopAsync(CancellationToken.None);
        return code;
    }

    /// <summary>What is wrong with the files is logged, and the former ones stay in force.</summary>
    private static async Task ReloadAsync(GatewayServer gateway, ServiceManager manager)
    {
        manager.Reloading();
        await gateway.ReloadFilesAsync();
        manager.Reloaded();
    }

    /// <summary>Everything below has bounds of its own; this is for what nobody thought of.</summary>
    private static void EndAtOnce(int code)
    {
        Console.Error.WriteLine("orleanscache: the stop did not end in time; ends at once");
        if (OperatingSystem.IsWindows())
            Environment.Exit(code);
        Posix.ExitAtOnce(code);
    }

    private static void Announce(ServeOptions options, GatewayServer gateway, INode node, MonitoringServer? monitoring)
    {
        IEnumerable<string?> places = gateway.EndPoints.Select(endPoint => endPoint is IPEndPoint ? endPoint.ToString() : options.SocketPath);
        string where = string.Join(", ", places.Concat(gateway.UdpEndPoints.Select(endPoint => $"udp {endPoint}")));
        string loops = Values.Invariant($"{options.Threads} thread{(options.Threads == 1 ? "" : "s")}");
        string http = monitoring?.EndPoint is { } place ? $", http://{place}/" : "";
        string ready = "";
        if (options.Verbosity > 0)
        {
            using var process = System.Diagnostics.Process.GetCurrentProcess();
            double seconds = (DateTime.Now - process.StartTime).TotalSeconds;
            ready = string.Create(CultureInfo.InvariantCulture, $", ready in {seconds:F2} s");
        }

        Console.Error.WriteLine($"OrleansCache {Product.Version}: listening on {where}; {node.Description}, {loops}{http}{ready}");
    }
}
