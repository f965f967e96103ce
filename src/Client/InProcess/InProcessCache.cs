using System.Buffers;
using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.Entries;

namespace OrleansCache.Client.InProcess;

/// <summary>
/// The distributed cache of a process that has the partitions' router itself: a silo, or an Orleans client. No socket and no protocol: an entry whose partition
/// is in this process is read and stored at once, on the caller's thread; all others go with the batches to their silos. The entries are the same that
/// <see cref="OrleansCacheClient"/> reads and writes.
/// <para>
/// The router answers every request within its own time-out. A cancelled call ends at once; what was asked may still take effect.
/// </para>
/// </summary>
public sealed class InProcessCache : IBufferDistributedCache
{
    private const int RepairsMax = 3;

    private readonly TimeProvider _time;
    private readonly CacheKey _keys;
    private readonly RouterLane[] _lanes;

    /// <param name="router">The way to the partitions.</param>
    /// <param name="keyPrefix">As <see cref="OrleansCacheOptions.KeyPrefix"/>.</param>
    /// <param name="time">The clock; null: the system's.</param>
    public InProcessCache(IPartitionRouter router, string keyPrefix = "", TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(router);
        ArgumentNullException.ThrowIfNull(keyPrefix);
        if (!CacheKey.IsValidPrefix(keyPrefix))
            throw new ArgumentException($"A prefix may have {CacheKey.PrefixBytesMax} bytes, without spaces and control characters.", nameof(keyPrefix));
        _time = time ?? TimeProvider.System;
        _keys = new CacheKey(keyPrefix);
        _lanes = [.. Enumerable.Range(0, Environment.ProcessorCount).Select(_ => new RouterLane(router))];
    }

    public byte[]? Get(string key) => GetAsync(key).GetAwaiter().GetResult();

