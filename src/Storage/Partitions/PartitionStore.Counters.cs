using System.Buffers;
using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

// Counters: decimal text, changed where it lies as long as the result is no longer than what is there.
public sealed unsafe partial class PartitionStore
{
    private bool ExecuteArithmetic(in CacheRequest request, uint now, ReplySink sink)
    {
        bool increment = request.Operation == CacheOperation.Increment;
        Span<byte> text = stackalloc byte[NumberText.BytesMax];
        CacheReply reply = default;
        uint handle = FindLive(in request, now);
        ItemHeader* item;
        if (handle == 0)
        {
            if ((request.Flags & RequestFlags.CreateOnMiss) != 0)
                return CreateCounter(in request, now, sink);
            if (increment)
                _shard.Counters.IncrMisses++;
            else
                _shard.Counters.DecrMisses++;
            return Answer(sink, CacheStatus.NotFound);
        }

        item = _space.At(handle);
        if (_space.ValueLength(item) == 0)
            return Answer(sink, CacheStatus.NotNumeric);
        if ((request.Flags & RequestFlags.CompareCas) != 0 && request.CompareCas != 0 && request.CompareCas != item->Cas)
            return Answer(sink, CacheStatus.Exists);
        if (!TryReadCounter(handle, item, out ulong value))
            return Answer(sink, CacheStatus.NotNumeric);

        value = increment ? unchecked(value + request.Delta) : value - Math.Min(value, request.Delta);
        text = text[..NumberText.Format(value, text)];
        reply.LastAccess = item->LastAccess(now);
        if (text.Length <= _space.ValueLength(item) && !_shard.Pins.IsPinned(handle))
        {
            WriteCounter(handle, item, text);
            SetCas(handle, NextCas(in request, item));
            Bump(item, now, fetched: false);
        }
        else
        {
            _shard.Guarded = handle;
            bool allocated = TryAllocate(in request, _space.ClientFlags(item), text.Length, item->ExpiresAt, now, out uint longer);
            _shard.Guarded = 0;
            if (!allocated)
                return _shard.PagesWanted == 0 && Answer(sink, CacheStatus.OutOfMemory);
            text.CopyTo(new Span<byte>(_space.ValueOf(_space.At(longer)), text.Length));
            Swap(handle, longer, in request, now);
            handle = longer;
            item = _space.At(handle);
        }

        if (increment)
            _classes[_space.ClassOf(handle)].Counters.IncrHits++;
        else
            _classes[_space.ClassOf(handle)].Counters.DecrHits++;
        uint shownExpiresAt = item->ExpiresAt;
        if ((request.Flags & RequestFlags.Touch) != 0)
        {
            SetExpiry(item, request.ExpiresAt);
            if ((request.Flags & RequestFlags.FormerExpiry) == 0)
                shownExpiresAt = request.ExpiresAt;
        }

        reply.Number = value;
        return AnswerItem(sink, item, shownExpiresAt, ref reply);
    }

    private bool CreateCounter(in CacheRequest request, uint now, ReplySink sink)
    {
        Span<byte> text = stackalloc byte[NumberText.BytesMax];
        text = text[..NumberText.Format(request.InitialValue, text)];
        if (!TryAllocate(in request, 0, text.Length, request.CreateExpiresAt, now, out uint handle))
            return _shard.PagesWanted == 0 && Answer(sink, CacheStatus.OutOfMemory);
        ItemHeader* item = _space.At(handle);
        text.CopyTo(new Span<byte>(_space.ValueOf(item), text.Length));
        LinkNew(handle, in request, now);
        CacheReply reply = default;
        reply.ItemFlags = ItemFlags.Created;
        reply.Number = request.InitialValue;
        return AnswerItem(sink, item, ref reply);
    }

    private bool TryReadCounter(uint handle, ItemHeader* item, out ulong value) => item->IsChained
        ? TryReadChainedCounter(handle, item, out value)
        : NumberText.TryParse(new ReadOnlySpan<byte>(_space.ValueOf(item), _space.ValueLength(item)), out value);

    private void WriteCounter(uint handle, ItemHeader* item, ReadOnlySpan<byte> text)
    {
        if (item->IsChained)
        {
            WriteChainedCounter(handle, item, text);
            return;
        }

        var place = new Span<byte>(_space.ValueOf(item), _space.ValueLength(item));
        text.CopyTo(place);
        place[text.Length..].Fill((byte)' ');
    }

    /// <summary>A text that begins with a number, and goes on for long behind a space. Nobody means it as a counter, but memcached counts with it.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryReadChainedCounter(uint handle, ItemHeader* item, out ulong value)
    {
        value = 0;
        if (Limits.IsItemTooLarge(item->KeyLength, _space.ValueLength(item), _space.ClientFlags(item), Limits.CounterItemBytesMax))
            return false;
        int length = _space.ValueLength(item);
        byte[] copy = ArrayPool<byte>.Shared.Rent(length);
        ItemChain.CopyTo(in _space, _sizes, handle, 0, copy.AsSpan(0, length));
        bool isNumber = NumberText.TryParse(copy.AsSpan(0, length), out value);
        ArrayPool<byte>.Shared.Return(copy);
        return isNumber;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteChainedCounter(uint handle, ItemHeader* item, ReadOnlySpan<byte> text)
    {
        ReadOnlySpan<byte> spaces = "                                                                "u8;
        var writer = new ValueWriter(_space, _sizes, handle);
        writer.Write(text);
        for (int left = _space.ValueLength(item) - text.Length; left > 0; left -= spaces.Length)
            writer.Write(spaces[..Math.Min(left, spaces.Length)]);
    }
}
