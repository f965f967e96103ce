using OrleansCache.Ownership.Tests.Simulation;
using Xunit.Abstractions;

namespace OrleansCache.Ownership.Tests;

/// <summary>A simulation in which a rule is broken on purpose must be found out, by one of the first seeds: so the checks are worth something.</summary>
public sealed class BrokenRulesTests(ITestOutputHelper output)
{
    private const int SeedsMax = 400;

    [Fact]
    public void EarlyAcknowledgementIsNoticed() => AssertNoticed(SimulatedFaults.None, replicas: 1, isAsynchronous: true);

    [Fact]
    public void TwoOwnersAreNoticed() => AssertNoticed(new SimulatedFaults { HasTwoOwners = true }, replicas: 1);

    [Fact]
    public void ADetachedCopyThatWasNotDroppedIsNoticed() => AssertNoticed(new SimulatedFaults { DetachesWithoutDrop = true }, replicas: 1);

    [Fact]
    public void AMissingFenceIsNoticed() => AssertNoticed(new SimulatedFaults { HasNoFence = true }, replicas: 1);

    [Fact]
    public void EffectsThatAreAppliedTwiceAreNoticed() => AssertNoticed(new SimulatedFaults { AppliesTwice = true }, replicas: 1);

    [Fact]
    public void AnElectionByOldReportsIsNoticed() => AssertNoticed(new SimulatedFaults { ElectsByOldReports = true }, replicas: 2);

    [Fact]
    public void AReplicaThatCountsTooEarlyIsNoticed() => AssertNoticed(new SimulatedFaults { CountsTooEarly = true }, replicas: 1);

    [Fact]
    public void AWireVersionThatIsWrittenTooEarlyIsNoticed() => AssertNoticed(new SimulatedFaults { WritesTooEarly = true }, replicas: 1);

    private void AssertNoticed(SimulatedFaults faults, int replicas, bool isAsynchronous = false)
    {
        int first = TestSeed.Given ?? 1;
        for (int run = 0; run < SeedsMax; run++)
        {
            try
            {
                Chaos.Run(unchecked(first + run), steps: 60, replicas, faults, isAsynchronous).Dispose();
            }
            catch (Exception exception)
            {
                // What it is noticed by is in the message of an assertion, which Run passes on.
                output.WriteLine($"seed {first + run}, run {run}: {exception.Message[..Math.Min(200, exception.Message.Length)]}");
                return;
            }
        }

        Assert.Fail($"seed {first}: {SeedsMax} runs, and nothing was noticed");
    }
}
