using System.Collections.Concurrent;
using OrleansCache.HitRatio.Simulation;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio;

/// <summary>
/// The cases that the options name and the workloads behind them: those of a file, one trace (--trace), or the generated Zipf trace
/// (--trace zipf). A trace is read once, however many cases it is in.
/// </summary>
public sealed class Suite
{
    private const string ZipfName = "zipf";

    private readonly string _folder;
    private readonly string _sizes;
    private readonly int _keyBytes;
    private readonly int _zipfKeys;
    private readonly double _zipfExponent;
    private readonly ConcurrentDictionary<(string, TraceFormat, int), Lazy<Trace>> _traces = new();

    public Suite(Options options)
    {
        _folder = options.Text("traces", ".");
        _sizes = options.Text("sizes", "lognormal");
        _keyBytes = options.Number("key-bytes", Workload.KeyBytesMin);
        _zipfKeys = options.Number("zipf-keys", 5_000_000);
        _zipfExponent = options.Fraction("zipf-exponent", 0.99);
        Seed = (ulong)options.Number("seed", 1);
        OverheadBytes = options.Number("overhead", 50);
        PolicyNames = [.. options.Text("policies", "s3-fifo,lru,belady,w-tinylfu,sieve").Split(',')];
        if (PolicyNames.Except(Policies.All).FirstOrDefault() is { } unknown)
            throw new FormatException($"--policies {unknown}: one of {string.Join(", ", Policies.All)}");
        Cases = ReadCases(options);
    }

    public ulong Seed { get; }

    public int OverheadBytes { get; }

    public string[] PolicyNames { get; }

    public List<Case> Cases { get; }

    public string Description => $"sizes {_sizes}, keys of {_keyBytes} bytes, seed {Seed}; simulations count key + value + {OverheadBytes} bytes an item";

    public Workload Load(Case one)
    {
        Trace trace = _traces.GetOrAdd((one.TraceFileName, one.Format, one.RequestsMax), _ => new Lazy<Trace>(() => ReadTrace(one))).Value;
        return new Workload(trace, ValueSizes.Parse(_sizes, one.Scale, Seed), _keyBytes);
    }

    private Trace ReadTrace(Case one)
    {
        if (one.TraceFileName == ZipfName)
            return ZipfTrace.Generate(_zipfKeys, one.RequestsMax, _zipfExponent, Seed);
        string path = TraceFile.Find(_folder, one.TraceFileName)
            ?? throw new FileNotFoundException($"{Path.Combine(_folder, one.TraceFileName)} is missing; bench/hit-ratio/README.md says where to get it");
        return TraceFile.Read(path, one.Format, one.RequestsMax);
    }

    private static List<Case> ReadCases(Options options)
    {
        string casesPath = options.Text("cases", Path.Combine(AppContext.BaseDirectory, "cases.txt"));
        string only = options.Text("only", "");
        string? trace = options.Text("trace");
        string formatName = options.Text("format", "arc");
        int requestsMax = options.Number("requests", trace == ZipfName ? 10_000_000 : 3_000_000);
        int[] memories = options.Numbers("memory", 64);
        int[] scales = options.Numbers("scale", 1);
        if (!Enum.TryParse(formatName, ignoreCase: true, out TraceFormat format))
            throw new FormatException($"--format {formatName}: one of {string.Join(", ", Enum.GetNames<TraceFormat>())}".ToLowerInvariant());
        List<Case> cases = trace is null ? Case.Read(casesPath)
            : [.. from scale in scales from memory in memories select new Case(trace, format, requestsMax, memory, scale)];
        string[] wanted = only.Split(',');
        cases = [.. cases.Where(one => wanted.Any(name => one.TraceFileName.Contains(name, StringComparison.OrdinalIgnoreCase)))];
        return cases.Count > 0 ? cases : throw new FormatException("no case is left");
    }
}
