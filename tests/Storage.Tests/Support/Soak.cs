using System.Diagnostics;
using System.Globalization;
using Xunit.Abstractions;

namespace OrleansCache.Storage.Tests;

/// <summary>Long tests: `./orleanscache test --soak N` gives each of them N seconds.</summary>
internal static class Soak
{
    /// <summary>How long a long test is to go on; 0: once through.</summary>
    public static int Seconds { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SOAK_SECONDS"), NumberStyles.None, CultureInfo.InvariantCulture,
            out int seconds) ? seconds : 0;

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
            if (Seconds > 0)
                Console.WriteLine($"soak: {test.Method.Name}, seed {seed}, {clock.Elapsed.TotalSeconds:F0} of {Seconds} s");
            test(seed);
            seed = unchecked(seed + 1);
            runs++;
        }
        while (clock.Elapsed.TotalSeconds < Seconds);
        output.WriteLine($"{runs} runs in {clock.Elapsed.TotalSeconds:F1} s");
    }
}
