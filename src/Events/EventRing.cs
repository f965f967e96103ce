using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansCache.Events;

/// <summary>
/// A bounded queue of events: many writers, one reader at a time.
/// <para>
/// Algorithm. A writer claims room by moving the tail (one compare-and-swap), fills it, and publishes the record by writing its length last. The reader takes
/// records in the order of the claims up to the first that is not published, clears their memory, and moves the head. A record never wraps: what is left at
/// the end is claimed along with it as padding (a negative length).
/// </para>
/// Goals: a writer never waits and allocates nothing; if there is no room it says so. Non-goal: telling the reader that something came.
/// </summary>
internal sealed class EventRing
{
    private const int Alignment = 8;

    private readonly byte[] _buffer;
    private readonly int _mask;
    private long _head;
    private long _tail;

    public EventRing(int bytes)
    {
        int size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(bytes, Limits.EventRingBytesMin, Limits.EventRingBytesMax));
        _buffer = new byte[size];
        _mask = size - 1;
    }

    /// <summary>Whether the reader has taken everything that was claimed.</summary>
    public bool IsEmpty => Volatile.Read(ref _tail) == Volatile.Read(ref _head);

    /// <summary>Where a reader that wants to end stops: nothing claimed later lies before it.</summary>
    public long Tail => Volatile.Read(ref _tail);

    /// <summary>False if there is no room; then nothing was written.</summary>
    public bool TryWrite(ref EventRecord record, ReadOnlySpan<byte> text)
    {
        if (text.Length > Limits.EventTextBytesMax)
            text = text[..Limits.EventTextBytesMax];
        int bytes = Align(EventRecord.Bytes + text.Length);
        int offset, padding;
        while (true)
        {
            long tail = Volatile.Read(ref _tail);
            offset = (int)(tail & _mask);
            padding = _buffer.Length - offset < bytes ? _buffer.Length - offset : 0;
            if (tail + padding + bytes - Volatile.Read(ref _head) > _buffer.Length)
                return false;
            if (Interlocked.CompareExchange(ref _tail, tail + padding + bytes, tail) == tail)
                break;
        }

        if (padding != 0)
        {
            Publish(offset, -padding);
            offset = 0;
        }

        record.Length = 0;
        record.TextLength = (ushort)text.Length;
        Span<byte> place = _buffer.AsSpan(offset, bytes);
        MemoryMarshal.Write(place, in record);
        text.CopyTo(place[EventRecord.Bytes..]);
        Publish(offset, bytes);
        return true;
    }

    /// <summary>
    /// Takes the next record before <paramref name="end"/>. <paramref name="text"/> has room for <see cref="Limits.EventTextBytesMax"/>. Never two threads at
    /// once.
    /// </summary>
    public bool TryRead(long end, out EventRecord record, Span<byte> text)
    {
        record = default;
        while (_head < end)
        {
            int offset = (int)(_head & _mask);
            int length = Volatile.Read(ref LengthAt(offset));
            if (length == 0)
                return false; // claimed, but not published yet
            int bytes = Math.Abs(length);
            Span<byte> place = _buffer.AsSpan(offset, bytes);
            if (length > 0)
            {
                record = MemoryMarshal.Read<EventRecord>(place);
                place.Slice(EventRecord.Bytes, record.TextLength).CopyTo(text);
            }

            // A later record may begin anywhere in here, and must find no length before it is published.
            place.Clear();
            Volatile.Write(ref _head, _head + bytes);
            if (length > 0)
                return true;
        }

        return false;
    }

    private static int Align(int bytes) => (bytes + Alignment - 1) & ~(Alignment - 1);

    private ref int LengthAt(int offset) => ref MemoryMarshal.AsRef<int>(_buffer.AsSpan(offset, sizeof(int)));

    private void Publish(int offset, int length) => Volatile.Write(ref LengthAt(offset), length);
}
