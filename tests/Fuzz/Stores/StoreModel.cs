using System.Globalization;
using System.Text;

namespace OrleansCache.Fuzz.Stores;

/// <summary>An item as the model knows it. It changes in place.</summary>
public sealed class ModelItem
{
    public byte[] Value = [];
    public uint ClientFlags;
    public uint ExpiresAt;
    public ulong Cas;
    public uint LastAccess;
    public bool IsStale;
    public bool IsTokenSent;
    public bool IsFetched;
    public bool IsBinaryKey;

    /// <summary>Items that its store had thrown away when this one was last known to be there.</summary>
    public long LossesSeen;

    /// <summary>It may not have come along when its partition moved or its process ended.</summary>
    public bool MayBeGone;

    /// <summary>The client has chosen its CAS.</summary>
    public bool IsExplicitCas;

    /// <summary>Whether a counter was changed in place cannot be seen while somebody may hold its value; then its marks are not known.</summary>
    public bool AreMarksUnknown;
}

/// <summary>What the model expects of a reply.</summary>
public sealed class ModelReply
{
    public CacheStatus Status;
    public ItemFlags ItemFlags;
    public bool AreFlagsUnknown;
    public uint ClientFlags;
    public uint ExpiresAt;
    public uint? LastAccess;
    public ulong Number;
    public int ValueLength;

    /// <summary>The bytes, where the request asks for them.</summary>
    public byte[]? Value;

    /// <summary>What the item's CAS was; null if the request gives it a new one.</summary>
    public ulong? Cas;

    /// <summary>The request gives the item a new CAS.</summary>
    public bool GivesCas => Status == CacheStatus.Ok && Cas is null;
}

/// <summary>
/// One partition's rules over a dictionary: written from what the operations promise, with no thought for memory. The caller tells it which items the
/// store has lost.
/// </summary>
public sealed class StoreModel(int itemBytesMax, bool noCas)
{
    public Dictionary<string, ModelItem> Items { get; } = [];

    /// <summary>When a scheduled flush is due; 0: none is scheduled.</summary>
    public uint FlushAt { get; set; }

    /// <summary>Somebody comes by: a scheduled flush that is due happens.</summary>
    public void Visit(uint now)
    {
        if (FlushAt == 0 || now < FlushAt)
            return;
        FlushAt = 0;
        Items.Clear();
    }

    public void Flush(uint at, uint now)
    {
        Visit(now);
        FlushAt = at > now ? at : 0;
        if (at <= now)
            Items.Clear();
    }

    /// <summary>The item if it is there and has not expired; one that has is gone with this.</summary>
    public ModelItem? FindLive(string key, uint now)
    {
        if (!Items.TryGetValue(key, out ModelItem? item))
            return null;
        if (!Expiry.IsExpired(item.ExpiresAt, now))
            return item;
        Items.Remove(key);
        return null;
    }

    /// <summary>
    /// What the request does and answers. <paramref name="isRefused"/>: the store had no memory for it; <paramref name="storedCas"/> is the CAS that
    /// the store gave,
    /// <paramref name="keptLength"/> the length of a counter that somebody may hold on to.
    /// </summary>
    public ModelReply Apply(in CacheRequest request, string key, uint now, bool isRefused, ulong storedCas, int? keptLength)
    {
        if (request.Operation is >= CacheOperation.Set and <= CacheOperation.Prepend
            && Limits.IsItemTooLarge(request.Key.Length, request.Value.Length, request.ClientFlags, itemBytesMax))
        {
            // Nobody looks for the item, but for a plain set, which takes it away.
            if (request.Operation == CacheOperation.Set && !Has(in request, RequestFlags.CompareCas))
                Items.Remove(key);
            return new ModelReply { Status = CacheStatus.TooLarge };
        }

        ModelItem? item = FindLive(key, now);
        if (isRefused)
            return Refuse(in request, key);
        return request.Operation switch
        {
            CacheOperation.Get => Get(in request, key, item, now, storedCas),
            CacheOperation.Touch => Touch(in request, item, now),
            CacheOperation.Delete => Delete(in request, key, item, now, storedCas),
            CacheOperation.Increment or CacheOperation.Decrement => Count(in request, key, item, now, storedCas, keptLength),
            _ => Store(in request, key, item, now, storedCas),
        };
    }

    private ModelReply Refuse(in CacheRequest request, string key)
    {
        // Nobody may read what was to be replaced. (With a CAS it is not deleted, but may have given its memory.)
        if (request.Operation == CacheOperation.Set)
            Items.Remove(key);
        CacheStatus status = request.Operation switch
        {
            CacheOperation.Get => CacheStatus.NotFound, // it could not be created
            CacheOperation.Append or CacheOperation.Prepend when Items.ContainsKey(key) => CacheStatus.NotStored,
            _ => CacheStatus.OutOfMemory,
        };
        return new ModelReply { Status = status };
    }

