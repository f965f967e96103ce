using System.Buffers.Binary;

namespace OrleansCache.Membership.Tests.Simulation;

/// <summary>Thrown by the checks of the simulation: the register is not linearizable.</summary>
internal class ViolationException(string message) : Exception(message);

/// <summary>Thrown when the register does not come back though it could.</summary>
internal sealed class StandstillException(string message) : ViolationException(message);

/// <summary>An operation of a client, as the history knows it.</summary>
internal sealed class Operation
{
    public required long Id { get; init; }

    public required IntentKind Kind { get; init; }

    public required long Expected { get; init; }

    /// <summary>The newest version that anybody had been told when this began.</summary>
    public required long Floor { get; init; }

    /// <summary>What a write stores: its id and the version that it expects.</summary>
    public byte[] Content()
    {
        byte[] content = new byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(content, Id);
        BinaryPrimitives.WriteInt64LittleEndian(content.AsSpan(8), Expected);
        return content;
    }
}

/// <summary>
/// Checks what clients are told for linearizability. Versions make it easy: every version has one value, a version that was told is never followed in real
/// time by an older one, a change takes effect just above the version that it expected, once or not at all, and what was said to have failed is seen by
/// nobody.
/// </summary>
internal sealed class RegisterHistory
{
    private readonly SortedDictionary<long, (long Op, long Expected, string Sets)> _seen = [];
    private readonly Dictionary<long, long> _written = [];
    private readonly HashSet<long> _failed = [];
    private readonly HashSet<long> _contentWriters = [];
    private long _ids;

    /// <summary>The newest version that a client was told.</summary>
    public long Told { get; private set; } = -1;

    public int Done { get; private set; }

    public int Conflicts { get; private set; }

    public int Unavailable { get; private set; }

    public int SeedChanges { get; private set; }

    public Operation Begin(IntentKind kind, long expected = 0) => new() { Id = ++_ids, Kind = kind, Expected = expected, Floor = Told };

    public void End(Operation operation, RegisterOutcome outcome)
    {
        switch (outcome.Kind)
        {
            case OutcomeKind.Done:
                Done++;
                See(operation, outcome.Value!);
                if (operation.Kind == IntentKind.Read)
                    break;
                Check(operation.Expected >= operation.Floor, $"op {operation.Id} wrote version {operation.Expected + 1} after {operation.Floor} had been told");
                Check(_written.TryAdd(operation.Expected + 1, operation.Id), $"ops {_written.GetValueOrDefault(operation.Expected + 1)} and {operation.Id} both"
                    + $" wrote version {operation.Expected + 1}");
                if (operation.Kind == IntentKind.ChangeSeeds)
                    SeedChanges++;
                break;
            case OutcomeKind.Conflict:
                Conflicts++;
                See(operation, outcome.Value!);
                Check(outcome.Value!.Version != operation.Expected, $"op {operation.Id} was told of a conflict with the version that it expects");
                _failed.Add(operation.Id);
                break;
            case OutcomeKind.Invalid:
                See(operation, outcome.Value!);
                _failed.Add(operation.Id);
                break;
            default:
                Unavailable++;
                if (!outcome.Unknown)
                    _failed.Add(operation.Id);
                break;
        }
    }

    /// <summary>What can be said only when all is over.</summary>
    public void CheckAll()
    {
        foreach ((long version, (long op, long expected, _)) in _seen)
        {
            Check(!_failed.Contains(op), $"version {version} shows op {op}, which had failed");
            Check(version > expected, $"op {op} expected version {expected} and is seen at {version}");
            foreach ((long other, (long otherOp, _, _)) in _seen)
            {
                Check(other <= expected || other > version || otherOp == op,
                    $"op {op} expected {expected}, is seen at {version}, and lost op {otherOp} at {other}");
            }

            Check(!_written.TryGetValue(version, out long writer) || writer == op || !_contentWriters.Contains(writer),
                $"version {version} was written by op {writer}, but shows {op}");
        }
    }

    private void See(Operation operation, RegisterValue value)
    {
        if (operation.Kind == IntentKind.Write)
            _contentWriters.Add(operation.Id);
        Check(value.Version >= operation.Floor, $"op {operation.Id} was told of version {value.Version} after {operation.Floor} had been told");
        (long Op, long Expected, string Sets) seen = value.Content.IsEmpty ? (0, -1, Sets(value))
            : (BinaryPrimitives.ReadInt64LittleEndian(value.Content.Span), BinaryPrimitives.ReadInt64LittleEndian(value.Content.Span[8..]), Sets(value));
        if (_seen.TryGetValue(value.Version, out (long Op, long Expected, string Sets) other))
            Check(other == seen, $"version {value.Version} is {other} and {seen}");
        else
            _seen.Add(value.Version, seen);
        Told = Math.Max(Told, value.Version);
    }

    private static string Sets(RegisterValue value) => $"[{value.Seeds}]{(value.Former is null ? "" : $" from [{value.Former}]")}";

    private static void Check(bool holds, string otherwise)
    {
        if (!holds)
            throw new ViolationException(otherwise);
    }
}

/// <summary>Sees what clients cannot: which seed has accepted what, so which values are decided, told or not.</summary>
internal sealed class DecisionWitness
{
    private readonly Dictionary<Ballot, (RegisterValue Value, HashSet<Guid> Seeds)> _accepted = [];
    private readonly Dictionary<long, (ulong Write, Ballot Ballot)> _byVersion = [];
    private readonly SortedDictionary<Ballot, long> _decided = [];

    public RegisterValue? Newest { get; private set; }

    public Ballot NewestBallot { get; private set; }

    public int Decided => _byVersion.Count;

    public void Accepted(Guid seed, Ballot ballot, RegisterValue value)
    {
        if (!_accepted.TryGetValue(ballot, out (RegisterValue Value, HashSet<Guid> Seeds) entry))
            _accepted.Add(ballot, entry = (value, []));
        if (entry.Value.Version != value.Version || entry.Value.Recent[0] != value.Recent[0])
            throw new ViolationException($"ballot {ballot} is {entry.Value} and {value}");
        entry.Seeds.Add(seed);
        if (_decided.ContainsKey(ballot))
            return;
        foreach (SeedSet set in value.Sets)
        {
            if (set.Count(member => entry.Seeds.Contains(member.Identity)) < set.Majority)
                return;
        }

        Decide(ballot, value);
    }

    private void Decide(Ballot ballot, RegisterValue value)
    {
        foreach ((Ballot other, long version) in _decided)
        {
            if (other < ballot ? version > value.Version : version < value.Version)
                throw new ViolationException($"version {value.Version} is decided in ballot {ballot}, and version {version} in ballot {other}");
        }

        if (_byVersion.TryGetValue(value.Version, out (ulong Write, Ballot Ballot) same) && same.Write != value.Recent[0])
            throw new ViolationException($"version {value.Version} is decided twice, in ballots {same.Ballot} and {ballot}");
        _byVersion.TryAdd(value.Version, (value.Recent[0], ballot));
        _decided.Add(ballot, value.Version);
        if (ballot > NewestBallot)
            (Newest, NewestBallot) = (value, ballot);
    }
}
