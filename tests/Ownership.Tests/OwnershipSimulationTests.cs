using System.Diagnostics;
using System.Globalization;
using OrleansCache.Ownership.Tests.Simulation;
using Xunit.Abstractions;

namespace OrleansCache.Ownership.Tests;

public sealed class OwnershipSimulationTests(ITestOutputHelper output)
{
    /// <summary>Some 10 s. More of them: ORLEANSCACHE_TEST_RUNS, or ORLEANSCACHE_TEST_SOAK_SECONDS.</summary>
    private static readonly int RunsOfChaos =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_RUNS"), CultureInfo.InvariantCulture, out int runs) ? runs : 20;

    [Fact]
    public void ASeedDecidesEverything()
    {
        int seed = TestSeed.Next();
        ulong[] traces = [.. Enumerable.Range(0, 2).Select(_ =>
        {
            using SimulatedCluster cluster = Chaos.Run(seed, steps: 40);
            return cluster.Trace;
        })];
        Assert.True(traces[0] == traces[1], $"seed {seed}: two runs differ");
    }

    /// <summary>
    /// Crashes, false suspicions, joins and drains at random, over a network that loses, delays and repeats; then peace, in which everything must settle.
    /// </summary>
    [Fact]
    public void ChaosNeverLosesOrDoublesAnythingAndSettles()
    {
        int first = TestSeed.Next(output);
        bool once = TestSeed.Given is not null;
        long moves = 0, aborted = 0, promotions = 0, flushes = 0, answered = 0, emptied = 0, notJudged = 0, versions = 0;
        List<string> failures = [];
        int runs = 0;
        var clock = Stopwatch.StartNew();
        for (; runs < (once ? 1 : RunsOfChaos) || (failures.Count == 0 && clock.Elapsed.TotalSeconds < TestSeed.SoakSeconds); runs++)
        {
            using SimulatedCluster? cluster = Chaos.TryRun(unchecked(first + runs), steps: 150, failures);
            if (cluster is null)
                continue;
            moves += cluster.MovesCommitted;
            aborted += cluster.MovesAborted;
            promotions += cluster.Promotions;
            flushes += cluster.FlushesDone;
            answered += cluster.Answered;
            emptied += cluster.OpenedEmpty;
            notJudged += cluster.NotJudged;
            versions += cluster.WireVersionChanges;
        }

        Assert.True(failures.Count == 0, $"{failures.Count} of {runs} seeds: {string.Join("\n\n", failures.Take(6))}");
        string figures = $"{runs} runs: {moves} moves, {aborted} given up, {promotions} promotions, {flushes} flushes, "
            + $"{answered} operations, {emptied} opened empty, {versions} changes of the wire version, "
            + $"{notJudged} histories of {runs * Chaos.KeyCount} not judged";
        bool isTame = moves <= runs * 5 || promotions <= runs || flushes <= runs || versions <= runs / 4 || notJudged * 20 > Math.Max(1, runs) * Chaos.KeyCount;
        Assert.False(isTame && !once, $"seed {first}: the chaos was tame: {figures}");
        output.WriteLine(figures);
    }
}
