namespace OrleansCache.Ownership;

/// <summary>
/// Which flush_all the cluster has got to. Numbers rise, across coordinators too, and a silo carries a flush out when it first hears of its number, once: so a
/// message that is late or repeated changes nothing.
/// </summary>
/// <param name="Number">The newest flush; 0 = there was none.</param>
/// <param name="Cut">The newest flush that has taken effect as far as the mark's maker knew: a silo that hears of it only now has nothing that is
/// younger.</param>
/// <param name="AtUnixSeconds">When the newest flush takes effect; 0 = it did at once. A newer flush replaces it.</param>
public readonly record struct FlushMark(long Number, long Cut, uint AtUnixSeconds)
{
    /// <summary>The mark after one more flush.</summary>
    public FlushMark Next(long number, uint atUnixSeconds, uint nowUnixSeconds)
    {
        if (atUnixSeconds == 0)
            return new FlushMark(number, number, 0);
        bool isDue = AtUnixSeconds != 0 && AtUnixSeconds <= nowUnixSeconds;
        return new FlushMark(number, isDue ? Number : Cut, atUnixSeconds);
    }

    /// <summary>
    /// Whether what has gone through the flushes up to this mark, and through none of the newer ones, is all gone after <paramref name="newer"/>.
    /// </summary>
    public bool IsCutBy(FlushMark newer) => newer.Cut > Number;

    internal void Write(MessageWriter writer)
    {
        writer.Int64(Number);
        writer.Int64(Cut);
        writer.Int32((int)AtUnixSeconds);
    }

    internal static FlushMark Read(ref WireReader reader) => new(reader.Int64(), reader.Int64(), (uint)reader.Int32());
}

/// <summary>What a coordinator says of flushes: its mark, how far the slowest silo has got, and who that is.</summary>
/// <param name="Mark">The newest flush.</param>
/// <param name="SettledNumber">Every silo has carried out the flushes up to this one.</param>
/// <param name="Awaited">A silo that has not carried out the newest one; none if all have.</param>
public readonly record struct FlushProgress(FlushMark Mark, long SettledNumber, SiloId Awaited);

/// <summary>
/// One flush_all as its sender sees it, whatever happens to its messages.
/// <para>
/// Algorithm: read the number of the newest flush; ask for the next one on condition that this number still is the newest; wait until every silo has reported
/// it. Where an answer is missing, ask the same again; where the condition has failed, go on from the newer number. Somebody else's flush that began after the
/// first reading, and is of the same kind, serves as well.
/// </para>
/// The condition is what makes repeating safe: a request that arrives after its repetition was carried out finds another number, so nothing is flushed after
/// the OK.
/// </summary>
public sealed class FlushAttempt(uint atUnixSeconds)
{
    private long _wanted;

    /// <summary>What to ask the coordinator for: a flush if this is the newest number; below 0 only what the newest is.</summary>
    public long ExpectedNumber { get; private set; } = -1;

    /// <summary>The flush has its number: what is left is to wait for the silos.</summary>
    public bool IsUnderWay => _wanted != 0;

    /// <summary>Takes the answer to the last question; true when every silo has flushed.</summary>
    public bool OnReport(long number, long cut, uint reportedAtUnixSeconds, long settledNumber)
    {
        // A coordinator that never heard of it: the one that did was lost, with every silo that it had told.
        if (number < _wanted)
            _wanted = 0;
        if (_wanted == 0)
        {
            bool isOurs = ExpectedNumber >= 0 && number > ExpectedNumber
                && (atUnixSeconds == 0 ? cut > ExpectedNumber : reportedAtUnixSeconds == atUnixSeconds);
            if (isOurs)
                _wanted = atUnixSeconds == 0 ? cut : number;
            else
                ExpectedNumber = number;
        }

        return _wanted != 0 && settledNumber >= _wanted;
    }
}
