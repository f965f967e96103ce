using System.Buffers;
using Microsoft.Extensions.ObjectPool;
using OrleansCache.Client.Entries;

namespace OrleansCache.Client.InProcess;

/// <summary>
/// An operation of <see cref="InProcessCache"/>, and the sink of its reply, which is handed out under the partition's lock: small values are copied there,
/// large ones pinned and copied behind it.
/// </summary>
internal sealed class RouterOperation : PendingOperation
{
    private static readonly ObjectPool<RouterOperation> s_pool = new DefaultObjectPool<RouterOperation>(new Policy(), 1024);

    private readonly byte[] _key = new byte[Limits.KeyBytesMax];
    private readonly Sink _sink;
    private int _keyBytes;
    private bool _hasPinned;
    private PinnedValue _pinned;

    private RouterOperation() => _sink = new Sink(this);

    public ReplySink ReplySink => _sink;

    public InProcessCache? Cache { get; private set; }

    public CacheOperation Operation { get; set; }

    /// <summary>What is asked first, before what follows from its reply.</summary>
    public bool IsRefresh { get; set; }

    public ReadOnlySpan<byte> Key => _key.AsSpan(0, _keyBytes);

    public bool IsBinaryKey { get; private set; }

    /// <summary>Of an extension: the flags of the item that is meant.</summary>
    public uint ExpectedFlags { get; set; }

    public int Repairs { get; set; }

    /// <summary>Of a store.</summary>
    public int ValueBytes { get; set; }

    // The reply, but for its value.
    public CacheStatus Status { get; private set; }

    public uint ClientFlags { get; private set; }

    public uint ExpiresAt { get; private set; }

    public string? Reason { get; private set; }

    public static RouterOperation Rent(InProcessCache cache, CacheOperation operation, ValueUse valueUse, IBufferWriter<byte>? writer)
    {
        RouterOperation rented = s_pool.Get();
        rented.Cache = cache;
        rented.Operation = operation;
        rented.Begin(valueUse, writer, long.MaxValue);
        return rented;
    }

    public void SetKey(CacheKey keys, string key)
    {
        _keyBytes = keys.Encode(key, _key, out bool isBinary);
        IsBinaryKey = isBinary;
    }

    public void SetKey(RouterOperation other)
    {
        other.Key.CopyTo(_key);
        _keyBytes = other._keyBytes;
        IsBinaryKey = other.IsBinaryKey;
    }

    public new void Watch(CancellationToken cancellationToken) => base.Watch(cancellationToken);

    /// <summary>Brings a pinned value where the caller gets it. Outside of every lock.</summary>
    public void Unpin()
    {
        if (!_hasPinned)
            return;
        byte[] bytes = RentValue(_pinned.Length, asArray: ValueUse == ValueUse.Array && !EntryLifetime.IsWithDeadline(ClientFlags));
        _pinned.CopyTo(0, bytes.AsSpan(0, _pinned.Length));
        _pinned.Release();
        _hasPinned = false;
        _pinned = default;
    }

    protected override void Reset()
    {
        base.Reset();
        Cache = null;
        Operation = CacheOperation.None;
        IsRefresh = false;
        ExpectedFlags = 0;
        Repairs = 0;
        Status = CacheStatus.None;
        Reason = null;
        ClientFlags = 0;
        ExpiresAt = 0;
    }

    protected override void GiveBack() => s_pool.Return(this);

    private void Take(in CacheReply reply)
    {
        Status = reply.Status;
        ClientFlags = reply.ClientFlags;
        ExpiresAt = reply.ExpiresAt;
        Reason = reply.Reason;
        if (reply.Status != CacheStatus.Ok || Operation != CacheOperation.Get || !reply.Value.HasBytes)
            return;
        if (reply.Value.Length >= Limits.PinValueBytesMin && reply.Value.TryPin(out _pinned))
        {
            _hasPinned = true;
            return;
        }

        byte[] bytes = RentValue(reply.Value.Length, asArray: ValueUse == ValueUse.Array && !EntryLifetime.IsWithDeadline(ClientFlags));
        reply.Value.CopyTo(bytes.AsSpan(0, reply.Value.Length));
    }

    /// <summary>The sink of whichever life the operation is in: it is answered before the life ends.</summary>
    private sealed class Sink(RouterOperation operation) : ReplySink, IThreadPoolWorkItem
    {
        public bool IsSent { get; set; }

        public override void OnReply(in CacheReply reply)
        {
            operation.Take(in reply);
            if (!IsSent)
                return;

            // The lane's lock is held: what follows may ask again.
            IsSent = false;
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
        }

        void IThreadPoolWorkItem.Execute() => operation.Cache!.OnReply(operation);
    }

    /// <summary>From now on the reply comes later.</summary>
    public void NoteSent() => _sink.IsSent = true;

    private sealed class Policy : PooledObjectPolicy<RouterOperation>
    {
        public override RouterOperation Create() => new();

        public override bool Return(RouterOperation obj) => true;
    }
}
