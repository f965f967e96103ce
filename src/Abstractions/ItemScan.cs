namespace OrleansCache;

/// <summary>What a scan tells of one item: all but its value.</summary>
/// <param name="Key">A copy.</param>
/// <param name="ExpiresAt">Unix seconds, 0 = never.</param>
/// <param name="LastAccess">Unix seconds.</param>
/// <param name="Cas">As gets would show it.</param>
/// <param name="IsFetched">It was read since it was stored.</param>
/// <param name="ClassId">Its slab class in its own silo, from 1.</param>
/// <param name="Bytes">Key, value and header, as `stats` counts bytes.</param>
/// <param name="ClientFlags">The client's opaque bits.</param>
/// <param name="IsBinaryKey">It was stored with its key in base64.</param>
public readonly record struct ItemRecord(
    byte[] Key, uint ExpiresAt, uint LastAccess, ulong Cas, bool IsFetched, int ClassId, int Bytes, uint ClientFlags, bool IsBinaryKey = false);

/// <summary>A part of a scan over one partition.</summary>
/// <param name="Items">At most about <see cref="Limits.ScanItemsPerPage"/>; may be none although more follow.</param>
/// <param name="NextPosition">Where the next part begins.</param>
/// <param name="IsLast">Nothing follows.</param>
public sealed record ItemScanPage(IReadOnlyList<ItemRecord> Items, ulong NextPosition, bool IsLast);
