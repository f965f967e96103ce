using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace OrleansCache.Gateway.Buffers;

/// <summary>
/// A queue of unsent bytes: a list of chunks, written at the end and consumed at the front. Empty, it holds no memory.
/// </summary>
/// <param name="pool">The loop's chunks.</param>
/// <param name="tight">For replies that wait: take small chunks, because thousands of them may be waiting.</param>
internal sealed unsafe class OutputList(ChunkPool pool, bool tight)
{
    // A waiting reply up to this size is copied behind its predecessor instead of keeping a chunk of its own.
    private const int CoalesceBytesMax = 4096;

    private OutputChunk? _tail;

    public OutputChunk? Head { get; private set; }

    /// <summary>Unsent bytes, pinned values included.</summary>
    public long Bytes { get; private set; }

    public bool IsEmpty => Bytes == 0;

    /// <summary>A place in the list; valid until something is consumed.</summary>
    public readonly struct Mark(OutputChunk? chunk, int end, long bytes)
    {
        public readonly OutputChunk? Chunk = chunk;
        public readonly int End = end;
        public readonly long Bytes = bytes;
    }

    /// <summary>At least <paramref name="bytes"/> contiguous free bytes; <see cref="Commit"/> what was written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<byte> Reserve(int bytes)
    {
        OutputChunk? tail = _tail;
        if (tail is null || tail.IsPin || tail.Capacity - tail.End < bytes)
            tail = Grow(bytes);
        return new Span<byte>(tail.Data + tail.End, tail.Capacity - tail.End);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Commit(int bytes)
    {
        OutputChunk tail = _tail!;
        Debug.Assert(!tail.IsPin && tail.End + bytes <= tail.Capacity);
        tail.End += bytes;
        Bytes += bytes;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Reserve(bytes.Length));
        Commit(bytes.Length);
    }

    /// <summary>
    /// A large value, from where it lies if it can be pinned, else as a copy if there is room for one, or <paramref name="must"/>. Null if neither. Nothing
    /// is written yet:
    /// give what it returns to <see cref="Write(OutputChunk)"/>.
    /// </summary>
    public OutputChunk? Take(in ValueView value, bool must)
    {
        if (value.TryPin(out PinnedValue pin))
            return pool.RentPin(pin);
        if (!must && (value.Length > Limits.LockedCopyBytesMax || !pool.HasRoom(value.Length)))
            return null;
        OutputChunk chunk = pool.Rent(value.Length, tight: true);
        value.CopyTo(new Span<byte>(chunk.Data, value.Length));
        chunk.End = value.Length;
        return chunk;
    }

    /// <summary>What <see cref="Take"/> has returned.</summary>
    public void Write(OutputChunk taken)
    {
        Bytes += taken.End;
        Append(taken);
    }

    public Mark GetMark() => new(_tail, _tail?.End ?? 0, Bytes);

    /// <summary>Moves everything written since the mark to the end of another list.</summary>
    public void MoveSince(Mark mark, OutputList target)
    {
        long moved = Bytes - mark.Bytes;
        Debug.Assert(moved >= 0);
        if (moved == 0)
            return;
        OutputChunk? rest;
        if (mark.Chunk is null)
        {
            rest = Head;
            Head = _tail = null;
        }
        else
        {
            int inside = mark.Chunk.IsPin ? 0 : mark.Chunk.End - mark.End;
            if (inside > 0)
            {
                target.Write(new ReadOnlySpan<byte>(mark.Chunk.Data + mark.End, inside));
                mark.Chunk.End = mark.End;
            }

            rest = mark.Chunk.Next;
            mark.Chunk.Next = null;
            _tail = mark.Chunk;
            moved -= inside;
        }

        Bytes = mark.Bytes;
        while (rest is { } chunk)
        {
            rest = chunk.Next;
            chunk.Next = null;
            target.Append(chunk);
        }

        target.Bytes += moved;
    }

    /// <summary>Moves all of another list to the end of this one; small pieces are copied together.</summary>
    public void TakeAll(OutputList source)
    {
        OutputChunk? next = source.Head;
        while (next is { } chunk)
        {
            next = chunk.Next;
            chunk.Next = null;
            int length = chunk.End - chunk.Start;
            if (!chunk.IsPin && length <= CoalesceBytesMax)
            {
                new ReadOnlySpan<byte>(chunk.Data + chunk.Start, length).CopyTo(Reserve(length));
                _tail!.End += length;
                pool.Return(chunk);
            }
            else
            {
                Append(chunk);
            }
        }

        Bytes += source.Bytes;
        source.Head = source._tail = null;
        source.Bytes = 0;
    }

    /// <summary>Drops the first bytes, which have been sent.</summary>
    public void Consume(long bytes)
    {
        Debug.Assert(bytes <= Bytes);
        Bytes -= bytes;
        while (Head is { } chunk)
        {
            int length = chunk.End - chunk.Start;
            if (bytes < length)
            {
                chunk.Start += (int)bytes;
                return;
            }

            bytes -= length;
            Head = chunk.Next;
            pool.Return(chunk);
        }

        _tail = null;
    }

    /// <summary>Drops everything and releases the pins.</summary>
    public void Clear() => Consume(Bytes);

    private OutputChunk Grow(int bytes)
    {
        OutputChunk chunk = pool.Rent(bytes, tight);
        Append(chunk);
        return chunk;
    }

    private void Append(OutputChunk chunk)
    {
        if (_tail is null)
            Head = chunk;
        else
            _tail.Next = chunk;
        _tail = chunk;
    }
}