    private ModelReply Get(in CacheRequest request, string key, ModelItem? item, uint now, ulong storedCas)
    {
        bool isPeek = Has(in request, RequestFlags.Peek);
        if (item is null)
        {
            if (!Has(in request, RequestFlags.CreateOnMiss))
                return new ModelReply { Status = CacheStatus.NotFound };
            Items[key] = item = new ModelItem { ExpiresAt = request.CreateExpiresAt, Cas = storedCas, LastAccess = now, IsTokenSent = true,
                IsFetched = !isPeek };
            return new ModelReply { Status = CacheStatus.Ok, ItemFlags = ItemFlags.Won | ItemFlags.Created, ExpiresAt = item.ExpiresAt, LastAccess = now };
        }

        uint formerExpiresAt = item.ExpiresAt;
        var reply = new ModelReply
        {
            Status = CacheStatus.Ok, ClientFlags = item.ClientFlags, LastAccess = Math.Min(item.LastAccess, now), Cas = item.Cas,
            ValueLength = item.Value.Length,
            ItemFlags = item.IsFetched ? ItemFlags.Fetched : 0, AreFlagsUnknown = item.AreMarksUnknown,
        };
        if (Has(in request, RequestFlags.Touch))
            item.ExpiresAt = request.ExpiresAt;
        reply.ExpiresAt = Has(in request, RequestFlags.FormerExpiry) ? formerExpiresAt : item.ExpiresAt;
        reply.ItemFlags |= (item.IsBinaryKey ? ItemFlags.BinaryKey : 0) | (item.IsStale ? ItemFlags.Stale : 0) | (item.IsTokenSent ? ItemFlags.AlreadyWon : 0);

        // Who sees a stale or soon expiring item first may replace it; a plain get does not take part.
        uint judged = Has(in request, RequestFlags.RecacheBeforeTouch) ? formerExpiresAt : item.ExpiresAt;
        bool isDue = Has(in request, RequestFlags.Recache) && judged != Expiry.Never && judged < request.RecacheBefore;
        if (!item.IsTokenSent && (isDue || item.IsStale) && (request.Flags & (RequestFlags.Recache | RequestFlags.TakeToken | RequestFlags.CreateOnMiss)) != 0)
        {
            reply.ItemFlags |= ItemFlags.Won;
            item.IsTokenSent = true;
        }

        if (!isPeek)
        {
            item.IsFetched = true;
            item.LastAccess = now;
        }

        bool isKnown = Has(in request, RequestFlags.CompareCas) && request.CompareCas == item.Cas;
        if (Has(in request, RequestFlags.ReturnValue) && !isKnown)
            reply.Value = item.Value;
        return reply;
    }

    private static ModelReply Touch(in CacheRequest request, ModelItem? item, uint now)
    {
        if (item is null)
            return new ModelReply { Status = CacheStatus.NotFound };
        ModelReply reply = Describe(item);
        reply.LastAccess = Math.Min(item.LastAccess, now);
        reply.ExpiresAt = item.ExpiresAt = request.ExpiresAt;
        reply.Cas = item.Cas;
        item.LastAccess = now;
        item.IsFetched = true;
        return reply;
    }

    private ModelReply Store(in CacheRequest request, string key, ModelItem? item, uint now, ulong storedCas)
    {
        bool compares = Has(in request, RequestFlags.CompareCas);
        var stored = new ModelItem
        {
            Value = request.Value.ToArray(), ClientFlags = request.ClientFlags, ExpiresAt = request.ExpiresAt, Cas = storedCas, LastAccess = now,
            IsBinaryKey = Has(in request, RequestFlags.BinaryKey),
        };
        bool extends = request.Operation is CacheOperation.Append or CacheOperation.Prepend;
        if (item is null)
        {
            if (extends && Has(in request, RequestFlags.CreateOnMiss))
                stored.ExpiresAt = request.CreateExpiresAt;
            else if (request.Operation is CacheOperation.Set or CacheOperation.Replace && compares)
                return new ModelReply { Status = CacheStatus.NotFound };
            else if (request.Operation is not (CacheOperation.Set or CacheOperation.Add))
                return new ModelReply { Status = CacheStatus.NotStored };
            Items[key] = stored;
            return Describe(stored);
        }

        bool comparable = !noCas && request.CompareCas != 0;
        if (request.Operation == CacheOperation.Add)
        {
            item.LastAccess = now;
            return new ModelReply { Status = CacheStatus.NotStored };
        }

        if (extends)
        {
            if (compares && comparable && request.CompareCas != item.Cas)
                return new ModelReply { Status = CacheStatus.Exists };
            if (Limits.IsItemTooLarge(request.Key.Length, (long)item.Value.Length + request.Value.Length, item.ClientFlags, itemBytesMax))
                return new ModelReply { Status = CacheStatus.NotStored };
            stored.Value = request.Operation == CacheOperation.Append ? [.. item.Value, .. stored.Value] : [.. stored.Value, .. item.Value];
            stored.ClientFlags = item.ClientFlags;
            stored.ExpiresAt = item.ExpiresAt;
            stored.IsBinaryKey = false;
        }
        else if (compares && comparable && Has(in request, RequestFlags.Invalidate) && request.CompareCas < item.Cas)
        {
            // The value replaced is newer than the one that the client saw.
            stored.ExpiresAt = item.ExpiresAt;
            stored.IsStale = true;
            stored.IsTokenSent = item.IsTokenSent;
            stored.AreMarksUnknown = item.AreMarksUnknown;
        }
        else if (compares && (!comparable || request.CompareCas != item.Cas))
        {
            return new ModelReply { Status = CacheStatus.Exists };
        }

        Items[key] = stored;
        return Describe(stored);
    }

