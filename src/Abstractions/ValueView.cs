using System.Runtime.CompilerServices;

namespace OrleansCache;

/// <summary>
/// A value's bytes where they lie: one contiguous span, or a chain of chunks that its owner walks.
/// Valid only during <see cref="ReplySink.OnReply"/>; <see cref="TryPin"/> gives a handle that outlives it.
/// </summary>
public readonly ref struct ValueView
{
    private readonly ReadOnlySpan<byte> _single;
    private readonly ValueOwner? _owner;
    private readonly uint _handle;

    /// <summary>A value that lies in one piece. <paramref name="owner"/> may be null: then it cannot be pinned.</summary>
    public ValueView(ReadOnlySpan<byte> bytes, ValueOwner? owner = null, uint handle = 0)
    {
        _single = bytes;
        _owner = owner;
        _handle = handle;
        Length = bytes.Length;
    }

    /// <summary>A value of <paramref name="length"/> bytes in chunks that <paramref name="owner"/> knows.</summary>
    public ValueView(int length, ValueOwner owner, uint handle)
    {
        _owner = owner;
        _handle = handle;
        Length = length;
    }

    /// <summary>A value whose bytes were not asked for: only its length is known.</summary>
    public static ValueView OfLength(int length) => new(length);

    private ValueView(int length) => Length = length;

    /// <summary>Bytes in all.</summary>
    public int Length { get; }

    /// <summary>Whether <see cref="Span"/> holds the whole value.</summary>
    public bool IsContiguous => _single.Length == Length;

    /// <summary>False if only the length is known (the request did not ask for the bytes).</summary>
    public bool HasBytes => IsContiguous || _owner is not null;

    /// <summary>The value, if <see cref="IsContiguous"/>.</summary>
    public ReadOnlySpan<byte> Span => _single;

    /// <summary>Copies the whole value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void CopyTo(Span<byte> destination)
    {
        if (IsContiguous)
            _single.CopyTo(destination);
        else
            _owner!.CopyTo(_handle, 0, destination[..Length]);
    }

    /// <summary>
    /// Keeps the value's memory alive and unchanged beyond the call. False if the owner will not (nothing to pin, or too much memory is pinned already):
    /// then copy. Every pin that is given is released exactly once, from any thread.
    /// </summary>
    public bool TryPin(out PinnedValue pinned)
    {
        if (_owner is not null && _owner.TryPin(_handle))
        {
            pinned = new PinnedValue(_owner, _handle, Length);
            return true;
        }

        pinned = default;
        return false;
    }
}

/// <summary>What lends out values: a partition's store.</summary>
public abstract class ValueOwner
{
    /// <summary>Called under the partition's lock, from <see cref="ReplySink.OnReply"/> only.</summary>
    protected internal abstract bool TryPin(uint handle);

    /// <summary>Called from any thread, without the partition's lock.</summary>
    protected internal abstract void Unpin(uint handle);

    /// <summary>Copies from <paramref name="offset"/> on, as much as fits. The item must be pinned or its partition's lock held.</summary>
    protected internal abstract void CopyTo(uint handle, int offset, Span<byte> destination);

    /// <summary>
    /// The contiguous run that begins at <paramref name="offset"/>; native memory, so that an I/O call can take it as it is. The item must be pinned.
    /// </summary>
    protected internal abstract unsafe byte* GetRun(uint handle, int offset, out int length);

    /// <summary>
    /// As the other, from a place remembered by an earlier call for the same item. An owner whose values lie in one piece need not remember any.
    /// </summary>
    protected internal virtual unsafe byte* GetRun(uint handle, int offset, ref ValueCursor cursor, out int length) => GetRun(handle, offset, out length);
}

/// <summary>
/// Where the last call of GetRun found its run, so that the next one need not walk there from the value's beginning: a walk over a value costs as many steps as
/// it has runs. The default is the beginning; going back costs a walk, and is allowed.
/// </summary>
public struct ValueCursor
{
    /// <summary>The owner's name for the run; 0 is the first.</summary>
    public uint Run { get; set; }

    /// <summary>The offset in the value at which that run begins.</summary>
    public int RunOffset { get; set; }
}

/// <summary>A value kept alive by a pin. Dispose exactly once.</summary>
public readonly struct PinnedValue
{
    private readonly ValueOwner _owner;
    private readonly uint _handle;

    internal PinnedValue(ValueOwner owner, uint handle, int length)
    {
        _owner = owner;
        _handle = handle;
        Length = length;
    }

    /// <summary>Bytes in all.</summary>
    public int Length { get; }

    /// <summary>Copies from <paramref name="offset"/> on, as much as fits.</summary>
    public void CopyTo(int offset, Span<byte> destination) => _owner.CopyTo(_handle, offset, destination);

    /// <summary>The contiguous run that begins at <paramref name="offset"/>. Walk a value by adding each run's length until <see cref="Length"/>.</summary>
    public unsafe byte* GetRun(int offset, out int length) => _owner.GetRun(_handle, offset, out length);

    /// <summary>As the other, for a walk: with the same cursor at each step.</summary>
    public unsafe byte* GetRun(int offset, ref ValueCursor cursor, out int length) => _owner.GetRun(_handle, offset, ref cursor, out length);

    /// <summary>Gives the memory back to the store.</summary>
    public void Release() => _owner.Unpin(_handle);
}
