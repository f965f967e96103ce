namespace OrleansCache;

/// <summary>memcached's reading of an expiry argument.</summary>
public static class Expiry
{
    /// <summary>Up to this many seconds (30 days) an expiry is relative, above it is Unix time.</summary>
    public const int RelativeSecondsMax = 60 * 60 * 24 * 30;

    /// <summary>Never expires.</summary>
    public const uint Never = 0;

    /// <summary>Lies in the past for every clock: the item is stored and gone at once.</summary>
    public const uint Immediately = 1;

    /// <summary>Turns the client's number into Unix seconds: 0 never, negative at once, up to 30 days relative to now, else absolute.</summary>
    public static uint Resolve(long argument, uint nowUnixSeconds) => argument switch
    {
        0 => Never,
        < 0 => Immediately,
        <= RelativeSecondsMax => nowUnixSeconds + (uint)argument,
        > uint.MaxValue => uint.MaxValue,
        _ => (uint)argument,
    };

    /// <summary>Whether an item with this expiry is gone at this time.</summary>
    public static bool IsExpired(uint expiresAt, uint nowUnixSeconds) => expiresAt != Never && expiresAt <= nowUnixSeconds;
}
