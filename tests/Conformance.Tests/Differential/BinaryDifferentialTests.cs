using System.Globalization;
using Xunit.Abstractions;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// The same packets to a real memcached and to the server under test; the variables that <see cref="DifferentialTests"/> names choose length and seed
/// here too.
/// </summary>
public abstract class BinaryDifferentialTests(DifferentialPair pair, int commandsDefault, ITestOutputHelper output)
{
    [PeerFact("memcached")]
    public async Task RandomPacketsAreAnsweredAlike()
    {
        int seed = TestSeed.Next();
        int count = Environment.GetEnvironmentVariable("ORLEANSCACHE_DIFFERENTIAL_COMMANDS") is { Length: > 0 } wanted
            ? int.Parse(wanted, CultureInfo.InvariantCulture) : LongTests.Count(commandsDefault);
        bool is1645 = await DifferentialRun.Is1645Async(pair.Reference);
        output.WriteLine($"seed {seed}, {count} packets, reference {(is1645 ? "" : "not ")}of 1.6.45");

        using var reference = new BinaryDifferentialServer(pair.Reference);
        using var tested = new BinaryDifferentialServer(pair.Tested);
        string? difference = await new DifferentialRun(reference, tested).CompareAsync(new BinaryStream(seed, is1645).Next, count, seed);
        Assert.True(difference is null, $"seed {seed}: {difference}");
    }
}

/// <summary>Over the transport that the server chooses.</summary>
public sealed class BinaryDifferentialDefaultTests(DefaultPair pair, ITestOutputHelper output)
    : BinaryDifferentialTests(pair, 60_000, output), IClassFixture<DefaultPair>;

/// <summary>Over System.IO.Pipelines.</summary>
public sealed class BinaryDifferentialPipelinesTests(PipelinesPair pair, ITestOutputHelper output)
    : BinaryDifferentialTests(pair, 20_000, output), IClassFixture<PipelinesPair>;
