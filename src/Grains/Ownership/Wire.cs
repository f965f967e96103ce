using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace OrleansCache.Grains.Ownership;

/// <summary>Writes the control messages' wire forms: little endian, texts and byte strings with a 32-bit length before them.</summary>
internal sealed class WireWriter(int bytesExpected = 256)
{
    private readonly ArrayBufferWriter<byte> _buffer = new(bytesExpected);

    public void Byte(byte value)
    {
        _buffer.GetSpan(1)[0] = value;
        _buffer.Advance(1);
    }

    public void Int32(int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.GetSpan(4), value);
        _buffer.Advance(4);
    }

    public void Int64(long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(_buffer.GetSpan(8), value);
        _buffer.Advance(8);
    }

    public void Seed(HashSeed value)
    {
        value.Write(_buffer.GetSpan(HashSeed.Bytes));
        _buffer.Advance(HashSeed.Bytes);
    }

    public void Bytes(ReadOnlySpan<byte> value)
    {
        Int32(value.Length);
        _buffer.Write(value);
    }

    public void Text(string value)
    {
        int length = Encoding.UTF8.GetByteCount(value);
        Int32(length);
        Encoding.UTF8.GetBytes(value, _buffer.GetSpan(length));
        _buffer.Advance(length);
    }

    public byte[] ToArray() => _buffer.WrittenSpan.ToArray();
}

/// <summary>Reads what <see cref="WireWriter"/> wrote. Never throws: reading past the end gives zeros and sets <see cref="Failed"/>.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> wire)
{
    private ReadOnlySpan<byte> _rest = wire;

    public bool Failed { get; private set; }

    public readonly int Remaining => _rest.Length;

    public byte Byte() => Take(1) is { Length: 1 } bytes ? bytes[0] : (byte)0;

    public int Int32() => Take(4) is { Length: 4 } bytes ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : 0;

    public long Int64() => Take(8) is { Length: 8 } bytes ? BinaryPrimitives.ReadInt64LittleEndian(bytes) : 0;

    public HashSeed Seed() => Take(HashSeed.Bytes) is { Length: HashSeed.Bytes } bytes ? HashSeed.Read(bytes) : default;

    public ReadOnlySpan<byte> Bytes()
    {
        int length = Int32();
        return Take(length);
    }

    public string String() => Encoding.UTF8.GetString(Bytes());

    /// <summary>A silo, or none where the text is empty.</summary>
    public SiloId Silo()
    {
        ReadOnlySpan<byte> text = Bytes();
        if (text.IsEmpty)
            return default;
        if (!SiloId.TryParse(Encoding.UTF8.GetString(text), out SiloId silo))
            Failed = true;
        return silo;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (Failed || count < 0 || count > _rest.Length)
        {
            Failed = true;
            return default;
        }

        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
