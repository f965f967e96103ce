using System.Buffers;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Unicode;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client.Entries;

/// <summary>
/// Turns any string into a key that memcached takes. Different strings give different keys (those that are hashed: as surely as SHA-256 has no collisions).
/// <para>
/// In UTF-8, behind the prefix. What fits the line as it is, goes as it is: other clients find it under its own name. What has spaces or control characters
/// goes as the same bytes, in base64 on the wire. What is left (too long, empty, or lone surrogates) is hashed:
/// </para>
/// <code>
/// prefix | 0x01 | SHA-256 of the key in UTF-8          (33 bytes behind the prefix)
/// prefix | 0x02 | SHA-256 of the key in UTF-16, little endian: it has lone surrogates, and UTF-8 knows none
/// </code>
/// A key that itself begins with one of the two marks is hashed too, so it cannot be mistaken for a hashed one.
/// </summary>
internal sealed class CacheKey
{
    public const int PrefixBytesMax = 100;

    private const byte HashedUtf8 = 1, HashedUtf16 = 2;

    /// <summary>What cannot stand in a line: control characters and the space.</summary>
    private static readonly SearchValues<byte> s_unprintable = SearchValues.Create([.. Enumerable.Range(0, 0x21).Select(i => (byte)i), 0x7f]);

    private readonly byte[] _prefix;

    public CacheKey(string prefix)
    {
        _prefix = Encoding.UTF8.GetBytes(prefix);
        Debug.Assert(IsValidPrefix(prefix));
    }

    public static bool IsValidPrefix(string prefix)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(prefix);
        return bytes.Length <= PrefixBytesMax && bytes.AsSpan().IndexOfAny(s_unprintable) < 0;
    }

    /// <summary>Writes the key's bytes, 1 to <see cref="Limits.KeyBytesMax"/>, and returns their number.</summary>
    /// <param name="key">Any string.</param>
    /// <param name="destination"><see cref="Limits.KeyBytesMax"/> bytes.</param>
    /// <param name="isBinary">The bytes cannot stand in a line: base64. They are <see cref="MetaRequest.BinaryKeyBytesMax"/> at most then.</param>
    public int Encode(string key, Span<byte> destination, out bool isBinary)
    {
        Span<byte> rest = destination[_prefix.Length..Limits.KeyBytesMax];
        _prefix.CopyTo(destination);
        OperationStatus status = Utf8.FromUtf16(key, rest, out _, out int written, replaceInvalidSequences: false);
        if (status == OperationStatus.Done && written > 0)
        {
            isBinary = rest[..written].IndexOfAny(s_unprintable) >= 0;
            int length = _prefix.Length + written;
            if (!isBinary || (length <= MetaRequest.BinaryKeyBytesMax && rest[0] is not (HashedUtf8 or HashedUtf16)))
                return length;
        }

        isBinary = true;
        if (status == OperationStatus.InvalidData || HasLoneSurrogates(key))
        {
            rest[0] = HashedUtf16;
            HashUtf16(key, rest[1..]);
        }
        else
        {
            rest[0] = HashedUtf8;
            HashUtf8(key, rest[1..]);
        }

        return _prefix.Length + 1 + SHA256.HashSizeInBytes;
    }

    private static bool HasLoneSurrogates(string key)
    {
        for (int i = 0; i < key.Length; i++)
        {
            if (!char.IsSurrogate(key[i]))
                continue;
            if (!char.IsHighSurrogate(key[i]) || i + 1 == key.Length || !char.IsLowSurrogate(key[i + 1]))
                return true;
            i++;
        }

        return false;
    }

    private static void HashUtf8(string key, Span<byte> destination)
    {
        byte[] bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(key.Length));
        int length = Encoding.UTF8.GetBytes(key, bytes);
        SHA256.HashData(bytes.AsSpan(0, length), destination);
        ArrayPool<byte>.Shared.Return(bytes);
    }

    private static void HashUtf16(string key, Span<byte> destination)
    {
        if (BitConverter.IsLittleEndian)
            SHA256.HashData(MemoryMarshal.AsBytes(key.AsSpan()), destination);
        else
            SHA256.HashData(MemoryMarshal.AsBytes(key.Select(c => (char)System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(c)).ToArray().AsSpan()),
                destination);
    }
}
