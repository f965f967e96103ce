using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

// What each operation does, and the reply that it gives.
public sealed unsafe partial class PartitionStore
{
    private bool ExecuteGet(in CacheRequest request, uint now, ReplySink sink)
    {
        uint handle = FindLive(in request, now);
        if (handle == 0)
            return ExecuteGetMiss(in request, now, sink);

        ItemHeader* item = _space.At(handle);
        int classIndex = _space.ClassOf(handle);
        ref SlabClass slab = ref _classes[classIndex];
        CacheReply reply = default;
        reply.Status = CacheStatus.Ok;
        reply.ClientFlags = _space.ClientFlags(item);
        reply.LastAccess = item->LastAccess(now);
        reply.Cas = item->Cas;
        RequestFlags flags = request.Flags;
        reply.SlabClass = (byte)(classIndex + 1);
        uint word = item->Word;
        uint formerExpiresAt = item->ExpiresAt;
        if ((word & ItemWord.Fetched) != 0)
            reply.ItemFlags = ItemFlags.Fetched;
        if ((flags & RequestFlags.Touch) != 0)
        {
            SetExpiry(item, request.ExpiresAt);
            SetSequence(_sequence + 1);
            slab.Counters.TouchHits++;
        }
        else if ((flags & (RequestFlags.Peek | RequestFlags.TakeToken)) != RequestFlags.Peek)
        {
            slab.Counters.GetHits[(int)(word >> ItemWord.QueueShift)]++;
        }

        _shard.CountUse(handle);
        if ((flags & RequestFlags.Recache) != 0 || (word & (ItemWord.Stale | ItemWord.TokenSent | ItemWord.BinaryKey)) != 0)
            reply.ItemFlags |= HandToken(item, in request, formerExpiresAt);
        reply.ExpiresAt = (flags & RequestFlags.FormerExpiry) == 0 ? item->ExpiresAt : formerExpiresAt;
        if ((flags & RequestFlags.Peek) == 0)
        {
            if ((word & ItemWord.FrequencyMask) == 0)
                Effects?.NoteRead(request.Key);
            Bump(item, now);
        }

        bool matches = (flags & RequestFlags.CompareCas) != 0 && item->Cas == request.CompareCas;
        reply.Value = (flags & RequestFlags.ReturnValue) != 0 && !matches ? View(handle, item) : ValueView.OfLength(_space.ValueLength(item));
        sink.OnReply(in reply);
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ExecuteGetMiss(in CacheRequest request, uint now, ReplySink sink)
    {
        if ((request.Flags & RequestFlags.CreateOnMiss) != 0)
        {
            if (TryAllocate(in request, 0, 0, request.CreateExpiresAt, now, out uint handle))
            {
                ItemHeader* item = _space.At(handle);
                item->Word |= ItemWord.TokenSent;
                LinkNew(handle, in request, now);
                int classIndex = _space.ClassOf(handle);
                ref SlabClassCounters counters = ref _classes[classIndex].Counters;
                if ((request.Flags & RequestFlags.Touch) != 0)
                    counters.TouchHits++;
                else
                    counters.GetHits[(int)item->Queue]++;
                var created = new CacheReply
                {
                    Status = CacheStatus.Ok,
                    ItemFlags = ItemFlags.Won | ItemFlags.Created,
                    SlabClass = (byte)(classIndex + 1),
                    ExpiresAt = item->ExpiresAt,
                    LastAccess = now,
                    Cas = item->Cas,
                };

                // The command that creates an item also reads it.
                if ((request.Flags & RequestFlags.Peek) == 0)
                    Bump(item, now);
                sink.OnReply(in created);
                return true;
            }

            if (_shard.PagesWanted != 0)
                return false;
        }

        // memcached's count: an mg with T that misses is a get, a gat that misses a touch, and me is neither.
        switch (request.Flags & (RequestFlags.Touch | RequestFlags.Peek | RequestFlags.TakeToken))
        {
            case RequestFlags.Touch:
                _shard.Counters.TouchMisses++;
                break;
            case RequestFlags.Peek:
                break;
            default:
                _shard.Counters.GetMisses++;
                break;
        }

        return Answer(sink, CacheStatus.NotFound);
    }

    /// <summary>
    /// Meta: who sees a stale or soon expiring item first gets the right to replace it (W), the others see that someone has it (Z).
    /// Also says whether the item's key came in base64.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private ItemFlags HandToken(ItemHeader* item, in CacheRequest request, uint formerExpiresAt)
    {
        ItemFlags shown = item->Has(ItemWord.BinaryKey) ? ItemFlags.BinaryKey : ItemFlags.None;
        bool sent = item->Has(ItemWord.TokenSent);
        uint expiresAt = (request.Flags & RequestFlags.RecacheBeforeTouch) != 0 ? formerExpiresAt : item->ExpiresAt;
        bool won = !sent && (request.Flags & RequestFlags.Recache) != 0 && expiresAt != Expiry.Never && expiresAt < request.RecacheBefore;
        if (sent)
            shown |= ItemFlags.AlreadyWon;
        if (item->Has(ItemWord.Stale))
        {
            shown |= ItemFlags.Stale;
            won |= !sent;
        }

        // A plain get looks at stale items without taking part in the race.
        const RequestFlags TakesPart = RequestFlags.Recache | RequestFlags.TakeToken | RequestFlags.CreateOnMiss;
        if (won && (request.Flags & TakesPart) != 0)
        {
            shown |= ItemFlags.Won;
            item->Word |= ItemWord.TokenSent;
            SetSequence(_sequence + 1);
        }

        return shown;
    }

    private bool ExecuteTouch(in CacheRequest request, uint now, ReplySink sink)
    {
        uint handle = FindLive(in request, now);
        if (handle == 0)
        {
            _shard.Counters.TouchMisses++;
            return Answer(sink, CacheStatus.NotFound);
        }

        ItemHeader* item = _space.At(handle);
        CacheReply reply = default;
        reply.LastAccess = item->LastAccess(now);
        SetSequence(_sequence + 1);
        SetExpiry(item, request.ExpiresAt);
        Bump(item, now);
        _classes[_space.ClassOf(handle)].Counters.TouchHits++;
        _shard.CountUse(handle);
        return AnswerItem(sink, item, ref reply);
    }

    private bool ExecuteStore(in CacheRequest request, uint now, ReplySink sink)
    {
        if (Limits.IsItemTooLarge(request.Key.Length, request.Value.Length, request.ClientFlags, _itemBytesMax))
        {
            _shard.Counters.StoreTooLarge++;
            return FailStore(in request, now, sink, CacheStatus.TooLarge);
        }

        long dead = _shard.Counters.GetExpired + _shard.Counters.GetFlushed;
        uint old = FindLive(in request, now);
        CacheOperation operation = request.Operation;
        bool comparesCas = (request.Flags & RequestFlags.CompareCas) != 0;
        uint marks = MarksOf(in request);
        if (old == 0)
        {
            bool takesOver = _shard.Counters.GetExpired + _shard.Counters.GetFlushed != dead;
            switch (operation)
            {
                case CacheOperation.Set when !comparesCas:
                case CacheOperation.Add:
                    if (takesOver)
                        _classes[ClassOfRequest(in request)].Counters.Reclaimed++;
                    return Store(in request, 0, request.ClientFlags, request.ExpiresAt, marks, now, sink);
                case CacheOperation.Append or CacheOperation.Prepend when (request.Flags & RequestFlags.CreateOnMiss) != 0:
                    return Store(in request, 0, request.ClientFlags, request.CreateExpiresAt, marks, now, sink);
                case CacheOperation.Set:
                case CacheOperation.Replace when comparesCas:
                    _shard.Counters.CasMisses++;
                    CountSet(in request);
                    return Answer(sink, CacheStatus.NotFound);
                default:
                    CountSet(in request);
                    return Answer(sink, CacheStatus.NotStored);
            }
        }

        ItemHeader* item = _space.At(old);
        switch (operation)
        {
            case CacheOperation.Add:
                CountSet(in request);
                Bump(item, now, fetched: false);
                return Answer(sink, CacheStatus.NotStored);

            case CacheOperation.Append:
            case CacheOperation.Prepend:
                if (comparesCas && request.CompareCas != 0 && !_noCas && request.CompareCas != item->Cas)
                {
                    CountSet(in request);
                    return Answer(sink, CacheStatus.Exists);
                }

                return Extend(in request, old, now, sink);

            default:
                uint expiresAt = request.ExpiresAt;
                if (comparesCas)
                {
                    ref SlabClassCounters counters = ref _classes[_space.ClassOf(old)].Counters;
                    bool comparable = !_noCas && request.CompareCas != 0;
                    if (comparable && (request.Flags & RequestFlags.Invalidate) != 0 && request.CompareCas < item->Cas)
                    {
                        // The value replaced is newer than the one the client saw: store, but say so to those who read it.
                        expiresAt = item->ExpiresAt;
                        marks |= ItemWord.Stale | (item->Word & ItemWord.TokenSent);
                    }
                    else if (!comparable || request.CompareCas != item->Cas)
                    {
                        counters.CasBadValue++;
                        CountSet(in request);
                        return Answer(sink, CacheStatus.Exists);
                    }

                    if (!Store(in request, old, request.ClientFlags, expiresAt, marks, now, sink))
                        return false;
                    counters.CasHits++;
                    return true;
                }

                return Store(in request, old, request.ClientFlags, expiresAt, marks, now, sink);
        }
    }

    /// <summary>Stores the request's value in place of <paramref name="old"/> (0 if there is none) and answers.</summary>
    private bool Store(in CacheRequest request, uint old, uint clientFlags, uint expiresAt, uint marks, uint now, ReplySink sink)
    {
        uint handle = old;
        CacheReply reply = default;
        if (old != 0 && CanOverwrite(old, request.Key.Length, clientFlags, request.Value.Length))
        {
            Overwrite(old, in request, clientFlags, expiresAt, marks, now);
            _shard.Counters.TotalItems++;
            _shard.Ledger.Linked++;
            _shard.Ledger.Lose(LossCause.Replaced);
            _shard.CountUse(handle);
        }
        else
        {
            if (!TryAllocateFor(in request, ref old, clientFlags, expiresAt, now, out handle))
                return _shard.PagesWanted == 0 && FailStore(in request, now, sink, CacheStatus.OutOfMemory, count: true);
            _space.At(handle)->Word |= marks;
            var writer = new ValueWriter(in _space, _sizes, handle);
            writer.Write(request.Value);
            Swap(old, handle, in request, now);
        }

        _classes[_space.ClassOf(handle)].Counters.CmdSet++;
        return AnswerItem(sink, _space.At(handle), ref reply);
    }

    /// <summary>Writes over an item that lies in one chunk, where the new one fits as well as it.</summary>
    private void Overwrite(uint handle, in CacheRequest request, uint clientFlags, uint expiresAt, uint marks, uint now)
    {
        ItemHeader* item = _space.At(handle);
        long before = _space.RequestedBytes(item);
        uint word = item->Word & (ItemWord.QueueMask | ItemWord.FrequencyMask);
        word |= marks | (clientFlags == 0 ? 0 : ItemWord.HasFlags) | (uint)request.Value.Length;
        item->Word = word | ((uint)ChunkKind.Building << ItemWord.KindShift);
        item->ExpiresAt = expiresAt;
        item->Cas = NextCas(in request, item);
        item->SetAccess(now);
        byte* value = _space.ValueOf(item);
        if (clientFlags != 0)
            *(uint*)(value - ItemHeader.FlagsBytes) = clientFlags;
        request.Value.CopyTo(new Span<byte>(value, request.Value.Length));
        AddRead(item);
        if (_hasChecksums)
            ItemChecksum.Set(in _space, _sizes, handle);
        item->Kind = ChunkKind.Item;
        AddBytes(handle, _space.RequestedBytes(item) - before);
        bool isTemp = _arena.Eviction.QueueOf(expiresAt, now, isGhost: false) == QueueId.Temp;
        if (isTemp != (item->Queue == QueueId.Temp))
            ChangeQueue(handle, isTemp ? QueueId.Temp : QueueId.Small);
    }

    private void ChangeQueue(uint handle, QueueId queue)
    {
        ItemHeader* item = _space.At(handle);
        ref ClassQueues queues = ref _classes[_space.ClassOf(handle)].Queues;
        queues.Remove(in _space, handle);
        item->Word = (item->Word & ~ItemWord.QueueMask) | ((uint)queue << ItemWord.QueueShift);
        queues.Add(in _space, handle);
    }

    /// <summary>An item has grown or shrunk where it lies.</summary>
    private void AddBytes(uint handle, long bytes)
    {
        if (bytes == 0)
            return;
        ItemBytes += bytes;
        _shard.AddBytes(_space.ClassOf(handle), bytes);
    }

    /// <summary>Append and prepend: a new item of both parts, with the old one's flags and expiry.</summary>
    private bool Extend(in CacheRequest request, uint old, uint now, ReplySink sink)
    {
        ItemHeader* oldItem = _space.At(old);
        int oldLength = _space.ValueLength(oldItem);
        uint clientFlags = _space.ClientFlags(oldItem);
        long length = (long)oldLength + request.Value.Length;
        // As memcached: what does not fit together is not stored, and the old value stays.
        if (Limits.IsItemTooLarge(request.Key.Length, length, clientFlags, _itemBytesMax))
        {
            CountSet(in request);
            return Answer(sink, CacheStatus.NotStored);
        }

        _shard.Guarded = old;
        bool allocated = TryAllocate(in request, clientFlags, (int)length, oldItem->ExpiresAt, now, out uint handle);
        _shard.Guarded = 0;
        if (!allocated)
        {
            if (_shard.PagesWanted != 0)
                return false;
            CountSet(in request);
            return Answer(sink, CacheStatus.NotStored);
        }

        ItemHeader* item = _space.At(handle);
        var writer = new ValueWriter(in _space, _sizes, handle);
        if (request.Operation == CacheOperation.Prepend)
            writer.Write(request.Value);
        var cursor = default(ValueCursor);
        for (int offset = 0; offset < oldLength;)
        {
            byte* run = ItemChain.GetRun(in _space, _sizes, old, offset, ref cursor, out int runBytes);
            writer.Write(new ReadOnlySpan<byte>(run, runBytes));
            offset += runBytes;
        }

        if (request.Operation == CacheOperation.Append)
            writer.Write(request.Value);
        CountSet(in request);
        Swap(old, handle, in request, now);
        CacheReply reply = default;
        return AnswerItem(sink, item, ref reply);
    }

    private bool ExecuteDelete(in CacheRequest request, uint now, ReplySink sink)
    {
        uint handle = FindLive(in request, now);
        bool isRefusedStore = (request.Flags & RequestFlags.RefusedStore) != 0;
        if (handle == 0)
        {
            if (!isRefusedStore)
                _shard.Counters.DeleteMisses++;
            return Answer(sink, CacheStatus.NotFound);
        }

        ItemHeader* item = _space.At(handle);
        if ((request.Flags & RequestFlags.CompareCas) != 0 && item->Cas != request.CompareCas)
        {
            _shard.Counters.DeleteMisses++;
            return Answer(sink, CacheStatus.Exists);
        }

        if ((request.Flags & (RequestFlags.DropValue | RequestFlags.Invalidate)) != 0)
            return Invalidate(in request, handle, now, sink);

        SetSequence(_sequence + 1);
        if (!isRefusedStore)
            _classes[_space.ClassOf(handle)].Counters.DeleteHits++;
        Unlink(request.KeyHash, handle, LossCause.Deleted);
        return Answer(sink, CacheStatus.Ok);
    }

    /// <summary>Meta delete that keeps the key: x leaves an empty item, I marks it as stale.</summary>
    private bool Invalidate(in CacheRequest request, uint handle, uint now, ReplySink sink)
    {
        ItemHeader* item = _space.At(handle);
        if ((request.Flags & RequestFlags.DropValue) != 0)
        {
            ulong cas = item->Cas;
            uint isExplicit = item->Word & ItemWord.ExplicitCas;
            _shard.Guarded = handle;
            bool allocated = TryAllocate(in request, request.ClientFlags, 0, request.ExpiresAt, now, out uint empty);
            _shard.Guarded = 0;
            if (!allocated)
                return _shard.PagesWanted == 0 && Answer(sink, CacheStatus.OutOfMemory);
            Swap(handle, empty, in request, now);
            handle = empty;
            item = _space.At(handle);
            if ((request.Flags & RequestFlags.ExplicitCas) == 0)
            {
                SetCas(handle, cas);
                item->Word |= isExplicit;
            }
        }

        if ((request.Flags & RequestFlags.Invalidate) != 0)
        {
            if ((request.Flags & RequestFlags.Touch) != 0)
                SetExpiry(item, request.ExpiresAt);
            item->Word = (item->Word | ItemWord.Stale) & ~ItemWord.TokenSent;
            SetCas(handle, NextCas(in request, item));
        }
        else
        {
            _classes[_space.ClassOf(handle)].Counters.DeleteHits++;
        }

        CacheReply reply = default;
        return AnswerItem(sink, item, ref reply);
    }
}
