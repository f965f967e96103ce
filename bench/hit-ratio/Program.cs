using System.ComponentModel;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using OrleansCache.HitRatio;
using OrleansCache.HitRatio.Replay;
using OrleansCache.HitRatio.Traces;

const string Usage = """
    Hit ratios of caches on public traces with mixed value sizes. bench/hit-ratio/README.md explains everything.

      simulate   ideal policies at equal bytes
      replay     one trace, cache-aside, against a server that runs: --server HOST:PORT [--pid PID]
      compare    memcached and OrleansCache, started here one after the other, and the ideal policies
      zipf       compare on a Zipf trace: exponent 0.99, 10 M requests over 5 M keys, 32 B keys, 100 B values, -m 96

    What is run:      --traces FOLDER  --cases FILE  --only NAME[,NAME]
                      --trace FILE|zipf --format arc|lirs|address|be32|be64 --requests N --memory MIB[,MIB] --scale N[,N]
                      --zipf-keys N --zipf-exponent X
    Sizes:            --sizes lognormal|lognormal:MEDIAN,SIGMA,MIN,MAX|fixed:BYTES  --key-bytes N  --seed N
    Simulations:      --policies lru,s3-fifo,sieve,w-tinylfu,belady  --overhead BYTES
    Servers:          --memcached PATH --memcached-options "..."  --ours PATH --ours-options "..."  --servers memcached,ours
                      --depth N  --port N  --parallel N
    Output:           --json FILE
    """;

// Without a handler these signals end the process at once, and the servers that it started would live on.
using PosixSignalRegistration interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => Environment.Exit(130));
using PosixSignalRegistration terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => Environment.Exit(143));
using PosixSignalRegistration hungUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, _ => Environment.Exit(129));
try
{
    if (args.Length == 0 || args[0] is "help" or "--help" or "-h")
    {
        Console.WriteLine(Usage);
        return 0;
    }

    return args[0] switch
    {
        "simulate" => Simulate(new Options(args[1..])),
        "replay" => Replay(new Options(args[1..])),
        "compare" => Compare(new Options(args[1..])),
        // What stands later wins, so that every one of these can be changed.
        "zipf" => Compare(new Options(["--trace", "zipf", "--memory", "96", "--sizes", "fixed:100", "--key-bytes", "32", .. args[1..]])),
        _ => throw new FormatException($"{args[0]}: no such verb; simulate, replay, compare, zipf or help"),
    };
}
catch (Exception e) when (Reason(e) is { } reason)
{
    Console.Error.WriteLine(reason);
    return 2;
}

// What the one who called can mend is told in a line; the rest is a bug here and keeps its stack.
static string? Reason(Exception e) => e switch
{
    AggregateException { InnerException: { } inner } => Reason(inner),
    FormatException or IOException or InvalidDataException or InvalidOperationException or TimeoutException or SocketException or Win32Exception => e.Message,
    _ => null,
};

static int Simulate(Options options)
{
    var suite = new Suite(options);
    string? json = options.Text("json");
    options.RejectUnknown();
    var report = new Report(suite, []);
    Parallel.ForEach(suite.Cases, one => report.Add(Comparison.Simulate(suite, one)));
    return Finish(report, json);
}

static int Replay(Options options)
{
    var suite = new Suite(options);
    string server = options.Text("server") ?? throw new FormatException("--server HOST:PORT is missing");
    int pid = options.Number("pid", 0);
    int depth = options.Number("depth", 1);
    options.RejectUnknown();
    if (!IPEndPoint.TryParse(server, out IPEndPoint? endPoint) || endPoint.Port == 0)
        throw new FormatException($"--server {server}: an IP address and a port");
    if (suite.Cases.Count != 1)
        throw new FormatException("replay takes one case: --trace FILE --format F, or --only NAME that leaves one");
    Workload workload = suite.Load(suite.Cases[0]);
    ReplayResult result = Replayer.Run(workload, endPoint, depth);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
        {workload.Trace.Name}: {result.Count.Requests:N0} requests of {workload.Trace.KeyCount:N0} keys in {result.Seconds:F1} s
        hits {result.Count.Hits:N0}, ratio {result.Count.Ratio:F4}, in the second half {result.Count.SecondHalfRatio:F4}
        evictions {result.Statistic("evictions"):N0}, failed sets {result.FailedSets:N0} {result.FirstFailure}
        """));
    if (pid != 0)
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"RSS {ProcessMemory.RssMiB(pid):F1} MiB"));
    return 0;
}

static int Compare(Options options)
{
    var suite = new Suite(options);
    var comparison = new Comparison(suite, options);
    string? json = options.Text("json");
    options.RejectUnknown();
    var report = new Report(suite, comparison.ServerNames);
    comparison.Run(report.Add);
    return Finish(report, json);
}

static int Finish(Report report, string? jsonPath)
{
    report.Print(Console.Out);
    if (jsonPath is not null)
        File.WriteAllText(jsonPath, report.ToJson());
    return 0;
}
