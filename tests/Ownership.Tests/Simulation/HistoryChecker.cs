namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>
/// Judges the history of one key: whether every operation can have taken effect at one point between its call and its answer, so that all answers are those of
/// one item (linearizability). Those with unknown outcome have taken effect at one point, or not at all.
/// <para>
/// Algorithm (Wing and Gong, in Lowe's just-in-time order): goes through calls and answers in their order and keeps all configurations that are possible so
/// far, a value and which of the open operations have taken effect already. An answer leaves those in which its operation has; where it has not, it does now,
/// and others that are open perhaps before it. Nothing left: a violation. Equal configurations are kept once.
/// </para>
/// Bounded: with more than <see cref="ConfigurationsMax"/> configurations it gives up, without a judgement.
/// </summary>
internal sealed class HistoryChecker
{
    public const int ConfigurationsMax = 20_000;

    /// <summary>Open operations have a bit each.</summary>
    private const int OpenMax = 64;

    private readonly HistoryOperation?[] _open = new HistoryOperation?[OpenMax];
    private readonly HashSet<(string? Value, ulong Done)> _seen = [];
    private readonly Stack<(string? Value, ulong Done)> _work = new();
    private HashSet<(string? Value, ulong Done)> _now = [(null, 0)];
    private HashSet<(string? Value, ulong Done)> _next = [];

    /// <summary>Null if the history is one of an item; otherwise what is wrong. <paramref name="isJudged"/>: false if the checker gave up.</summary>
    public static string? Check(IReadOnlyCollection<HistoryOperation> operations, out bool isJudged)
    {
        // What changes no value and has no answer says nothing.
        HistoryOperation[] judged =
            [.. operations.Where(static operation => !operation.IsUnknown || operation.Kind is not (HistoryKind.Get or HistoryKind.Touch))];
        (long At, HistoryOperation Operation, bool IsEnd)[] events =
        [
            .. judged.Select(static operation => (operation.Invoked, operation, false))
                .Concat(judged.Where(static operation => operation.Ended != long.MaxValue).Select(static operation => (operation.Ended, operation, true)))
                .OrderBy(static happened => happened.Item1).ThenBy(static happened => happened.Item3),
        ];
        var checker = new HistoryChecker();
        isJudged = true;
        for (int i = 0; i < events.Length; i++)
        {
            (long at, HistoryOperation operation, bool isEnd) = events[i];
            bool fits = isEnd ? checker.End(operation) : checker.Begin(operation);
            if (!fits || checker._now.Count > ConfigurationsMax)
            {
                isJudged = false;
                return null;
            }

            if (checker._now.Count == 0)
            {
                IEnumerable<HistoryOperation> around = judged.Where(other => other.Ended >= at - 120_000_000 && other.Invoked <= at + 10_000_000)
                    .OrderBy(static other => other.Invoked).TakeLast(60);
                return $"{operation} cannot have had this outcome after\n  {string.Join("\n  ", around)}\nwith before it one of\n  "
                    + string.Join("\n  ", checker._next.Take(8).Select(static possible => $"'{possible.Value ?? "(absent)"}' {possible.Done:X}"));
            }
        }

        return null;
    }

    private bool Begin(HistoryOperation operation)
    {
        int slot = Array.IndexOf(_open, null);
        if (slot < 0)
            return false;
        _open[slot] = operation;
        return true;
    }

    private bool End(HistoryOperation operation)
    {
        int slot = Array.IndexOf(_open, operation);
        ulong bit = 1UL << slot;
        _next.Clear();
        foreach ((string? value, ulong done) in _now)
        {
            bool hasTakenEffect = (done & bit) != 0;
            if (hasTakenEffect || operation.IsUnknown)
                _next.Add((value, done & ~bit));
            if (!hasTakenEffect && !TakeEffect((value, done), slot))
                return false;
        }

        _open[slot] = null;
        (_now, _next) = (_next, _now);
        return true;
    }

    /// <summary>From this configuration, all in which that operation has just taken effect, after any others.</summary>
    private bool TakeEffect((string? Value, ulong Done) start, int last)
    {
        _seen.Clear();
        _seen.Add(start);
        _work.Push(start);
        while (_work.TryPop(out (string? Value, ulong Done) from))
        {
            for (int slot = 0; slot < OpenMax; slot++)
            {
                if ((from.Done >> slot & 1) != 0 || _open[slot] is not { } operation || !operation.TryApply(from.Value, out string? after))
                    continue;
                if (slot == last)
                    _next.Add((after, from.Done));
                else if (_seen.Add((after, from.Done | 1UL << slot)))
                    _work.Push((after, from.Done | 1UL << slot));
            }

            if (_seen.Count > ConfigurationsMax)
            {
                _work.Clear();
                return false;
            }
        }

        return true;
    }
}
