using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// What a store tells those who watch. Requests are told here and not in the sessions, because all protocols and all silos come together here, and because
/// only here it is known what a write found. While somebody watches, a request's reply passes through a sink that notes it; otherwise a request costs
/// one branch.
/// Lines are memcached's: a look for the item for every request, then what was stored or deleted; counters that are changed in place are looks only.
/// Under the partition's lock: nothing here waits, and nothing is allocated but one sink per store.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    private const EventKinds RequestEvents = EventKinds.Fetchers | EventKinds.Mutations | EventKinds.Deletions;

    private readonly EventLog _events;
    private NotingSink? _noting;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool DispatchWatched(in CacheRequest request, uint now, ReplySink sink)
    {
        var found = ItemGetStatus.NotFound;
        int classId = 0, valueBytes = 0;
        uint handle = _index.Find(request.KeyHash, request.Key);
        if (handle != 0)
        {
            ItemHeader* item = _space.At(handle);
            if (Expiry.IsExpired(item->ExpiresAt, now))
                found = ItemGetStatus.Expired;
            else
                (found, classId, valueBytes) = (ItemGetStatus.Found, _space.ClassOf(handle) + 1, _space.ValueLength(item));
        }

        NotingSink noting = _noting ??= new NotingSink();
        noting.Inner = sink;
        bool done = Dispatch(in request, now, noting);
        noting.Inner = null!;
        if (!done)
            return false;

        switch (request.Operation)
        {
            case CacheOperation.Set:
            case CacheOperation.Add:
            case CacheOperation.Replace:
            case CacheOperation.Append:
            case CacheOperation.Prepend:
                PublishStore(in request, now, noting, found, classId, valueBytes);
                break;
            case CacheOperation.Delete:
                _events.ItemGet(request.Key, found, classId, request.Connection, valueBytes);
                if (noting.Status == CacheStatus.Ok)
                    PublishDelete(in request, now, classId, valueBytes);
                break;
            default:
                _events.ItemGet(request.Key, found, classId, request.Connection, valueBytes);
                if (request.Operation != CacheOperation.Get && (noting.Flags & ItemFlags.Created) != 0)
                {
                    // A counter that an increment creates is added; an empty item that a get creates is not told, as in memcached.
                    _events.ItemGet(request.Key, ItemGetStatus.NotFound, 0, request.Connection, 0);
                    _events.ItemStore(
                        request.Key, ItemStoreStatus.Stored, ItemStoreCommand.Add, TtlOf(noting.ExpiresAt, now), ClassIdOf(in request), request.Connection,
                            noting.ValueBytes);
                }

                break;
        }

        return true;
    }

    private void PublishStore(in CacheRequest request, uint now, NotingSink noting, ItemGetStatus found, int classId, int valueBytes)
    {
        bool comparesCas = (request.Flags & RequestFlags.CompareCas) != 0;
        ItemStoreCommand command = ItemStoreCommands.Of(request.Operation, comparesCas);
        if (noting.Status is CacheStatus.TooLarge or CacheStatus.OutOfMemory)
        {
            // Refused before anything was looked for; a plain set then looks for what it has to take away.
            ItemStoreStatus refused = noting.Status == CacheStatus.TooLarge ? ItemStoreStatus.TooLarge : ItemStoreStatus.NoMemory;
            _events.ItemStore(request.Key, refused, command, 0, 0, request.Connection, 0);
            if (command == ItemStoreCommand.Set)
                _events.ItemGet(request.Key, found, classId, request.Connection, valueBytes);
            return;
        }

        _events.ItemGet(request.Key, found, classId, request.Connection, valueBytes);
        bool stored = noting.Status == CacheStatus.Ok;
        ItemStoreStatus status = noting.Status switch
        {
            CacheStatus.Ok => ItemStoreStatus.Stored,
            CacheStatus.Exists => ItemStoreStatus.Exists,
            CacheStatus.NotFound => ItemStoreStatus.NotFound,
            _ => ItemStoreStatus.NotStored,
        };

        // What was not stored is told as the client sent it.
        _events.ItemStore(
            request.Key,
            status,
            command,
            TtlOf(stored ? noting.ExpiresAt : request.ExpiresAt, now),
            stored ? ClassIdOf(in request) : ClassOfRequest(in request) + 1,
            request.Connection,
            stored ? noting.ValueBytes : request.Value.Length);
    }

    private void PublishDelete(in CacheRequest request, uint now, int classId, int valueBytes)
    {
        if ((request.Flags & RequestFlags.RefusedStore) != 0)
            return;
        if ((request.Flags & RequestFlags.DropValue) != 0)
        {
            // The item gives way to an empty one, which is stored, and then counts as deleted.
            _events.ItemGet(request.Key, ItemGetStatus.Found, classId, request.Connection, valueBytes);
            (classId, valueBytes) = (ClassIdOf(in request), 0);
            _events.ItemStore(request.Key, ItemStoreStatus.Stored, ItemStoreCommand.Set, TtlOf(request.ExpiresAt, now), classId, request.Connection,
                valueBytes);
        }

        if ((request.Flags & RequestFlags.Invalidate) == 0)
        {
            ItemDeleteCommand command = (request.Flags & RequestFlags.MetaCommand) != 0 ? ItemDeleteCommand.MetaDelete : ItemDeleteCommand.Delete;
            _events.ItemDeleted(request.Key, command, classId, valueBytes);
        }
    }

    private int ClassIdOf(in CacheRequest request)
    {
        uint handle = _index.Find(request.KeyHash, request.Key);
        return handle == 0 ? 0 : _space.ClassOf(handle) + 1;
    }

    /// <summary>0 for never; what has expired already is -1, which memcached too shows as a huge number.</summary>
    private static uint TtlOf(uint expiresAt, uint now) => expiresAt == Expiry.Never ? 0 : expiresAt > now ? expiresAt - now : uint.MaxValue;

    /// <summary>Passes the reply on and notes what the lines need of it.</summary>
    private sealed class NotingSink : ReplySink
    {
        public ReplySink Inner = null!;
        public CacheStatus Status;
        public ItemFlags Flags;
        public uint ExpiresAt;
        public int ValueBytes;

        public override void OnReply(in CacheReply reply)
        {
            Status = reply.Status;
            Flags = reply.ItemFlags;
            ExpiresAt = reply.ExpiresAt;
            ValueBytes = reply.Value.Length;
            Inner.OnReply(in reply);
        }
    }
}
