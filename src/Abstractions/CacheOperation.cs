namespace OrleansCache;

/// <summary>What a request asks a partition to do. Values travel between silos: never renumber, only append.</summary>
public enum CacheOperation : byte
{
    None = 0,
    /// <summary>Read; with <see cref="RequestFlags.Touch"/> also sets a new expiry (gat, mg T).</summary>
    Get = 1,
    /// <summary>Sets a new expiry and returns no value.</summary>
    Touch = 2,
    /// <summary>Stores always (with <see cref="RequestFlags.CompareCas"/>: only if the CAS matches; a miss is NotFound).</summary>
    Set = 3,
    /// <summary>Stores only if the key is absent.</summary>
    Add = 4,
    /// <summary>Stores only if the key is present.</summary>
    Replace = 5,
    /// <summary>Adds bytes behind the present value; keeps its flags and expiry.</summary>
    Append = 6,
    /// <summary>Adds bytes before the present value; keeps its flags and expiry.</summary>
    Prepend = 7,
    Delete = 8,
    /// <summary>Adds <see cref="CacheRequest.Delta"/>, wrapping at 2^64.</summary>
    Increment = 9,
    /// <summary>Subtracts <see cref="CacheRequest.Delta"/>, stopping at 0; a shorter result is padded with spaces to the old length.</summary>
    Decrement = 10,
}

/// <summary>Modifiers of a request. They travel between silos: never renumber, only append.</summary>
[Flags]
public enum RequestFlags : ushort
{
    None = 0,
    /// <summary>Apply only if the item's CAS equals <see cref="CacheRequest.CompareCas"/>.</summary>
    CompareCas = 1 << 0,
    /// <summary>Give the stored item the CAS <see cref="CacheRequest.NewCas"/> (meta flag E).</summary>
    ExplicitCas = 1 << 1,
    /// <summary>Set the expiry to <see cref="CacheRequest.ExpiresAt"/> on a hit.</summary>
    Touch = 1 << 2,
    /// <summary>The reply carries the value's bytes.</summary>
    ReturnValue = 1 << 3,
    /// <summary>Create on a miss: for Get an empty item with a win token (mg N), for Increment and Decrement a counter of
    /// <see cref="CacheRequest.InitialValue"/>; both expire at <see cref="CacheRequest.CreateExpiresAt"/>. For Append and Prepend: store.</summary>
    CreateOnMiss = 1 << 4,
    /// <summary>Meta I: Delete marks the item stale instead; Set accepts an older CAS and marks the new item stale.</summary>
    Invalidate = 1 << 5,
    /// <summary>Meta R: hand out a win token if the item expires before <see cref="CacheRequest.RecacheBefore"/>.</summary>
    Recache = 1 << 6,
    /// <summary>Meta md x: drop the value and the client flags, keep the item.</summary>
    DropValue = 1 << 7,
    /// <summary>The read leaves no trace (no LRU move, no fetched mark): mg u; without <see cref="TakeToken"/> it is not counted as a get either: me.</summary>
    Peek = 1 << 8,
    /// <summary>With <see cref="Touch"/>: the reply's expiry is the one before it (meta t before T).</summary>
    FormerExpiry = 1 << 9,
    /// <summary>The read may win the token of a stale item (every mg; a plain get sees stale items without taking part).</summary>
    TakeToken = 1 << 10,
    /// <summary>A meta command asks: the lines of those who watch name it so.</summary>
    MetaCommand = 1 << 11,
    /// <summary>Delete: a store was refused and takes what it was to replace with it; that counts as no deletion.</summary>
    RefusedStore = 1 << 12,
    /// <summary>With <see cref="Touch"/> and <see cref="Recache"/>: the latter looks at the expiry before the former (meta R before T).</summary>
    RecacheBeforeTouch = 1 << 13,
    /// <summary>Meta ms b: the key came in base64; the item remembers it for those who show its key.</summary>
    BinaryKey = 1 << 14,
}

/// <summary>How a request ended. Values travel between silos: never renumber, only append.</summary>
public enum CacheStatus : byte
{
    None = 0,
    /// <summary>Done: HIT for reads, STORED, DELETED, TOUCHED, or the counter's value in <see cref="CacheReply.Number"/>.</summary>
    Ok = 1,
    /// <summary>The key is absent (or expired, or flushed).</summary>
    NotFound = 2,
    /// <summary>Add on a present key; replace, append or prepend on an absent one.</summary>
    NotStored = 3,
    /// <summary>The CAS did not match.</summary>
    Exists = 4,
    /// <summary>Increment or decrement of a value that is not a decimal number of at most 20 digits.</summary>
    NotNumeric = 5,
    /// <summary>The item does not fit under the item size limit. A value stored before under this key is gone.</summary>
    TooLarge = 6,
    /// <summary>No memory could be freed for the item. A value stored before under this key is gone.</summary>
    OutOfMemory = 7,
    /// <summary>The owner could not be reached in time; whether a write took effect is unknown. See <see cref="CacheReply.Reason"/>.</summary>
    Unavailable = 8,
}

/// <summary>Marks of an item that a reply shows. They travel between silos: never renumber, only append.</summary>
[Flags]
public enum ItemFlags : byte
{
    None = 0,
    /// <summary>Invalidated by md I (meta return flag X).</summary>
    Stale = 1 << 0,
    /// <summary>This request won the right to recache (W).</summary>
    Won = 1 << 1,
    /// <summary>Another request won before (Z).</summary>
    AlreadyWon = 1 << 2,
    /// <summary>The item was read before this request (h).</summary>
    Fetched = 1 << 3,
    /// <summary>The request created the item (vivify or auto-create).</summary>
    Created = 1 << 4,
    /// <summary>The item was stored with <see cref="RequestFlags.BinaryKey"/>.</summary>
    BinaryKey = 1 << 5,
}
