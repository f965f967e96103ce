using System.Diagnostics;
using System.Globalization;
using Xunit.Abstractions;

namespace OrleansCache.Membership.Tests.Simulation;

/// <summary>
/// ORLEANSCACHE_TEST_SEEDS=N runs N seeds instead of a few hundred; ORLEANSCACHE_TEST_SEED=S begins with seed S, and runs that one alone unless the number is
/// given as well.
/// </summary>
public sealed class RegisterSimulationTests(ITestOutputHelper output)
{
    private static readonly int SeedsToRun =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEEDS"), NumberStyles.None, CultureInfo.InvariantCulture, out int seeds) ? seeds
        : TestSeed.Given is not null ? 1 : 300;

    [Fact]
    public void TheRegisterIsLinearizableWhateverHappens()
    {
        int first = TestSeed.Next(output);
        long done = 0, conflicts = 0, unavailable = 0, changes = 0, decided = 0, cameBack = 0;
        var watch = Stopwatch.StartNew();
        int runs = 0;
        for (; runs < SeedsToRun || watch.Elapsed.TotalSeconds < TestSeed.SoakSeconds; runs++)
        {
            var world = new SimulatedRegister(first + runs);
            try
            {
                world.Run();
            }
            catch (ViolationException violation)
            {
                Assert.Fail($"ORLEANSCACHE_TEST_SEED={world.Seed}: {violation.Message}");
            }

            done += world.History.Done;
            conflicts += world.History.Conflicts;
            unavailable += world.History.Unavailable;
            changes += world.History.SeedChanges;
            decided += world.Witness.Decided;
            cameBack += world.CameBack ? 1 : 0;
        }

        output.WriteLine($"{runs} seeds: {done} operations done, {conflicts} conflicts, {unavailable} unavailable, {changes} changes of the seeds, "
            + $"{decided} versions decided; {cameBack} ended with a majority and came back");
        Assert.True(runs < 100 || (changes > runs && cameBack > runs / 4), $"from seed {first}: too little happens: {changes}, {cameBack}");
    }

    [Theory]
    [InlineData(nameof(RegisterFaults.PromiseNotKept))]
    [InlineData(nameof(RegisterFaults.StaleMajority))]
    [InlineData(nameof(RegisterFaults.TwoChangesAtOnce))]
    [InlineData(nameof(RegisterFaults.FinishUndecided))]
    [InlineData(nameof(RegisterFaults.UnconfirmedRead))]
    public void AMistakeOfTheAlgorithmIsCaught(string fault) => AssertCaught(Enum.Parse<RegisterFaults>(fault), HostMistake.None);

    [Theory]
    [InlineData(nameof(HostMistake.AnswersBeforeTheDisk))]
    [InlineData(nameof(HostMistake.KeepsItsIdentity))]
    public void AMistakeOfTheHostIsCaught(string mistake) => AssertCaught(RegisterFaults.None, Enum.Parse<HostMistake>(mistake));

    private void AssertCaught(RegisterFaults faults, HostMistake mistake)
    {
        int first = TestSeed.Next(output);
        Weather changing = mistake == HostMistake.None ? Weather.Changing : Weather.Changing with { FileLost = 0.3 };
        for (int i = 0; i < 3_000; i++)
        {
            try
            {
                new SimulatedRegister(first + i, faults, mistake, i % 2 == 0 ? changing : null).Run();
            }
            catch (StandstillException)
            {
                // Not what the mistake is looked for.
            }
            catch (ViolationException violation)
            {
                output.WriteLine($"caught by seed number {i + 1}: {violation.Message}");
                return;
            }
        }

        Assert.Fail($"{faults} {mistake} was not noticed from seed {first} on");
    }
}
