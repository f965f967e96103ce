namespace OrleansCache.Ownership;

/// <summary>
/// What an operator has said about moves, for the whole cluster. Travels as a <see cref="FlushMark"/> does: numbers rise, across coordinators too, every silo
/// remembers the newest, and a new coordinator goes on from the highest number. It is forgotten with the last silo that knows it.
/// </summary>
/// <param name="Number">0: nobody has said anything.</param>
/// <param name="IsPaused">Nothing moves for balance.</param>
/// <param name="LimitBytesPerSecond">What each silo may read per second for copies elsewhere; 0: no limit; null: as its --move-limit says.</param>
public readonly record struct MoveSettings(long Number, bool IsPaused, long? LimitBytesPerSecond)
{
    private const long NoLimitGiven = -1;

    internal void Write(MessageWriter writer)
    {
        writer.Int64(Number);
        writer.Byte(IsPaused ? (byte)1 : (byte)0);
        writer.Int64(LimitBytesPerSecond ?? NoLimitGiven);
    }

    internal static MoveSettings Read(ref WireReader reader)
    {
        long number = reader.Int64();
        bool isPaused = reader.Byte() != 0;
        long limit = reader.Int64();
        return new MoveSettings(number, isPaused, limit < 0 ? null : limit);
    }
}
