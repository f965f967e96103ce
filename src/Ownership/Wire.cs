using System.Buffers;
using System.Text;

namespace OrleansCache.Ownership;

/// <summary>A <see cref="WireWriter"/> that makes its own room, for messages whose length is not known in advance.</summary>
internal sealed class MessageWriter(int bytesExpected = 256)
{
    private readonly ArrayBufferWriter<byte> _buffer = new(bytesExpected);

    public void Byte(byte value) => Take(1).Byte(value);

    public void Int32(int value) => Take(4).Int32(value);

    public void Int64(long value) => Take(8).Int64(value);

    public void Seed(HashSeed value) => Take(HashSeed.Bytes).Seed(value);

    /// <summary>With a 32-bit length before them.</summary>
    public void Bytes(ReadOnlySpan<byte> value)
    {
        Int32(value.Length);
        Take(value.Length).Bytes(value);
    }

    /// <summary>UTF-8, with a 32-bit length before it.</summary>
    public void Text(string value)
    {
        int length = Encoding.UTF8.GetByteCount(value);
        Int32(length);
        Encoding.UTF8.GetBytes(value, Take(length).Take(length));
    }

    public byte[] ToArray() => _buffer.WrittenSpan.ToArray();

    private WireWriter Take(int bytes)
    {
        var writer = new WireWriter(_buffer.GetSpan(bytes)[..bytes]);
        _buffer.Advance(bytes);
        return writer;
    }
}

/// <summary>What the control messages read beyond numbers.</summary>
internal static class WireReaderExtensions
{
    /// <summary>Bytes with a 32-bit length before them, in place.</summary>
    public static ReadOnlySpan<byte> Bytes(this scoped ref WireReader reader) => reader.Bytes(reader.Int32());

    public static string String(this scoped ref WireReader reader) => Encoding.UTF8.GetString(reader.Bytes());

    /// <summary>A silo, or none where the text is empty.</summary>
    public static SiloId Silo(this scoped ref WireReader reader)
    {
        ReadOnlySpan<byte> text = reader.Bytes();
        if (text.IsEmpty)
            return default;
        if (!SiloId.TryParse(Encoding.UTF8.GetString(text), out SiloId silo))
            reader.Fail();
        return silo;
    }
}
