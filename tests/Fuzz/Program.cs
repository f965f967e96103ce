using System.Diagnostics;
using System.Globalization;
using OrleansCache.Fuzz;

// Usage: [--seed N] [--seconds N] [--keep FOLDER]. Fuzzes the text and the meta parser in turn. Ends with 1 and the input in FOLDER (default: the working directory) at the first complaint.
int seed = Environment.TickCount, seconds = 10;
string keep = ".";
for (int i = 0; i + 1 < args.Length; i += 2)
{
    switch (args[i])
    {
        case "--seed":
            seed = int.Parse(args[i + 1], CultureInfo.InvariantCulture);
            break;
        case "--seconds":
            seconds = int.Parse(args[i + 1], CultureInfo.InvariantCulture);
            break;
        case "--keep":
            keep = args[i + 1];
            break;
        default:
            Console.Error.WriteLine($"Unknown option {args[i]}");
            return 64;
    }
}

Console.WriteLine($"seed {seed}, {seconds} s");
var text = new TextParserFuzzer(seed, TextParserFuzzer.ReadCorpus(Path.Combine(AppContext.BaseDirectory, "corpus")));
var meta = new MetaParserFuzzer(seed);
long steps = 0;
for (var clock = Stopwatch.StartNew(); clock.Elapsed.TotalSeconds < seconds; steps++)
{
    bool isText = (steps & 1) == 0;
    if ((isText ? text.Step(out byte[] input) : meta.Step(out input)) is not { } complaint)
        continue;
    string file = Path.Combine(keep, string.Create(CultureInfo.InvariantCulture, $"{(isText ? "text" : "meta")}-{seed}-{steps}.bin"));
    File.WriteAllBytes(file, input);
    Console.Error.WriteLine($"seed {seed}, step {steps}: {complaint}\ninput kept in {file}");
    return 1;
}

Console.WriteLine($"{steps} inputs, no complaint");
return 0;
