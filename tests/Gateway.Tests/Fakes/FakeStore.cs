using System.Globalization;
using System.Text;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>
/// A memcached in a dictionary: simple enough to be right by inspection. Keys and values live in native memory that never moves, so that values can be
/// pinned; a hit allocates nothing. Thread-safe by one lock.
/// </summary>
public sealed unsafe class FakeStore : ValueOwner
{
    private readonly Dictionary<ulong, Item> _items = [];
    private readonly List<Item> _pinnable = [];
    private readonly Lock _lock = new();
    private ulong _lastCas;

    public int Pins;

    /// <summary>Refuses pins while false.</summary>
    public bool LendsPins { get; set; } = true;

    /// <summary>Every hit has these marks.</summary>
    public ItemFlags ShownFlags { get; set; }

    /// <summary>If not 0, a pinned value shows itself in runs of at most this many bytes.</summary>
    public int RunBytesMax { get; set; }

    public int Count
    {
        get
        {
            lock (_lock)
                return _items.Count;
        }
    }

    public void Execute(in CacheRequest request, uint now, ReplySink sink)
    {
        lock (_lock)
        {
            CacheReply reply = default;
            _items.TryGetValue(request.KeyHash, out Item? item);
            if (item is not null && Expiry.IsExpired(item.ExpiresAt, now))
            {
                _items.Remove(request.KeyHash);
                item = null;
            }

            bool creates = (request.Flags & RequestFlags.CreateOnMiss) != 0;
            bool touches = (request.Flags & RequestFlags.Touch) != 0;
            switch (request.Operation)
            {
                case CacheOperation.Get when item is null && creates:
                    Put(request, [], request.CreateExpiresAt);
                    reply.Status = CacheStatus.Ok;
                    reply.ItemFlags = ItemFlags.Created | ItemFlags.Won;
                    break;
                case CacheOperation.Increment or CacheOperation.Decrement when item is null && creates:
                    Put(request, Encoding.ASCII.GetBytes(request.InitialValue.ToString(CultureInfo.InvariantCulture)), request.CreateExpiresAt);
                    reply.Status = CacheStatus.Ok;
                    reply.ItemFlags = ItemFlags.Created;
                    reply.Number = request.InitialValue;
                    break;
                case CacheOperation.Get or CacheOperation.Touch:
                    reply.Status = item is null ? CacheStatus.NotFound : CacheStatus.Ok;
                    if (item is not null && touches)
                        item.ExpiresAt = request.ExpiresAt;
                    break;
                case CacheOperation.Delete when item is not null && (request.Flags & RequestFlags.CompareCas) != 0 && item.Cas != request.CompareCas:
                    reply.Status = CacheStatus.Exists;
                    break;
                case CacheOperation.Delete:
                    reply.Status = _items.Remove(request.KeyHash) ? CacheStatus.Ok : CacheStatus.NotFound;
                    item = null;
                    break;
                case CacheOperation.Increment or CacheOperation.Decrement:
                    reply.Status = Calculate(request, item, ref reply.Number);
                    break;
                case CacheOperation.Set when (request.Flags & RequestFlags.CompareCas) != 0 && item is null:
                    reply.Status = CacheStatus.NotFound;
                    break;
                case CacheOperation.Set when (request.Flags & RequestFlags.CompareCas) != 0 && item!.Cas != request.CompareCas:
                    reply.Status = CacheStatus.Exists;
                    break;
                case CacheOperation.Add when item is not null:
                case CacheOperation.Replace or CacheOperation.Append or CacheOperation.Prepend when item is null:
                    reply.Status = CacheStatus.NotStored;
                    break;
                case CacheOperation.Append:
                    item!.Value = [.. item.Value, .. request.Value];
                    item.Cas = ++_lastCas;
                    reply.Status = CacheStatus.Ok;
                    break;
                case CacheOperation.Prepend:
                    item!.Value = [.. request.Value, .. item.Value];
                    item.Cas = ++_lastCas;
                    reply.Status = CacheStatus.Ok;
                    break;
                default:
                    Put(request, request.Value, request.ExpiresAt);
                    reply.Status = CacheStatus.Ok;
                    break;
            }

            if (request.Operation is not CacheOperation.Delete)
                _items.TryGetValue(request.KeyHash, out item);
            if (item is not null && reply.Status == CacheStatus.Ok)
            {
                if ((request.Flags & RequestFlags.ExplicitCas) != 0)
                    item.Cas = request.NewCas;
                reply.ClientFlags = item.ClientFlags;
                reply.ExpiresAt = item.ExpiresAt;
                reply.Cas = item.Cas;
                reply.ItemFlags |= ShownFlags;
                reply.Value = (request.Flags & RequestFlags.ReturnValue) != 0
                    ? new ValueView(item.Value, this, item.Handle) : ValueView.OfLength(item.Value.Length);
            }

            sink.OnReply(reply);
        }
    }

    public void Clear()
    {
        lock (_lock)
            _items.Clear();
    }

    protected override bool TryPin(uint handle)
    {
        if (!LendsPins)
            return false;
        Interlocked.Increment(ref Pins);
        return true;
    }

    protected override void Unpin(uint handle) => Interlocked.Decrement(ref Pins);

    protected override void CopyTo(uint handle, int offset, Span<byte> destination)
    {
        Item item = Find(handle);
        item.Value.AsSpan(offset, Math.Min(destination.Length, item.Value.Length - offset)).CopyTo(destination);
    }

    protected override byte* GetRun(uint handle, int offset, out int length)
    {
        Item item = Find(handle);
        length = item.Value.Length - offset;
        if (RunBytesMax > 0)
            length = Math.Min(length, RunBytesMax);
        return item.Address + offset;
    }

    private Item Find(uint handle)
    {
        lock (_lock)
            return _pinnable[(int)handle];
    }

    private void Put(in CacheRequest request, ReadOnlySpan<byte> value, uint expiresAt)
    {
        if (_items.TryGetValue(request.KeyHash, out Item? item) && item.Value.Length == value.Length && item.Value.Length < Limits.PinValueBytesMin)
        {
            value.CopyTo(item.Value);
        }
        else
        {
            item = new Item { Value = GC.AllocateUninitializedArray<byte>(value.Length, pinned: true), Handle = (uint)_pinnable.Count };
            value.CopyTo(item.Value);
            _pinnable.Add(item);
            _items[request.KeyHash] = item;
        }

        item.ClientFlags = request.ClientFlags;
        item.ExpiresAt = expiresAt;
        item.Cas = ++_lastCas;
    }

    private CacheStatus Calculate(in CacheRequest request, Item? item, ref ulong number)
    {
        if (item is null)
            return CacheStatus.NotFound;
        if (!ulong.TryParse(Encoding.ASCII.GetString(item.Value).TrimEnd(' '), NumberStyles.None, CultureInfo.InvariantCulture, out ulong value))
            return CacheStatus.NotNumeric;
        number = request.Operation == CacheOperation.Increment ? unchecked(value + request.Delta) : value < request.Delta ? 0 : value - request.Delta;
        item.Value = Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture).PadRight(item.Value.Length));
        item.Cas = ++_lastCas;
        return CacheStatus.Ok;
    }

    private sealed class Item
    {
        public required byte[] Value;
        public required uint Handle;
        public uint ClientFlags;
        public uint ExpiresAt;
        public ulong Cas;

        /// <summary>Values that can be pinned lie in the pinned heap.</summary>
        public byte* Address => (byte*)System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(Value, 0);
    }
}