    private ModelReply Delete(in CacheRequest request, string key, ModelItem? item, uint now, ulong storedCas)
    {
        if (item is null)
            return new ModelReply { Status = CacheStatus.NotFound };
        if (Has(in request, RequestFlags.CompareCas) && request.CompareCas != item.Cas)
            return new ModelReply { Status = CacheStatus.Exists };
        bool drops = Has(in request, RequestFlags.DropValue), invalidates = Has(in request, RequestFlags.Invalidate);
        if (!drops && !invalidates)
        {
            Items.Remove(key);
            return new ModelReply { Status = CacheStatus.Ok };
        }

        ulong? cas = null;
        if (drops)
        {
            if (!Has(in request, RequestFlags.ExplicitCas) && !invalidates)
                cas = item.Cas;
            Items[key] = item = new ModelItem { ClientFlags = request.ClientFlags, ExpiresAt = request.ExpiresAt, Cas = storedCas,
                LastAccess = now, IsExplicitCas = item.IsExplicitCas };
        }

        if (invalidates)
        {
            if (Has(in request, RequestFlags.Touch))
                item.ExpiresAt = request.ExpiresAt;
            item.IsStale = true;
            item.IsTokenSent = false;
            item.Cas = storedCas;
        }

        ModelReply reply = Describe(item);
        reply.Cas = cas;
        return reply;
    }

    private ModelReply Count(in CacheRequest request, string key, ModelItem? item, uint now, ulong storedCas, int? keptLength)
    {
        if (item is null)
        {
            if (!Has(in request, RequestFlags.CreateOnMiss))
                return new ModelReply { Status = CacheStatus.NotFound };
            Items[key] = item = new ModelItem { Value = Text(request.InitialValue), ExpiresAt = request.CreateExpiresAt, Cas = storedCas, LastAccess = now };
            ModelReply created = Describe(item);
            created.ItemFlags = ItemFlags.Created;
            created.Number = request.InitialValue;
            return created;
        }

        if (item.Value.Length == 0)
            return new ModelReply { Status = CacheStatus.NotNumeric };
        if (Has(in request, RequestFlags.CompareCas) && request.CompareCas != 0 && request.CompareCas != item.Cas)
            return new ModelReply { Status = CacheStatus.Exists };
        if (Limits.IsItemTooLarge(request.Key.Length, item.Value.Length, item.ClientFlags, Limits.CounterItemBytesMax)
            || !TryReadNumber(item.Value, out ulong number))
            return new ModelReply { Status = CacheStatus.NotNumeric };
        number = request.Operation == CacheOperation.Increment ? unchecked(number + request.Delta) : number - Math.Min(number, request.Delta);
        byte[] text = Text(number);
        bool isInPlace = text.Length <= item.Value.Length;
        if (keptLength is { } length && isInPlace)
        {
            isInPlace = length == item.Value.Length;
            item.AreMarksUnknown = true;
        }

        ModelReply reply = new() { Status = CacheStatus.Ok, ExpiresAt = item.ExpiresAt, LastAccess = Math.Min(item.LastAccess, now) };
        if (isInPlace)
        {
            byte[] padded = new byte[item.Value.Length];
            padded.AsSpan().Fill((byte)' ');
            text.CopyTo(padded, 0);
            item.Value = padded;
        }
        else
        {
            Items[key] = item = new ModelItem { Value = text, ClientFlags = item.ClientFlags, ExpiresAt = item.ExpiresAt,
                AreMarksUnknown = item.AreMarksUnknown };
        }

        item.Cas = storedCas;
        item.LastAccess = now;
        if (Has(in request, RequestFlags.Touch))
        {
            item.ExpiresAt = request.ExpiresAt;
            if (!Has(in request, RequestFlags.FormerExpiry))
                reply.ExpiresAt = request.ExpiresAt;
        }

        reply.Number = number;
        reply.ClientFlags = item.ClientFlags;
        reply.ValueLength = item.Value.Length;
        return reply;
    }

    private static ModelReply Describe(ModelItem item) =>
        new() { Status = CacheStatus.Ok, ClientFlags = item.ClientFlags, ExpiresAt = item.ExpiresAt, ValueLength = item.Value.Length };

    private static bool Has(in CacheRequest request, RequestFlags flag) => (request.Flags & flag) != 0;

    private static byte[] Text(ulong number) => Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));

    /// <summary>Digits, then the end or a space and whatever comes behind it.</summary>
    private static bool TryReadNumber(byte[] value, out ulong number)
    {
        string text = Encoding.Latin1.GetString(value).TrimStart(' ');
        int end = text.IndexOf(' ');
        return ulong.TryParse(end < 0 ? text : text[..end], NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
