using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansCache;

/// <summary>
/// Walks bytes that another process has written: little endian, without padding. Never throws: a read past the end gives zeros and sets
/// <see cref="Failed"/>, so a format reads all its fields and asks once. Every format between silos is read by this type and written by
/// <see cref="WireWriter"/>. On hot paths keep it in a local variable: then its fields live in registers.
/// </summary>
public ref struct WireReader(ReadOnlySpan<byte> wire)
{
    private ReadOnlySpan<byte> _rest = wire;

    private static ReadOnlySpan<ulong> Masks =>
        [0, 0xFF, 0xFFFF, 0xFF_FFFF, 0xFFFF_FFFF, 0xFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF, 0xFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF];

    /// <summary>Something was read that is not there.</summary>
    public bool Failed { get; private set; }

    public readonly int Remaining => _rest.Length;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte Byte() => Read<byte>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ushort UInt16() => Read<ushort>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Int32() => Read<int>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint UInt32() => Read<uint>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long Int64() => Read<long>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong UInt64() => Read<ulong>();

    /// <summary>A number of 0 to 8 bytes, as <see cref="WireWriter.UInt64(ulong, int)"/> has written it; more than that is a failure.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong UInt64(int bytes)
    {
        ReadOnlySpan<byte> rest = _rest;
        ReadOnlySpan<ulong> masks = Masks;
        if (rest.Length < sizeof(ulong) || (uint)bytes >= (uint)masks.Length)
            return UInt64NearEnd(bytes);
        _rest = rest[bytes..];
        return WireNumber.Order(MemoryMarshal.Read<ulong>(rest)) & masks[bytes];
    }

    public HashSeed Seed() => Bytes(HashSeed.Bytes) is { Length: HashSeed.Bytes } bytes ? HashSeed.Read(bytes) : default;

    /// <summary>The next bytes, in place; none of them if there are fewer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<byte> Bytes(int count)
    {
        ReadOnlySpan<byte> rest = _rest;
        if ((uint)count > (uint)rest.Length)
        {
            Fail();
            return default;
        }

        _rest = rest[count..];
        return rest[..count];
    }

    /// <summary>What is read means nothing.</summary>
    public void Fail()
    {
        Failed = true;
        _rest = default;
    }

    private ulong UInt64NearEnd(int bytes)
    {
        if ((uint)bytes > sizeof(ulong))
        {
            Fail();
            return 0;
        }

        ulong value = 0;
        ReadOnlySpan<byte> taken = Bytes(bytes);
        for (int i = taken.Length - 1; i >= 0; i--)
            value = (value << 8) | taken[i];
        return value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private T Read<T>()
        where T : unmanaged
    {
        ReadOnlySpan<byte> rest = _rest;
        if (rest.Length < Unsafe.SizeOf<T>())
        {
            Failed = true;
            _rest = default;
            return default;
        }

        _rest = rest[Unsafe.SizeOf<T>()..];
        return WireNumber.Order(MemoryMarshal.Read<T>(rest));
    }
}
