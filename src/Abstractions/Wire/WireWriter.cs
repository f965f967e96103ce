using System.Buffers.Binary;

namespace OrleansCache;

/// <summary>Fills a span with what <see cref="WireReader"/> reads. The caller has made room: writing past the end throws.</summary>
public ref struct WireWriter(Span<byte> destination)
{
    private readonly int _length = destination.Length;
    private Span<byte> _rest = destination;

    /// <summary>Bytes written so far.</summary>
    public readonly int Written => _length - _rest.Length;

    public void Byte(byte value) => Take(1)[0] = value;

    public void UInt16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Take(2), value);

    public void Int32(int value) => BinaryPrimitives.WriteInt32LittleEndian(Take(4), value);

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

    public void Int64(long value) => BinaryPrimitives.WriteInt64LittleEndian(Take(8), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    public void Seed(HashSeed value) => value.Write(Take(HashSeed.Bytes));

    public void Bytes(ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    /// <summary>The next bytes, to be filled by the caller.</summary>
    public Span<byte> Take(int count)
    {
        Span<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
