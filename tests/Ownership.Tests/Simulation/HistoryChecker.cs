using System.Globalization;

namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>
/// Judges the history of one key: whether every operation can have taken effect at one point between its call and its answer, so that all answers are those of
/// one item (linearizability). Those with unknown outcome have taken effect at one point, or not at all.
/// <para>
/// Algorithm (Wing and Gong, in Lowe's just-in-time order): goes through calls and answers in their order and keeps all configurations that are possible so
/// far, a value and which of the open operations have taken effect already. An answer leaves those in which its operation has; where it has not, it does now,
/// and others that are open perhaps before it. Nothing left: a violation. Equal configurations are kept once.
/// </para>
/// <para>
/// A crash leaves twenty and more operations of a key with unknown outcome at once, in any order and selection. Three things that change no judgement keep
/// the configurations few. A value that no answer of the history can show, nor one that can still become of it, is <see cref="Unseen"/>: what matters of it
/// is that it is there. Of open operations that do the same, the one whose time ends first goes first (any order in which it goes later, or never, is possible
/// with the two exchanged). And of two configurations with one value, that one is enough in which fewer operations with unknown outcome have taken effect:
/// they need not, so that all that is possible in the other is possible in this one.
/// </para>
/// Bounded: with more than <see cref="ConfigurationsMax"/> configurations it gives up, without a judgement.
/// </summary>
internal sealed class HistoryChecker
{
    public const int ConfigurationsMax = 20_000;

    /// <summary>Open operations have a bit each.</summary>
    private const int OpenMax = 64;

    /// <summary>Any value of which no answer tells.</summary>
    private const string Unseen = "(unseen)";

    /// <summary>What answers have shown, and all that it begins with.</summary>
    private readonly HashSet<string> _seenTexts = [];
    private readonly List<ulong> _seenNumbers = [];
    private readonly Dictionary<string, bool> _canBeSeen = [];
    private readonly Dictionary<string, bool> _canBeSeenAppended = [];
    private readonly ulong _incrementedAtMost;
    private readonly HistoryOperation?[] _open = new HistoryOperation?[OpenMax];
    private readonly Queue<(string? Value, ulong Done)> _work = new();
    private readonly Configurations _reached = new();
    private Configurations _now = new();
    private Configurations _next = new();

    /// <summary>The open operations with unknown outcome.</summary>
    private ulong _unknown;

