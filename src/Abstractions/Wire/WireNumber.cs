using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace OrleansCache;

/// <summary>Numbers on the wire are little endian, whatever the machine.</summary>
internal static class WireNumber
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Order<T>(T value)
        where T : unmanaged
    {
        if (BitConverter.IsLittleEndian || Unsafe.SizeOf<T>() == 1)
            return value;
        return Unsafe.SizeOf<T>() switch
        {
            2 => Unsafe.BitCast<ushort, T>(BinaryPrimitives.ReverseEndianness(Unsafe.BitCast<T, ushort>(value))),
            4 => Unsafe.BitCast<uint, T>(BinaryPrimitives.ReverseEndianness(Unsafe.BitCast<T, uint>(value))),
            _ => Unsafe.BitCast<ulong, T>(BinaryPrimitives.ReverseEndianness(Unsafe.BitCast<T, ulong>(value))),
        };
    }
}