    public Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        RouterOperation operation = Begin(CacheOperation.Get, key, token, ValueUse.Array);
        ValueTask<byte[]?> result = operation.AsValue();
        Ask(operation, default, default);
        return result.AsTask();
    }

    public bool TryGet(string key, IBufferWriter<byte> destination) => TryGetAsync(key, destination).AsTask().GetAwaiter().GetResult();

    public ValueTask<bool> TryGetAsync(string key, IBufferWriter<byte> destination, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        RouterOperation operation = Begin(CacheOperation.Get, key, token, ValueUse.Writer, destination);
        ValueTask<bool> result = operation.AsFound();
        Ask(operation, default, default);
        return result;
    }

    public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => SetAsync(key, value, options).GetAwaiter().GetResult();

    public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(value);
        return SetAsync(key, new ReadOnlySequence<byte>(value), options, token).AsTask();
    }

    public void Set(string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options) =>
        SetAsync(key, value, options).AsTask().GetAwaiter().GetResult();

    public ValueTask SetAsync(string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(options);
        if (value.Length > Limits.ItemBytesMax)
            return ValueTask.FromException(TooLarge(value.Length));
        EntryLifetime lifetime = EntryLifetime.Of(options, _time.GetUtcNow());
        RouterOperation operation = Begin(lifetime.IsOver ? CacheOperation.Delete : CacheOperation.Set, key, token);
        ValueTask result = operation.AsValueTask();
        if (lifetime.IsOver)
            Ask(operation, default, default);
        else if (value.IsSingleSegment && !lifetime.HasDeadline)
            Ask(operation, value.FirstSpan, lifetime);
        else
            AskWithCopy(operation, value, lifetime);
        return result;
    }

    public void Refresh(string key) => RefreshAsync(key).GetAwaiter().GetResult();

    public Task RefreshAsync(string key, CancellationToken token = default)
    {
        RouterOperation operation = Begin(CacheOperation.Get, key, token);
        operation.IsRefresh = true;
        ValueTask result = operation.AsValueTask();
        Ask(operation, default, default);
        return result.AsTask();
    }

    public void Remove(string key) => RemoveAsync(key).GetAwaiter().GetResult();

    public Task RemoveAsync(string key, CancellationToken token = default)
    {
        RouterOperation operation = Begin(CacheOperation.Delete, key, token);
        ValueTask result = operation.AsValueTask();
        Ask(operation, default, default);
        return result.AsTask();
    }

    private RouterOperation Begin(CacheOperation kind, string key, CancellationToken token, ValueUse valueUse = ValueUse.None,
        IBufferWriter<byte>? writer = null)
    {
        ArgumentNullException.ThrowIfNull(key);
        token.ThrowIfCancellationRequested();
        RouterOperation operation = RouterOperation.Rent(this, kind, valueUse, writer);
        operation.SetKey(_keys, key);

        // The router's own reference, until its reply has been judged.
        operation.AddReference();
        operation.Watch(token);
        return operation;
    }

    private void AskWithCopy(RouterOperation operation, ReadOnlySequence<byte> value, in EntryLifetime lifetime)
    {
        int deadlineBytes = lifetime.HasDeadline ? EntryLifetime.DeadlineBytes : 0;
        int length = (int)value.Length + deadlineBytes;
        byte[] bytes = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            if (deadlineBytes > 0)
                EntryLifetime.WriteDeadline(bytes, lifetime.DeadlineMilliseconds);
            value.CopyTo(bytes.AsSpan(deadlineBytes));
            Ask(operation, bytes.AsSpan(0, length), lifetime);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>Sends the operation's request on its way. The reply has been judged when this returns, if the partition is here.</summary>
    private void Ask(RouterOperation operation, ReadOnlySpan<byte> value, in EntryLifetime lifetime)
    {
        uint now = (uint)_time.GetUtcNow().ToUnixTimeSeconds();
        operation.ValueBytes = value.Length;
        var request = new CacheRequest
        {
            Operation = operation.Operation,
            Flags = operation.Operation == CacheOperation.Get ? RequestFlags.ReturnValue : RequestFlags.None,
            Key = operation.Key,
            Value = value,
            ClientFlags = lifetime.ClientFlags,
            ExpiresAt = Expiry.Resolve(lifetime.Exptime, now),
        };
        Ask(operation, ref request, now);
    }

    private void Ask(RouterOperation operation, ref CacheRequest request, uint now)
    {
        if (operation.IsBinaryKey)
            request.Flags |= RequestFlags.BinaryKey;
        RouterLane lane = _lanes[(uint)Environment.CurrentManagedThreadId % (uint)_lanes.Length];
        lock (lane.Turn)
        {
            request.KeyHash = lane.Channel.Hasher.Compute(request.Key);
            if (!lane.Channel.TryExecute(in request, now, operation.ReplySink))
            {
                operation.NoteSent();
                lane.Channel.Send(in request, operation.ReplySink);
                lane.Channel.Flush();
                return;
            }
        }

        OnReply(operation);
    }

    /// <summary>Judges the reply; outside of every lock. Gives the router's reference back, or asks again.</summary>
    internal void OnReply(RouterOperation operation)
    {
        operation.Unpin();
        if (operation.Status == CacheStatus.Ok && operation.Operation == CacheOperation.Get && EntryLifetime.IsSliding(operation.ClientFlags))
        {
            if (OnSliding(operation))
                return;
        }
        else if (operation.Status == CacheStatus.Ok && operation.Operation == CacheOperation.Touch && Repair(operation))
        {
            return;
        }
        else if (operation.Status is CacheStatus.Ok or CacheStatus.NotFound)
        {
            operation.Complete(operation.Status == CacheStatus.Ok);
        }
        else
        {
            operation.Fail(Refusal(operation));
        }

        operation.Release();
    }

    /// <summary>A sliding entry was read. True: the operation has become its own extension, and its caller waits for that.</summary>
    private bool OnSliding(RouterOperation operation)
    {
        DateTimeOffset now = _time.GetUtcNow();
        long deadline = 0;
        if (EntryLifetime.IsWithDeadline(operation.ClientFlags))
        {
            if (operation.Value.Length < EntryLifetime.DeadlineBytes || EntryLifetime.IsOverAt(deadline = EntryLifetime.ReadDeadline(operation.Value), now))
            {
                operation.DropValue();
                operation.Complete(found: false);
                return false;
            }

            operation.SkipValueBytes(EntryLifetime.DeadlineBytes);
        }

        long secondsToLive = operation.ExpiresAt == Expiry.Never ? -1 : Math.Max(0, operation.ExpiresAt - now.ToUnixTimeSeconds());
        if (EntryLifetime.Extend(operation.ClientFlags, deadline, secondsToLive, now) is not { } exptime)
        {
            operation.Complete(found: true);
            return false;
        }

        if (operation.IsRefresh)
        {
            operation.DropValue();
            operation.ExpectedFlags = operation.ClientFlags;
            Touch(operation, exptime, now);
            return true;
        }

        RouterOperation extension = RouterOperation.Rent(this, CacheOperation.Touch, ValueUse.None, null);
        extension.SetKey(operation);
        extension.ExpectedFlags = operation.ClientFlags;
        Touch(extension, exptime, now);
        operation.Complete(found: true);
        return false;
    }

    /// <summary>Another item was extended than the one that had been read: it gets back what it had. True: it is being done.</summary>
    private bool Repair(RouterOperation operation)
    {
        if (operation.ClientFlags == operation.ExpectedFlags || operation.Repairs++ == RepairsMax)
        {
            operation.Complete(found: true);
            return false;
        }

        operation.ExpectedFlags = operation.ClientFlags;
        DateTimeOffset now = _time.GetUtcNow();
        uint expiresAt = operation.ExpiresAt;
        Touch(operation, expiresAt == Expiry.Never ? 0 : EntryLifetime.ExptimeOf(TimeSpan.FromSeconds(expiresAt - now.ToUnixTimeSeconds()), now), now);
        return true;
    }

    /// <summary>Sets the expiry; the reply has the flags and the former expiry.</summary>
    private void Touch(RouterOperation operation, long exptime, DateTimeOffset time)
    {
        uint now = (uint)time.ToUnixTimeSeconds();
        operation.Operation = CacheOperation.Touch;
        var request = new CacheRequest
        {
            Operation = CacheOperation.Get,
            Flags = RequestFlags.Touch | RequestFlags.FormerExpiry,
            Key = operation.Key,
            ExpiresAt = Expiry.Resolve(exptime, now),
        };
        Ask(operation, ref request, now);
    }

    private static OrleansCacheException Refusal(RouterOperation operation) => operation.Status switch
    {
        CacheStatus.TooLarge => new OrleansCacheException(
            OrleansCacheError.ValueTooLarge,
            $"The value of {operation.ValueBytes} bytes is larger than the item limit of the cache (option -I of its silos). "
            + "What the key held before is gone."),
        CacheStatus.Unavailable => new OrleansCacheException(
            operation.Operation == CacheOperation.Get
                ? OrleansCacheError.Unavailable : OrleansCacheError.OutcomeUnknown, $"The cache does not answer: {operation.Reason}"),
        _ => new OrleansCacheException(OrleansCacheError.Refused,
            $"The cache refuses to {operation.Operation.ToString().ToLowerInvariant()}: {operation.Status}"),
    };

    private static OrleansCacheException TooLarge(long bytes) =>
        new(OrleansCacheError.ValueTooLarge, $"The value has {bytes} bytes; an item may have {Limits.ItemBytesMax}.");
}
