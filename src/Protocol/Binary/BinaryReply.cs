using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text.Unicode;

namespace OrleansCache.Protocol.Binary;

/// <summary>
/// Writes the replies of the binary protocol. Every method returns the bytes written; the destination is large enough (see the Max constants) or it throws.
/// <code>
/// reply: 0x81 | opcode u8 | key length u16 | extras length u8 | 0 | status u16 | body length u32 | opaque u32 | cas u64 | extras | key | value
/// </code>
/// </summary>
public static class BinaryReply
{
    public const byte Magic = 0x81;

    public const int HeaderBytes = 24;

    /// <summary>Extras of a hit: the client flags.</summary>
    public const int HitExtrasBytes = 4;

    /// <summary>Longest reply without a value: header, extras and key, or header and error text.</summary>
    public const int ReplyBytesMax = HeaderBytes + 256;

    private const int ReasonBytesMax = ReplyBytesMax - HeaderBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int WriteHeader(
        Span<byte> destination, BinaryOpcode opcode, BinaryStatus status, int extrasLength, int keyLength, int bodyLength, uint opaque, ulong cas)
    {
        // One check of the length for all the writes.
        Span<byte> header = destination[..HeaderBytes];
        header[0] = Magic;
        header[1] = (byte)opcode;
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)keyLength);
        header[4] = (byte)extrasLength;
        header[5] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)status);
        BinaryPrimitives.WriteUInt32BigEndian(header[8..], (uint)bodyLength);
        BinaryPrimitives.WriteUInt32BigEndian(header[12..], opaque);
        BinaryPrimitives.WriteUInt64BigEndian(header[16..], cas);
        return HeaderBytes;
    }

    /// <summary>All of a hit before its value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int WriteHitHead(Span<byte> destination, BinaryOpcode opcode, ReadOnlySpan<byte> key, uint clientFlags, int valueLength, uint opaque,
        ulong cas)
    {
        WriteHeader(destination, opcode, BinaryStatus.Success, HitExtrasBytes, key.Length, HitExtrasBytes + key.Length + valueLength, opaque, cas);
        BinaryPrimitives.WriteUInt32BigEndian(destination[HeaderBytes..], clientFlags);
        key.CopyTo(destination[(HeaderBytes + HitExtrasBytes)..]);
        return HeaderBytes + HitExtrasBytes + key.Length;
    }

    /// <summary>A miss that repeats the key, instead of saying "Not found".</summary>
    public static int WriteKeyMiss(Span<byte> destination, BinaryOpcode opcode, ReadOnlySpan<byte> key, uint opaque)
    {
        WriteHeader(destination, opcode, BinaryStatus.KeyNotFound, 0, key.Length, key.Length, opaque, 0);
        key.CopyTo(destination[HeaderBytes..]);
        return HeaderBytes + key.Length;
    }

    /// <summary>A success without extras and key, its body being text (or nothing).</summary>
    public static int WriteText(Span<byte> destination, BinaryOpcode opcode, ReadOnlySpan<byte> text, uint opaque) =>
        WriteBody(destination, opcode, BinaryStatus.Success, text, opaque);

    /// <summary>An error with memcached's words for it.</summary>
    public static int WriteError(Span<byte> destination, BinaryOpcode opcode, BinaryStatus status, uint opaque) =>
        WriteBody(destination, opcode, status, TextOf(status), opaque);

    /// <summary>The owner could not be reached.</summary>
    public static int WriteFailure(Span<byte> destination, BinaryOpcode opcode, string reason, uint opaque)
    {
        Utf8.FromUtf16(reason, destination.Slice(HeaderBytes, ReasonBytesMax), out _, out int written);
        return WriteHeader(destination, opcode, BinaryStatus.TemporaryFailure, 0, 0, written, opaque, 0) + written;
    }

    /// <summary>The answer to a command that stores, counts, touches or deletes. 0 if it was quiet and all went well.</summary>
    public static int WriteResult(Span<byte> destination, BinaryOpcode opcode, uint opaque, in CacheReply reply)
    {
        BinaryOpcode verb = BinaryOpcodes.WithoutQuiet(opcode);
        switch (reply.Status)
        {
            case CacheStatus.Ok when BinaryOpcodes.IsQuiet(opcode):
                return 0;
            case CacheStatus.Ok when verb is BinaryOpcode.Increment or BinaryOpcode.Decrement:
                WriteHeader(destination, opcode, BinaryStatus.Success, 0, 0, 8, opaque, reply.Cas);
                BinaryPrimitives.WriteUInt64BigEndian(destination[HeaderBytes..], reply.Number);
                return HeaderBytes + 8;
            case CacheStatus.Ok when verb == BinaryOpcode.Touch:
                return WriteHitHead(destination, opcode, default, reply.ClientFlags, 0, opaque, reply.Cas);
            case CacheStatus.Ok:
                return WriteHeader(destination, opcode, BinaryStatus.Success, 0, 0, 0, opaque, reply.Cas);
            case CacheStatus.Unavailable:
                return WriteFailure(destination, opcode, reply.Reason ?? "partition unavailable", opaque);
            case CacheStatus.OutOfMemory:
                return WriteBody(
                    destination, opcode, BinaryStatus.OutOfMemory,
                    verb is BinaryOpcode.Increment or BinaryOpcode.Decrement
                        ? "Out of memory incrementing value"u8 : "Out of memory allocating item"u8, opaque);
            default:
                return WriteError(destination, opcode, StatusOf(reply.Status, verb), opaque);
        }
    }

    private static BinaryStatus StatusOf(CacheStatus status, BinaryOpcode verb) => status switch
    {
        CacheStatus.NotFound => BinaryStatus.KeyNotFound,
        CacheStatus.Exists => BinaryStatus.KeyExists,
        CacheStatus.NotNumeric => BinaryStatus.BadDelta,
        CacheStatus.NotStored when verb == BinaryOpcode.Add => BinaryStatus.KeyExists,
        CacheStatus.NotStored when verb == BinaryOpcode.Replace => BinaryStatus.KeyNotFound,
        CacheStatus.TooLarge when verb is not (BinaryOpcode.Append or BinaryOpcode.Prepend) => BinaryStatus.TooLarge,
        _ => BinaryStatus.NotStored,
    };

    private static ReadOnlySpan<byte> TextOf(BinaryStatus status) => status switch
    {
        BinaryStatus.KeyNotFound => "Not found"u8,
        BinaryStatus.KeyExists => "Data exists for key."u8,
        BinaryStatus.TooLarge => "Too large."u8,
        BinaryStatus.InvalidArguments => "Invalid arguments"u8,
        BinaryStatus.NotStored => "Not stored."u8,
        BinaryStatus.BadDelta => "Non-numeric server-side value for incr or decr"u8,
        BinaryStatus.AuthError => "Auth failure."u8,
        BinaryStatus.UnknownCommand => "Unknown command"u8,
        BinaryStatus.OutOfMemory => "Out of memory"u8,
        _ => default,
    };

    private static int WriteBody(Span<byte> destination, BinaryOpcode opcode, BinaryStatus status, ReadOnlySpan<byte> text, uint opaque)
    {
        text.CopyTo(destination[HeaderBytes..]);
        return WriteHeader(destination, opcode, status, 0, 0, text.Length, opaque, 0) + text.Length;
    }
}
