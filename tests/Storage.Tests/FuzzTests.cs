using OrleansCache.Fuzz.Stores;
using Xunit.Abstractions;

namespace OrleansCache.Storage.Tests;

/// <summary>The targets of tests/Fuzz that concern the stores, for a moment each; `dotnet run --project tests/Fuzz` gives them longer.</summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    [Fact]
    public void AStoreDoesWhatItsModelDoesWhateverTheInput() => Soak.Run(output, 0, static seed =>
    {
        var fuzzer = new StoreFuzzer(seed);
        for (int i = 0; i < 60; i++)
        {
            string? complaint = fuzzer.Step(out byte[] input);
            Assert.True(complaint is null, $"seed {seed}, input {Convert.ToHexString(input)}: {complaint}");
        }
    });

    [Fact]
    public void ABlockOfItemsIsTakenAsItIsMeantOrNotAtAll() => Soak.Run(output, 1, static seed =>
    {
        var fuzzer = new ExportFuzzer(seed);
        for (int i = 0; i < 2000; i++)
        {
            string? complaint = fuzzer.Step(out byte[] input);
            Assert.True(complaint is null, $"seed {seed}, input {Convert.ToHexString(input)}: {complaint}");
        }
    });

    [Fact]
    public void ADamagedMemoryFileHoldsNothingThatWasNotStored() => Soak.Run(output, 2, static seed =>
    {
        using var fuzzer = new MemoryFileFuzzer(seed);
        for (int i = 0; i < 100; i++)
        {
            string? complaint = fuzzer.Step(out byte[] input);
            Assert.True(complaint is null, $"seed {seed}, changes {Convert.ToHexString(input)}: {complaint}");
        }
    });
}
