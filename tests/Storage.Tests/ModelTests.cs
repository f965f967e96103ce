using OrleansCache.Fuzz.Stores;

namespace OrleansCache.Storage.Tests;

/// <summary>
/// Everything that can happen to stores, at random under a seed, against a model; see <see cref="StoreWorld"/>. ORLEANSCACHE_TEST_SEED runs one world
/// again, and ORLEANSCACHE_TEST_SOAK_SECONDS gives each test so many seconds, with a new seed whenever a world is through.
/// </summary>
public sealed class ModelTests(Xunit.Abstractions.ITestOutputHelper output) : IDisposable
{
    private const int Steps = 50_000;
    private const int StepsPerCheck = 10_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void WithPlentyOfMemoryTheStoreIsTheModel(int round) => Soak.Run(output, round, seed => Run(seed, plenty: true, ownThread: false));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void UnderTightMemoryWhatIsThereIsTheModels(int round) => Soak.Run(output, round, seed => Run(seed, plenty: false, ownThread: false));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void AnotherThreadMayHoldAndReleaseValues(int round) => Soak.Run(output, round, seed => Run(seed, plenty: false, ownThread: true));

    private void Run(int seed, bool plenty, bool ownThread)
    {
        string folder = Path.Combine(_folder, $"world{seed}");
        Directory.CreateDirectory(folder);
        using var world = new StoreWorld(new SeededChoices(seed), plenty, ownThread, folder);
        try
        {
            while (world.Steps < Steps)
            {
                world.Step();
                if (world.Steps % StepsPerCheck == 0)
                    world.Check();
            }

            world.Finish();
        }
        catch (Exception exception)
        {
            throw new ModelException($"seed {seed}, step {world.Steps}, {world}: {(exception is ModelException ? exception.Message : exception)}");
        }
    }
}
