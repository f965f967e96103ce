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
                _counters.IncrMisses++;
            else
                _counters.DecrMisses++;
            return Answer(sink, CacheStatus.NotFound);
        }

        item = _space.At(handle);
        if (item->ValueLength == 0)
            return Answer(sink, CacheStatus.NotNumeric);
        if ((request.Flags & RequestFlags.CompareCas) != 0 && request.CompareCas != 0 && request.CompareCas != item->Cas)
            return Answer(sink, CacheStatus.Exists);
        if (!TryReadCounter(handle, item, out ulong value))
            return Answer(sink, CacheStatus.NotNumeric);

        value = increment ? unchecked(value + request.Delta) : value - Math.Min(value, request.Delta);
        text = text[..NumberText.Format(value, text)];
        reply.LastAccess = item->LastAccess;
        if (text.Length <= item->ValueLength && Volatile.Read(ref item->Pins) == 0)
        {
            WriteCounter(handle, item, text);
            item->Cas = NextCas(in request);
            Bump(item, now, fetched: false);
        }
        else
        {
            _guarded = handle;
            bool allocated = TryAllocate(request.Key.Length, text.Length, now, out uint longer);
            _guarded = 0;
            if (!allocated)
                return PagesWanted == 0 && Answer(sink, CacheStatus.OutOfMemory);
            ItemHeader* longerItem = _space.At(longer);
            Fill(longerItem, in request, item->ClientFlags, item->ExpiresAt);
            text.CopyTo(new Span<byte>(ItemHeader.ValueOf(longerItem), text.Length));
            Swap(handle, longer, in request, now);
            item = longerItem;
        }

        if (increment)
            _classes[item->ClassIndex].Counters.IncrHits++;
        else
            _classes[item->ClassIndex].Counters.DecrHits++;
        uint shownExpiresAt = item->ExpiresAt;
        if ((request.Flags & RequestFlags.Touch) != 0)
        {
            item->ExpiresAt = request.ExpiresAt;
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
        if (!TryAllocate(request.Key.Length, text.Length, now, out uint handle))
            return PagesWanted == 0 && Answer(sink, CacheStatus.OutOfMemory);
        ItemHeader* item = _space.At(handle);
        Fill(item, in request, 0, request.CreateExpiresAt);
        text.CopyTo(new Span<byte>(ItemHeader.ValueOf(item), text.Length));
        Link(handle, request.KeyHash, NextCas(in request), now);
        CacheReply reply = default;
        reply.ItemFlags = ItemFlags.Created;
        reply.Number = request.InitialValue;
        return AnswerItem(sink, item, ref reply);
    }

    private bool TryReadCounter(uint handle, ItemHeader* item, out ulong value) => item->IsChained
        ? TryReadChainedCounter(handle, item, out value)
        : NumberText.TryParse(new ReadOnlySpan<byte>(ItemHeader.ValueOf(item), item->ValueLength), out value);

    private void WriteCounter(uint handle, ItemHeader* item, ReadOnlySpan<byte> text)
    {
        if (item->IsChained)
        {
            WriteChainedCounter(handle, item, text);
            return;
        }

        var place = new Span<byte>(ItemHeader.ValueOf(item), item->ValueLength);
        text.CopyTo(place);
        place[text.Length..].Fill((byte)' ');
    }

    /// <summary>A text that begins with a number, and goes on for long behind a space. Nobody means it as a counter, but memcached counts with it.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryReadChainedCounter(uint handle, ItemHeader* item, out ulong value)
    {
        value = 0;
        if (Limits.IsItemTooLarge(item->KeyLength, item->ValueLength, item->ClientFlags, Limits.CounterItemBytesMax))
            return false;
        int length = item->ValueLength;
        byte[] copy = ArrayPool<byte>.Shared.Rent(length);
        CopyTo(handle, 0, copy.AsSpan(0, length));
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
        for (int left = item->ValueLength - text.Length; left > 0; left -= spaces.Length)
            writer.Write(spaces[..Math.Min(left, spaces.Length)]);
    }
}
