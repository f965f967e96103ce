using System.Buffers.Binary;
using Microsoft.Extensions.Caching.Distributed;

namespace OrleansCache.Client.Entries;

/// <summary>
/// An entry's expiry, as <see cref="DistributedCacheEntryOptions"/> means it, in memcached's terms.
/// <para>
/// memcached expires by itself what has an absolute expiry. A sliding one is written into the client flags, so that whoever reads the entry knows by how much
/// to extend it; only an entry with both has bytes in front of its value:
/// </para>
/// <code>
/// client flags            value
/// 0                       the value                                   no expiry, or an absolute one
/// 0x5ddddddd              the value                                   sliding, d seconds
/// 0x6ddddddd              deadline (8 bytes, big endian), the value   sliding, d seconds, but not beyond the deadline: milliseconds since 1970
/// </code>
/// So a value without a sliding expiry is stored as it is, and any memcached client reads it. Flags of other clients, which are small numbers, mean no sliding
/// expiry.
/// </summary>
internal readonly struct EntryLifetime
{
    /// <summary>Bytes of the deadline in front of the value of an entry with both expiries.</summary>
    public const int DeadlineBytes = 8;

    /// <summary>8.5 years: longer sliding expiries are cut to it.</summary>
    private const uint SlidingSecondsMax = 0x0fff_ffff;

    private const uint KindMask = 0xf000_0000, Sliding = 0x5000_0000, SlidingWithDeadline = 0x6000_0000;

    private EntryLifetime(uint flags, long exptime, long deadlineMilliseconds)
    {
        ClientFlags = flags;
        Exptime = exptime;
        DeadlineMilliseconds = deadlineMilliseconds;
    }

    /// <summary>The client flags of the item.</summary>
    public uint ClientFlags { get; }

    /// <summary>memcached's expiry argument: 0 never, up to 30 days relative, else Unix seconds.</summary>
    public long Exptime { get; }

    /// <summary>Of an entry with both expiries: the deadline, milliseconds since 1970.</summary>
    public long DeadlineMilliseconds { get; }

    public bool HasDeadline => IsWithDeadline(ClientFlags);

    /// <summary>Already over when it was to be stored: the former entry goes, and nothing is stored.</summary>
    public bool IsOver => Exptime < 0;

    public static EntryLifetime Of(DistributedCacheEntryOptions options, DateTimeOffset now)
    {
        DateTimeOffset? deadline = options.AbsoluteExpirationRelativeToNow is { } relative
            ? (relative > DateTimeOffset.MaxValue - now ? DateTimeOffset.MaxValue : now + relative)
            : options.AbsoluteExpiration;
        if (deadline <= now)
            return new EntryLifetime(0, -1, 0);
        if (options.SlidingExpiration is not { } sliding)
            return new EntryLifetime(0, deadline is { } end ? ExptimeOf(end - now, now) : 0, 0);

        uint slidingSeconds = (uint)Math.Clamp(Math.Ceiling(sliding.TotalSeconds), 1, SlidingSecondsMax);
        if (deadline is not { } last)
            return new EntryLifetime(Sliding | slidingSeconds, ExptimeOf(TimeSpan.FromSeconds(slidingSeconds), now), 0);
        long milliseconds = last.ToUnixTimeMilliseconds();
        return new EntryLifetime(SlidingWithDeadline | slidingSeconds, ExptimeOf(Least(slidingSeconds, last - now), now), milliseconds);
    }

    /// <summary>Whether a read of an item with these flags extends its life.</summary>
    public static bool IsSliding(uint clientFlags) => (clientFlags & KindMask) is Sliding or SlidingWithDeadline;

    /// <summary>Whether a deadline stands in front of the value of an item with these flags.</summary>
    public static bool IsWithDeadline(uint clientFlags) => (clientFlags & KindMask) == SlidingWithDeadline;

    public static void WriteDeadline(Span<byte> destination, long milliseconds) => BinaryPrimitives.WriteInt64BigEndian(destination, milliseconds);

    public static long ReadDeadline(ReadOnlySpan<byte> value) => BinaryPrimitives.ReadInt64BigEndian(value);

    public static bool IsOverAt(long deadlineMilliseconds, DateTimeOffset now) => deadlineMilliseconds <= now.ToUnixTimeMilliseconds();

    /// <summary>
    /// The expiry argument by which a read now extends the life of a sliding entry; null if it would gain less than a second (the server counts in seconds), so
    /// that a key that is read a thousand times a second is extended once.
    /// </summary>
    /// <param name="clientFlags">Of a sliding entry.</param>
    /// <param name="deadlineMilliseconds">Its deadline, if it has one.</param>
    /// <param name="secondsToLive">What the server says that it has left; -1 never expires.</param>
    /// <param name="now">The time.</param>
    public static long? Extend(uint clientFlags, long deadlineMilliseconds, long secondsToLive, DateTimeOffset now)
    {
        uint slidingSeconds = clientFlags & ~KindMask;
        TimeSpan left = IsWithDeadline(clientFlags)
            ? Least(slidingSeconds, TimeSpan.FromMilliseconds(deadlineMilliseconds - now.ToUnixTimeMilliseconds()))
            : TimeSpan.FromSeconds(slidingSeconds);
        if (left <= TimeSpan.Zero || (secondsToLive >= 0 && Math.Ceiling(left.TotalSeconds) <= secondsToLive))
            return null;
        return ExptimeOf(left, now);
    }

    /// <summary>The expiry argument for an item that has so long to live, from now.</summary>
    public static long ExptimeOf(TimeSpan left, DateTimeOffset now)
    {
        double seconds = Math.Max(1, Math.Ceiling(left.TotalSeconds));
        if (seconds <= Expiry.RelativeSecondsMax)
            return (long)seconds;

        // memcached reads 32 bits with a sign: what expires after January 2038 does not expire.
        double at = now.ToUnixTimeSeconds() + seconds;
        return at > int.MaxValue ? 0 : (long)at;
    }

    private static TimeSpan Least(uint slidingSeconds, TimeSpan left) => left.TotalSeconds < slidingSeconds ? left : TimeSpan.FromSeconds(slidingSeconds);
}
