using System.Diagnostics;
using System.Globalization;
using OrleansCache.Fuzz;
using OrleansCache.Fuzz.Stores;

// Usage: [--target text|meta|store|export|file] [--seed N] [--seconds N] [--keep FOLDER], or --run FILE. Fuzzes the targets in turn, or one of them.
// Ends with 1 and the input in FOLDER (default: the working directory) at the first complaint. --run checks an input that was kept; the first word of
// its name is the target.
int seed = Environment.TickCount, seconds = 10;
string keep = ".";
string? only = null, run = null;
for (int i = 0; i + 1 < args.Length; i += 2)
{
    switch (args[i])
    {
        case "--target":
            only = args[i + 1];
            break;
        case "--seed":
            seed = int.Parse(args[i + 1], CultureInfo.InvariantCulture);
            break;
        case "--seconds":
            seconds = int.Parse(args[i + 1], CultureInfo.InvariantCulture);
            break;
        case "--keep":
            keep = args[i + 1];
            break;
        case "--run":
            run = args[i + 1];
            only = Path.GetFileName(run).Split('-')[0];
            break;
        default:
            Console.Error.WriteLine($"Unknown option {args[i]}");
            return 64;
    }
}

var text = new TextParserFuzzer(seed, TextParserFuzzer.ReadCorpus(Path.Combine(AppContext.BaseDirectory, "corpus")));
var meta = new MetaParserFuzzer(seed);
var store = new StoreFuzzer(seed);
var export = new ExportFuzzer(seed);
using var file = new MemoryFileFuzzer(seed);
Target[] targets =
[
    new("text", text.Step, input => TextParserFuzzer.Check(input, seed)),
    new("meta", meta.Step, input => MetaParserFuzzer.Check(input, seed)),
    new("store", store.Step, StoreFuzzer.Check),
    new("export", export.Step, ExportFuzzer.Check),
    new("file", file.Step, file.Check),
];
if (only is not null)
    targets = Array.FindAll(targets, target => target.Name == only);
if (targets.Length == 0)
{
    Console.Error.WriteLine($"Unknown target {only}");
    return 64;
}

if (run is not null)
{
    string? complaint = targets[0].Check(File.ReadAllBytes(run));
    Console.WriteLine(complaint ?? "no complaint");
    return complaint is null ? 0 : 1;
}

Console.WriteLine($"seed {seed}, {seconds} s");
var clock = Stopwatch.StartNew();
while (clock.Elapsed.TotalSeconds < seconds)
{
    foreach (Target target in targets)
    {
        // Each has its turn by time: an input of a store takes a thousand times as long as a line.
        for (double until = clock.Elapsed.TotalSeconds + 0.2; clock.Elapsed.TotalSeconds < until; target.Steps++)
        {
            if (target.Step(out byte[] input) is not { } complaint)
                continue;
            string path = Path.Combine(keep, string.Create(CultureInfo.InvariantCulture, $"{target.Name}-{seed}-{target.Steps}.bin"));
            File.WriteAllBytes(path, input);
            Console.Error.WriteLine($"{target.Name}, seed {seed}, step {target.Steps}: {complaint}\ninput kept in {path}");
            return 1;
        }
    }
}

Console.WriteLine($"{string.Join(", ", targets.Select(target => $"{target.Steps} inputs for {target.Name}"))}, no complaint");
return 0;
