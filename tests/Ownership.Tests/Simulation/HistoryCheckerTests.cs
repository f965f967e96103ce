using System.Globalization;
using Xunit.Abstractions;

namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>The judge is judged: histories that are possible pass, others do not.</summary>
public sealed class HistoryCheckerTests(ITestOutputHelper output)
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

    [Fact]
    public void ManyUnknownOutcomesAtOnceAreJudged()
    {
        // What a silo that dies leaves of a key that many write: all have the same interval, and none has an answer.
        HistoryOperation[] lost =
        [
            .. Enumerable.Range(0, 40).Select(static i => new HistoryOperation
            {
                Kind = (i % 5) switch
                {
                    0 => HistoryKind.Set,
                    1 => HistoryKind.Append,
                    2 => HistoryKind.Delete,
                    3 => HistoryKind.Add,
                    _ => HistoryKind.Cas,
                },
                Value = i % 5 == 1 ? $",{i}" : $"v{i}", Token = i % 5 == 4 ? "a" : "", Invoked = 3 + i, Ended = 1000 + i,
            }),
        ];
        AssertPossible([Set("a", 1, 2), .. lost, Get("a", 50, 51), Get(null, 52, 53), Get("v5,1,6", 54, 55), Get("v13", 56, 57), Get("v10", 2000, 2001)]);
        AssertPossible([Set("a", 1, 2), .. lost, Get("v4", 50, 51), Get("v4,11", 52, 53)]);
        AssertImpossible([Set("a", 1, 2), .. lost, Get("v5,1,6", 50, 51), Get("v10,1", 52, 53)]);
        AssertImpossible([Set("a", 1, 2), .. lost, Get("v5", 50, 51), Get("v10", 52, 53), Get("v5", 54, 55)]);
        AssertImpossible([Set("a", 1, 2), .. lost, Get("b", 50, 51)]);
        AssertImpossible([Set("a", 1, 2), .. lost, Get("a", 2000, 2001), Get(null, 2002, 2003)]);
    }

    /// <summary>Short histories at random, possible ones and others, are judged as by trying all orders.</summary>
    [Fact]
    public void ItJudgesAsTryingEveryOrderDoes()
    {
        int seed = TestSeed.Next(output);
        Random random = new(seed);
        int possible = 0, impossible = 0;
        for (int i = 0; i < 4_000; i++)
        {
            HistoryOperation[] history = Draw(random);
            bool expected = IsPossible(history, null, new bool[history.Length]);
            string? wrong = HistoryChecker.Check(history, out bool isJudged);
            Assert.True(isJudged && expected == (wrong is null),
                $"seed {seed}, history {i}: {expected}, {wrong}\n{string.Join<HistoryOperation>('\n', history)}");
            possible += expected ? 1 : 0;
            impossible += expected ? 0 : 1;
        }

        output.WriteLine($"{possible} possible, {impossible} impossible");
        Assert.True(possible > 400 && impossible > 400, $"seed {seed}: {possible} possible, {impossible} impossible");
    }

    /// <summary>Up to seven operations of few values, whose answers mostly are those of some order.</summary>
    private static HistoryOperation[] Draw(Random random)
    {
        bool isCounter = random.Next(3) == 0;
        string[] values = isCounter ? ["10", "20"] : ["a", "b", "c"];
        string? value = null;
        var history = new HistoryOperation[random.Next(3, 8)];
        for (int i = 0; i < history.Length; i++)
        {
            long from = random.Next(1, 40) * 10 + i;
            var operation = new HistoryOperation
            {
                Kind = (HistoryKind)random.Next((int)HistoryKind.Vanish + 1), Value = values[random.Next(values.Length)], Delta = (ulong)random.Next(1, 3),
                Token = values[random.Next(values.Length)], Invoked = from,
                Ended = random.Next(4) == 0 ? long.MaxValue : from + random.Next(1, 20) * 10 + 100_000,
            };
            if (operation.Kind == (isCounter ? HistoryKind.Append : HistoryKind.Increment))
                operation = Set(operation.Value, from, from + random.Next(1, 200));
            string? after = null;
            foreach (CacheStatus status in Statuses(operation.Kind, random))
            {
                operation.Status = status;
                if (status == CacheStatus.Ok)
                    operation.Result = ResultOf(operation, value);
                if (operation.TryApply(value, out after))
                    break;
            }

            if (random.Next(3) == 0 && operation.Kind != HistoryKind.Vanish)
            {
                operation.Status = CacheStatus.None;
                operation.Result = "";
            }
            else if (operation.Ended == long.MaxValue || random.Next(2) == 0)
                operation.Ended = from + random.Next(1, 20) * 10;

            value = random.Next(6) == 0 ? value : after;
            history[i] = operation;
        }

        return history;
    }

    private static IEnumerable<CacheStatus> Statuses(HistoryKind kind, Random random) => kind switch
    {
        HistoryKind.Set or HistoryKind.Vanish => [CacheStatus.Ok],
        HistoryKind.Cas when random.Next(2) == 0 => [CacheStatus.Exists, CacheStatus.NotFound],
        HistoryKind.Cas => [CacheStatus.Ok, CacheStatus.Exists, CacheStatus.NotFound],
        HistoryKind.Add or HistoryKind.Append => [CacheStatus.Ok, CacheStatus.NotStored],
        _ => [CacheStatus.Ok, CacheStatus.NotFound],
    };

    private static string ResultOf(HistoryOperation operation, string? value) => operation.Kind switch
    {
        HistoryKind.Get => value ?? "",
        HistoryKind.Increment when value is not null =>
            (ulong.Parse(value, CultureInfo.InvariantCulture) + operation.Delta).ToString(CultureInfo.InvariantCulture),
        _ => "",
    };

    /// <summary>Whether what is left of the history can follow where the key has this value.</summary>
    private static bool IsPossible(HistoryOperation[] history, string? value, bool[] isDone)
    {
        long firstEnd = long.MaxValue;
        bool isComplete = true;
        for (int i = 0; i < history.Length; i++)
        {
            if (isDone[i])
                continue;
            isComplete &= history[i].IsUnknown;
            firstEnd = Math.Min(firstEnd, history[i].Ended);
        }

        if (isComplete)
            return true;
        for (int i = 0; i < history.Length; i++)
        {
            // The next one is one that had begun before any other that is left had ended.
            if (isDone[i] || history[i].Invoked > firstEnd)
                continue;
            isDone[i] = true;
            if ((history[i].TryApply(value, out string? after) && IsPossible(history, after, isDone))
                || (history[i].IsUnknown && IsPossible(history, value, isDone)))
                return true;
            isDone[i] = false;
        }

        return false;
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
