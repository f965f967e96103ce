using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansCache;

/// <summary>Fills a span with what <see cref="WireReader"/> reads. The caller has made room: writing past the end throws.</summary>
public ref struct WireWriter(Span<byte> destination)
{
    private readonly int _length = destination.Length;
    private Span<byte> _rest = destination;

    /// <summary>Bytes written so far.</summary>
    public readonly int Written => _length - _rest.Length;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Byte(byte value) => Write(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void UInt16(ushort value) => Write(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Int32(int value) => Write(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void UInt32(uint value) => Write(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Int64(long value) => Write(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void UInt64(ulong value) => Write(value);

    /// <summary>How many bytes a number needs: none for 0, at most 8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int BytesOf(ulong value) => (71 - BitOperations.LeadingZeroCount(value)) >> 3;

    /// <summary>The lowest bytes of a number, 0 to 8 of them. Whoever reads it must know how many.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void UInt64(ulong value, int bytes)
    {
        Span<byte> rest = _rest;
        if (rest.Length >= sizeof(ulong))
        {
            // What is beyond the number is written over by what follows.
            MemoryMarshal.Write(rest, WireNumber.Order(value));
            _rest = rest[bytes..];
            return;
        }

        for (int i = 0; i < bytes; i++)
            Write((byte)(value >> (8 * i)));
    }

    public void Seed(HashSeed value) => value.Write(Take(HashSeed.Bytes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Bytes(scoped ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    /// <summary>The next bytes, to be filled by the caller.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<byte> Take(int count)
    {
        Span<byte> rest = _rest;
        _rest = rest[count..];
        return rest[..count];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Write<T>(T value)
        where T : unmanaged
    {
        Span<byte> rest = _rest;
        MemoryMarshal.Write(rest, WireNumber.Order(value));
        _rest = rest[Unsafe.SizeOf<T>()..];
    }
}
