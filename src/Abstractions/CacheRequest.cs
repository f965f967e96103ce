namespace OrleansCache;

/// <summary>
/// The canonical request: every command of every protocol becomes one of these per key.
/// A ref struct: <see cref="Key"/> and <see cref="Value"/> point into the connection's input and are valid only during the call that receives it.
/// Code that keeps a request longer (a batch for another silo) copies it.
/// </summary>
public ref struct CacheRequest
{
    public CacheOperation Operation;
    public RequestFlags Flags;

    /// <summary>The client's 32 opaque bits.</summary>
    public uint ClientFlags;

    /// <summary>Hash of <see cref="Key"/> by <see cref="RouterChannel.Hasher"/>. Always set where the request is built.</summary>
    public ulong KeyHash;

    /// <summary>1 to <see cref="Limits.KeyBytesMax"/> bytes.</summary>
    public ReadOnlySpan<byte> Key;

    /// <summary>The data block without its CRLF.</summary>
    public ReadOnlySpan<byte> Value;

    /// <summary>Expiry of what is stored or touched, as made by <see cref="Expiry.Resolve"/>: Unix seconds, 0 = never.</summary>
    public uint ExpiresAt;

    /// <summary>With <see cref="RequestFlags.CreateOnMiss"/>: expiry of the created item, as <see cref="ExpiresAt"/>.</summary>
    public uint CreateExpiresAt;

    /// <summary>
    /// With <see cref="RequestFlags.Recache"/>: an item that expires before this, as made by <see cref="Expiry.Resolve"/>, hands out a win token.
    /// </summary>
    public uint RecacheBefore;

    /// <summary>The client's connection in the lines of those who watch (memcached's cfd). Stays in this process: 0 for the request of another silo.</summary>
    public int Connection;

    public ulong CompareCas;
    public ulong NewCas;
    public ulong Delta;
    public ulong InitialValue;
}

/// <summary>
/// The canonical reply to one <see cref="CacheRequest"/>. Handed to a <see cref="ReplySink"/>, on the local path under the partition's lock:
/// read it, copy or pin the value, and return. Nothing in it is valid after the sink returns.
/// </summary>
public ref struct CacheReply
{
    public CacheStatus Status;
    public ItemFlags ItemFlags;

    /// <summary>Of a read: the number of the item's slab class, from 1.</summary>
    public byte SlabClass;
    public uint ClientFlags;

    /// <summary>Unix seconds, 0 = never.</summary>
    public uint ExpiresAt;

    /// <summary>Unix seconds of the access before this one.</summary>
    public uint LastAccess;

    /// <summary>The item's CAS after the request (for a miss 0).</summary>
    public ulong Cas;

    /// <summary>The counter's new value after Increment or Decrement.</summary>
    public ulong Number;

    /// <summary>
    /// The value, if <see cref="RequestFlags.ReturnValue"/> asked for it and the status is Ok. Its Length is right even when the bytes were not asked for.
    /// </summary>
    public ValueView Value;

    /// <summary>With <see cref="CacheStatus.Unavailable"/>: what goes behind SERVER_ERROR, without control characters.</summary>
    public string? Reason;
}

/// <summary>
/// Receives the reply to one request. Called exactly once per request: on the local path synchronously under the partition's lock,
/// for another silo's partition later, on the channel's own loop. Implementations copy what they need, never block, never throw, never call the router.
/// </summary>
public abstract class ReplySink
{
    public abstract void OnReply(in CacheReply reply);
}
