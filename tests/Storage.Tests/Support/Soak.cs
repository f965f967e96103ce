using System.Diagnostics;
using Xunit.Abstractions;

namespace OrleansCache.Storage.Tests;

/// <summary>Long tests: `./orleanscache test --soak N` gives each of them N seconds.</summary>
internal static class Soak
{
    /// <summary>
    /// Runs a test under a seed, and under others until the time is over; each is printed, so that the one that fails is known even if the process
    /// dies of it.
    /// </summary>
    public static void Run(ITestOutputHelper output, int round, Action<int> test)
    {
        int seed = TestSeed.Next() + (round * 1_000_003);
        var clock = Stopwatch.StartNew();
        long runs = 0;
        do
        {
            output.WriteLine($"seed {seed}");
            if (TestSeed.SoakSeconds > 0)
                Console.WriteLine($"soak: {test.Method.Name}, seed {seed}, {clock.Elapsed.TotalSeconds:F0} of {TestSeed.SoakSeconds} s");
            test(seed);
            seed = unchecked(seed + 1);
            runs++;
        }
        while (clock.Elapsed.TotalSeconds < TestSeed.SoakSeconds);
        output.WriteLine($"{runs} runs in {clock.Elapsed.TotalSeconds:F1} s");
    }
}
