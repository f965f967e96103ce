namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>The judge is judged: histories that are possible pass, others do not.</summary>
public sealed class HistoryCheckerTests
{
    [Fact]
    public void OneAfterTheOtherEachSeesTheOneBefore()
    {
        AssertPossible(Set("a", 1, 2), Get("a", 3, 4), Delete(5, 6, CacheStatus.Ok), Get(null, 7, 8));
        AssertImpossible(Set("a", 1, 2), Get(null, 3, 4));
        AssertImpossible(Set("a", 1, 2), Set("b", 3, 4), Get("a", 5, 6));
        AssertImpossible(Set("a", 1, 2), Delete(3, 4, CacheStatus.Ok), Get("a", 5, 6));
    }

    [Fact]
    public void OperationsAtTheSameTimeComeInAnyOrderButInOne()
    {
        AssertPossible(Set("a", 1, 10), Set("b", 2, 9), Get("a", 11, 12));
        AssertPossible(Set("a", 1, 10), Set("b", 2, 9), Get("b", 11, 12));
        AssertPossible(Set("a", 1, 10), Get(null, 2, 3), Get("a", 4, 5));
        AssertImpossible(Set("a", 1, 10), Get("a", 2, 3), Get(null, 4, 5));
        AssertImpossible(Set("a", 1, 10), Set("b", 2, 9), Get("a", 11, 12), Get("b", 13, 14));
    }

    [Fact]
    public void AnUnknownOutcomeIsOnceOrNeverAndNotAfterItsEnd()
    {
        HistoryOperation Lost(long end) => new() { Kind = HistoryKind.Set, Value = "x", Invoked = 3, Ended = end };
        AssertPossible(Set("a", 1, 2), Lost(long.MaxValue), Get("a", 5, 6), Get("x", 7, 8));
        AssertPossible(Set("a", 1, 2), Lost(long.MaxValue), Get("a", 5, 6), Get("a", 7, 8));
        AssertPossible(Set("a", 1, 2), Lost(6), Get("a", 5, 7), Get("x", 8, 9));
        AssertImpossible(Set("a", 1, 2), Lost(6), Get("a", 7, 8), Get("x", 9, 10));
        AssertImpossible(Set("a", 1, 2), Lost(long.MaxValue), Get("x", 5, 6), Set("b", 7, 8), Get("x", 9, 10));
    }

    [Fact]
    public void ConditionsAreThoseOfTheItem()
    {
        HistoryOperation Cas(string token, string value, long from, CacheStatus status) =>
            new() { Kind = HistoryKind.Cas, Token = token, Value = value, Invoked = from, Ended = from + 1, Status = status };
        AssertPossible(Set("a", 1, 2), Cas("a", "b", 3, CacheStatus.Ok), Cas("a", "c", 5, CacheStatus.Exists), Get("b", 7, 8));
        AssertImpossible(Set("a", 1, 2), Set("b", 3, 4), Cas("a", "c", 5, CacheStatus.Ok));
        AssertImpossible(Cas("a", "c", 5, CacheStatus.Exists));
        AssertImpossible(Set("a", 1, 2), Cas("a", "c", 5, CacheStatus.NotFound));

        // Two who have read the same cannot both replace it, also at the same time.
        AssertImpossible(
            Set("a", 1, 2), new HistoryOperation { Kind = HistoryKind.Cas, Token = "a", Value = "b", Invoked = 3, Ended = 9, Status = CacheStatus.Ok },
            new HistoryOperation { Kind = HistoryKind.Cas, Token = "a", Value = "c", Invoked = 4, Ended = 8, Status = CacheStatus.Ok });
    }

    [Fact]
    public void CountersCountEveryIncrementOnce()
    {
        HistoryOperation Add(ulong delta, string result, long from, long to) =>
            new() { Kind = HistoryKind.Increment, Delta = delta, Result = result, Invoked = from, Ended = to, Status = CacheStatus.Ok };
        AssertPossible(Set("10", 1, 2), Add(1, "13", 3, 9), Add(2, "12", 4, 8), Get("13", 10, 11));
        AssertImpossible(Set("10", 1, 2), Add(1, "11", 3, 9), Add(2, "12", 4, 8));
        AssertImpossible(Add(1, "1", 3, 9));
    }

    [Fact]
    public void ItemsVanishOnceForEachReasonToVanish()
    {
        HistoryOperation vanish = new() { Kind = HistoryKind.Vanish, Status = CacheStatus.Ok, Invoked = 3, Ended = 6 };
        AssertPossible(Set("a", 1, 2), vanish, Get("a", 4, 5), Get(null, 7, 8));
        AssertImpossible(Set("a", 1, 2), vanish, Get("a", 7, 8));
        AssertImpossible(Set("a", 1, 2), vanish, Set("b", 7, 8), Get(null, 9, 10));
    }

    private static HistoryOperation Set(string value, long from, long to) =>
        new() { Kind = HistoryKind.Set, Value = value, Invoked = from, Ended = to, Status = CacheStatus.Ok };

    private static HistoryOperation Get(string? found, long from, long to) =>
        new() { Kind = HistoryKind.Get, Result = found ?? "", Invoked = from, Ended = to, Status = found is null ? CacheStatus.NotFound : CacheStatus.Ok };

    private static HistoryOperation Delete(long from, long to, CacheStatus status) =>
        new() { Kind = HistoryKind.Delete, Invoked = from, Ended = to, Status = status };

    private static void AssertPossible(params HistoryOperation[] history)
    {
        Assert.Null(HistoryChecker.Check(history, out bool isJudged));
        Assert.True(isJudged);
    }

    private static void AssertImpossible(params HistoryOperation[] history) => Assert.NotNull(HistoryChecker.Check(history, out _));
}
