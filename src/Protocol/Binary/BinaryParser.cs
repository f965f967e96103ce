using System.Buffers.Binary;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Protocol.Binary;

/// <summary>
/// Parses the binary protocol: bytes in, one packet's header, extras and key out. Knows no I/O, keeps no state and allocates nothing.
/// Incomplete input consumes nothing, so that the same packet parses alike however it was cut into segments.
/// <code>
/// request: 0x80 | opcode u8 | key length u16 | extras length u8 | data type u8 | reserved u16 | body length u32 | opaque u32 | cas u64 | extras | key | value
/// extras:  set add replace: flags u32, expiry u32.  incr decr: delta u64, initial u64, expiry u32.  touch gat: expiry u32.  flush: nothing or delay u32
/// </code>
/// Numbers are big endian; the body is extras, key and value. Data type and reserved are not looked at.
/// Goals: the verdicts of memcached 1.6.45, in its order. Non-goals: waiting for the value; deciding what a valid command does.
/// </summary>
public static class BinaryParser
{
    /// <summary>First byte of every request.</summary>
    public const byte Magic = 0x80;

    public const int HeaderBytes = 24;

    /// <summary>Header, extras and key, as long as their fields can say.</summary>
    public const int HeadBytesMax = HeaderBytes + byte.MaxValue + ushort.MaxValue;

    /// <summary>How many bytes must be here before <see cref="Parse"/> can decide: the header, or with it extras and key too.</summary>
    public static int HeadBytes(ReadOnlySpan<byte> input) =>
        input.Length < HeaderBytes ? HeaderBytes : HeaderBytes + input[4] + BinaryPrimitives.ReadUInt16BigEndian(input[2..]);

