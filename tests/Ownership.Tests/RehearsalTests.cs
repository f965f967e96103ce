using OrleansCache.Ownership.Rehearsing;

namespace OrleansCache.Ownership.Tests;

public sealed class RehearsalTests
{
    /// <summary>If it stopped halfway nobody would notice but by waiting: what it does not reach is compiled while clients wait.</summary>
    [Fact]
    public void ItIsPlayedToItsEnd() => Assert.True(Rehearsal.Run(CancellationToken.None));

    [Fact]
    public void ItEndsWhenTheStartIsGivenUp()
    {
        using var given = new CancellationTokenSource();
        given.Cancel();
        Assert.False(Rehearsal.Run(given.Token));
    }
}