    private HistoryChecker(HistoryOperation[] judged)
    {
        foreach (HistoryOperation operation in judged)
        {
            if (operation.Kind == HistoryKind.Increment)
                _incrementedAtMost += operation.Delta;
            foreach (string seen in (ReadOnlySpan<string>)[operation.Result, operation.Token])
            {
                if (ulong.TryParse(seen, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number))
                    _seenNumbers.Add(number);
                for (int length = 0; length <= seen.Length; length++)
                    _seenTexts.Add(seen[..length]);
            }
        }

        _now.Add(null, 0, unknown: 0);
    }

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
        var checker = new HistoryChecker(judged);
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
                    + string.Join("\n  ", checker._next.All.Take(8).Select(static possible => $"'{possible.Value ?? "(absent)"}' {possible.Done:X}"));
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
        _unknown |= operation.IsUnknown ? 1UL << slot : 0;
        return true;
    }

    private bool End(HistoryOperation operation)
    {
        int slot = Array.IndexOf(_open, operation);
        ulong bit = 1UL << slot;
        _next.Clear();
        foreach ((string? value, ulong done) in _now.All)
        {
            bool hasTakenEffect = (done & bit) != 0;
            if (hasTakenEffect || operation.IsUnknown)
                _next.Add(value, done & ~bit, _unknown);
            if (!hasTakenEffect && !TakeEffect(value, done, slot))
                return false;
        }

        _open[slot] = null;
        _unknown &= ~bit;
        (_now, _next) = (_next, _now);
        return true;
    }

    /// <summary>From this configuration, all in which that operation has just taken effect, after any others; those with the fewest first.</summary>
    private bool TakeEffect(string? value, ulong done, int last)
    {
        _reached.Clear();
        _reached.Add(value, done, _unknown);
        _work.Enqueue((value, done));
        while (_work.TryDequeue(out (string? Value, ulong Done) from))
        {
            for (int slot = 0; slot < OpenMax; slot++)
            {
                if ((from.Done >> slot & 1) != 0 || _open[slot] is not { } operation || !TryApply(operation, from.Value, out string? after)
                    || (slot != last && IsAnotherFirst(slot, from.Done)))
                    continue;
                ulong then = from.Done | 1UL << slot;
                if (slot == last)
                    _next.Add(after, from.Done, _unknown);
                else if (_reached.Add(after, then, _unknown))
                    _work.Enqueue((after, then));
            }

            if (_reached.Count > ConfigurationsMax)
            {
                _work.Clear();
                return false;
            }
        }

        return true;
    }

    private bool TryApply(HistoryOperation operation, string? before, out string? after)
    {
        if (ReferenceEquals(before, Unseen) && operation.Kind == HistoryKind.Increment)
        {
            after = Unseen;
            return operation.IsUnknown;
        }

        bool mayBe = operation.TryApply(before, out after);
        if (after is not null && !CanBeSeen(after))
            after = Unseen;
        return mayBe;
    }

    /// <summary>Whether an answer of the history can show this value, or one that becomes of it: appends and increments only add.</summary>
    private bool CanBeSeen(string value)
    {
        if (ReferenceEquals(value, Unseen))
            return false;
        if (!_canBeSeen.TryGetValue(value, out bool can))
        {
            can = _seenTexts.Contains(value)
                || (ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
                    && _seenNumbers.Any(seen => unchecked(seen - number) <= _incrementedAtMost));
            _canBeSeen.Add(value, can);
        }

        return can;
    }

    /// <summary>Whether another open operation that does the same, whatever the value, has to take effect before this one.</summary>
    private bool IsAnotherFirst(int slot, ulong done)
    {
        HistoryOperation operation = _open[slot]!;
        if (!operation.IsUnknown && operation.Kind != HistoryKind.Vanish)
            return false;
        for (int other = 0; other < OpenMax; other++)
        {
            if (other != slot && (done >> other & 1) == 0 && _open[other] is { } another && another.Kind == operation.Kind && another.Status == operation.Status
                && (another.Ended, other).CompareTo((operation.Ended, slot)) < 0 && DoTheSame(operation, another))
                return true;
        }

        return false;
    }

    private bool DoTheSame(HistoryOperation one, HistoryOperation other) =>
        one.Kind switch
        {
            HistoryKind.Delete or HistoryKind.Vanish => true,
            HistoryKind.Set or HistoryKind.Add => !CanBeSeen(one.Value) && !CanBeSeen(other.Value),
            HistoryKind.Cas => one.Token == other.Token && !CanBeSeen(one.Value) && !CanBeSeen(other.Value),
            HistoryKind.Increment => one.Delta == other.Delta,
            HistoryKind.Append => !CanBeSeenAppended(one.Value) && !CanBeSeenAppended(other.Value),
            _ => false,
        };

    private bool CanBeSeenAppended(string value)
    {
        if (!_canBeSeenAppended.TryGetValue(value, out bool can))
        {
            can = _seenTexts.Any(seen => seen.EndsWith(value, StringComparison.Ordinal));
            _canBeSeenAppended.Add(value, can);
        }

        return can;
    }

    /// <summary>Configurations of which none makes another needless.</summary>
    private sealed class Configurations
    {
        // A dictionary has no null.
        private readonly Dictionary<string, List<ulong>> _doneOf = [];
        private readonly List<ulong> _doneOfAbsent = [];

        public int Count { get; private set; }

        public IEnumerable<(string? Value, ulong Done)> All =>
            _doneOfAbsent.Select(static done => ((string?)null, done))
                .Concat(_doneOf.SelectMany(static pair => pair.Value.Select(done => ((string?)pair.Key, done))));

        public void Clear()
        {
            _doneOf.Clear();
            _doneOfAbsent.Clear();
            Count = 0;
        }

        /// <summary>False if another one makes it needless.</summary>
        public bool Add(string? value, ulong done, ulong unknown)
        {
            List<ulong>? all = _doneOfAbsent;
            if (value is not null && !_doneOf.TryGetValue(value, out all))
                _doneOf.Add(value, all = []);
            foreach (ulong other in all)
            {
                if (IsEnough(other, done))
                    return false;
            }

            Count += 1 - all.RemoveAll(other => IsEnough(done, other));
            all.Add(done);
            return true;

            bool IsEnough(ulong one, ulong another) => (one & ~another) == 0 && (another & ~one & ~unknown) == 0;
        }
    }
}