    /// <summary>Parses the packet at the start of <paramref name="input"/>.</summary>
    /// <param name="input">What has been received and not yet consumed, contiguous.</param>
    /// <param name="limits">The options that matter.</param>
    /// <param name="access">What this connection may ask for.</param>
    /// <param name="command">Filled according to the status.</param>
    /// <param name="consumed">Bytes of header, extras and key; 0 with NeedMore and Close.</param>
    public static BinaryParseStatus Parse(ReadOnlySpan<byte> input, in TextLimits limits, BinaryAccess access, out BinaryCommand command, out int consumed)
    {
        command = default;
        consumed = 0;

        // memcached waits for 24 bytes before it looks at the first. A client that sends something else gets its error at once.
        if (!input.IsEmpty && input[0] != Magic)
            return BinaryParseStatus.Close;
        if (input.Length < HeaderBytes)
            return BinaryParseStatus.NeedMore;

        int keyLength = BinaryPrimitives.ReadUInt16BigEndian(input[2..]);
        int extrasLength = input[4];
        int headLength = HeaderBytes + extrasLength + keyLength;
        if (input.Length < headLength)
            return BinaryParseStatus.NeedMore;

        consumed = headLength;
        uint bodyLength = BinaryPrimitives.ReadUInt32BigEndian(input[8..]);
        command.Opcode = (BinaryOpcode)input[1];
        command.Opaque = BinaryPrimitives.ReadUInt32BigEndian(input[12..]);
        command.Cas = BinaryPrimitives.ReadUInt64BigEndian(input[16..]);
        BinaryOpcode verb = command.Verb = BinaryOpcodes.WithoutQuiet(command.Opcode);
        if (bodyLength < keyLength + extrasLength)
            return FailAndClose(ref command, BinaryStatus.UnknownCommand);
        if (bodyLength > Limits.ItemBytesMax)
            return FailAndClose(ref command, BinaryStatus.InvalidArguments);
        if (access == BinaryAccess.Locked
            && verb is not (BinaryOpcode.SaslListMechanisms or BinaryOpcode.SaslAuthenticate or BinaryOpcode.SaslStep or BinaryOpcode.Version))
            return FailAndClose(ref command, BinaryStatus.AuthError);
        if (keyLength > Limits.KeyBytesMax)
            return FailAndClose(ref command, BinaryStatus.InvalidArguments);

        ReadOnlySpan<byte> extras = input.Slice(HeaderBytes, extrasLength);
        command.Key = input.Slice(HeaderBytes + extrasLength, keyLength);
        int valueLength = command.ValueLength = (int)bodyLength - keyLength - extrasLength;
        switch (verb)
        {
            case BinaryOpcode.Get:
            case BinaryOpcode.GetKey:
            case BinaryOpcode.Delete:
                if (extrasLength == 0 && valueLength == 0 && keyLength > 0)
                    return BinaryParseStatus.Command;
                break;

            case BinaryOpcode.Set:
            case BinaryOpcode.Add:
            case BinaryOpcode.Replace:
                if (extrasLength != 8 || keyLength == 0)
                    break;
                command.ClientFlags = BinaryPrimitives.ReadUInt32BigEndian(extras);
                command.Exptime = BinaryPrimitives.ReadUInt32BigEndian(extras[4..]);
                return CheckSize(ref command, limits, deletes: verb == BinaryOpcode.Set);

            case BinaryOpcode.Append:
            case BinaryOpcode.Prepend:
                if (extrasLength != 0 || keyLength == 0)
                    break;
                return CheckSize(ref command, limits, deletes: false);

            case BinaryOpcode.Increment:
            case BinaryOpcode.Decrement:
                if (extrasLength != 20 || keyLength == 0 || valueLength != 0)
                    break;
                command.Delta = BinaryPrimitives.ReadUInt64BigEndian(extras);
                command.InitialValue = BinaryPrimitives.ReadUInt64BigEndian(extras[8..]);
                command.Exptime = BinaryPrimitives.ReadUInt32BigEndian(extras[16..]);
                return BinaryParseStatus.Command;

            case BinaryOpcode.Touch:
            case BinaryOpcode.GetAndTouch:
            case BinaryOpcode.GetKeyAndTouch:
                if (extrasLength != 4 || keyLength == 0)
                    break;
                command.Exptime = BinaryPrimitives.ReadUInt32BigEndian(extras);

                // memcached leaves what stands behind the key in the stream, where it is taken for the next packet.
                command.ValueLength = 0;
                return BinaryParseStatus.Command;

            case BinaryOpcode.Stat:
                if (extrasLength != 0)
                    break;
                command.ValueLength = 0; // as above
                return BinaryParseStatus.Command;

            case BinaryOpcode.NoOp:
            case BinaryOpcode.Version:
            case BinaryOpcode.Quit:
                if (bodyLength == 0)
                    return BinaryParseStatus.Command;
                break;

            case BinaryOpcode.Flush:
                if (keyLength != 0 || valueLength != 0 || extrasLength is not (0 or 4))
                    break;
                if (!limits.FlushEnabled)
                    return Fail(ref command, BinaryStatus.AuthError, 0);
                command.Exptime = extrasLength == 4 ? BinaryPrimitives.ReadUInt32BigEndian(extras) : 0;
                return BinaryParseStatus.Command;

            case BinaryOpcode.Verbosity:
                if (keyLength != 0 || valueLength != 0 || extrasLength != 4)
                    break;
                command.Exptime = BinaryPrimitives.ReadUInt32BigEndian(extras);
                return BinaryParseStatus.Command;

            case BinaryOpcode.SaslListMechanisms:
                if (bodyLength != 0)
                    break;
                return access == BinaryAccess.Open ? Fail(ref command, BinaryStatus.UnknownCommand, 0) : BinaryParseStatus.Command;

            case BinaryOpcode.SaslAuthenticate:
            case BinaryOpcode.SaslStep:
                if (extrasLength != 0 || keyLength == 0)
                    break;
                if (access == BinaryAccess.Open)
                    return Fail(ref command, BinaryStatus.UnknownCommand, valueLength);
                if (keyLength > Limits.SaslMechanismBytesMax)
                    return Fail(ref command, BinaryStatus.InvalidArguments, valueLength);
                return valueLength > Limits.SaslDataBytesMax ? Fail(ref command, BinaryStatus.OutOfMemory, valueLength) : BinaryParseStatus.Command;

            default:
                return Fail(ref command, BinaryStatus.UnknownCommand, valueLength);
        }

        return FailAndClose(ref command, BinaryStatus.InvalidArguments);
    }

    private static BinaryParseStatus CheckSize(ref BinaryCommand command, in TextLimits limits, bool deletes)
    {
        if (!Limits.IsItemTooLarge(command.Key.Length, command.ValueLength, command.ClientFlags, limits.ItemBytesMax))
            return BinaryParseStatus.Command;
        command.DeleteKeyOnError = deletes;
        return Fail(ref command, BinaryStatus.TooLarge, command.ValueLength);
    }

    private static BinaryParseStatus Fail(ref BinaryCommand command, BinaryStatus error, int swallowBytes)
    {
        command.Error = error;
        command.SwallowBytes = swallowBytes;
        return BinaryParseStatus.Error;
    }

    private static BinaryParseStatus FailAndClose(ref BinaryCommand command, BinaryStatus error)
    {
        command.CloseAfterError = true;
        return Fail(ref command, error, 0);
    }
}
