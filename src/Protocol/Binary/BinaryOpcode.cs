namespace OrleansCache.Protocol.Binary;

/// <summary>The opcodes of the binary protocol that this server knows. Numbers are the wire's; a packet may carry any other byte.</summary>
public enum BinaryOpcode : byte
{
    Get = 0x00, Set = 0x01, Add = 0x02, Replace = 0x03, Delete = 0x04, Increment = 0x05, Decrement = 0x06, Quit = 0x07,
    Flush = 0x08, GetQuiet = 0x09, NoOp = 0x0a, Version = 0x0b, GetKey = 0x0c, GetKeyQuiet = 0x0d, Append = 0x0e, Prepend = 0x0f,
    Stat = 0x10, SetQuiet = 0x11, AddQuiet = 0x12, ReplaceQuiet = 0x13, DeleteQuiet = 0x14, IncrementQuiet = 0x15, DecrementQuiet = 0x16, QuitQuiet = 0x17,
    FlushQuiet = 0x18, AppendQuiet = 0x19, PrependQuiet = 0x1a, Verbosity = 0x1b, Touch = 0x1c, GetAndTouch = 0x1d, GetAndTouchQuiet = 0x1e,
    SaslListMechanisms = 0x20, SaslAuthenticate = 0x21, SaslStep = 0x22, GetKeyAndTouch = 0x23, GetKeyAndTouchQuiet = 0x24,

    /// <summary>Stands for every opcode that is not in this list.</summary>
    Unknown = 0xff,
}

/// <summary>Status of a reply.</summary>
public enum BinaryStatus : ushort
{
    Success = 0x00,
    KeyNotFound = 0x01,
    KeyExists = 0x02,
    TooLarge = 0x03,
    InvalidArguments = 0x04,
    NotStored = 0x05,

    /// <summary>Increment or decrement of something that is no number.</summary>
    BadDelta = 0x06,

    AuthError = 0x20,
    AuthContinue = 0x21,
    UnknownCommand = 0x81,
    OutOfMemory = 0x82,

    /// <summary>The owner of the key could not be reached. (memcached, which has no other servers, never says so; Couchbase's clients know it.)</summary>
    TemporaryFailure = 0x86,
}

/// <summary>What an opcode means beside what it does.</summary>
public static class BinaryOpcodes
{
    private const byte QuietBit = 0x80;

    // For each opcode the one without Quiet; with the bit if it was quiet itself.
    private static ReadOnlySpan<byte> Table =>
    [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
        0x08, 0x00 | QuietBit, 0x0a, 0x0b, 0x0c, 0x0c | QuietBit, 0x0e, 0x0f,
        0x10, 0x01 | QuietBit, 0x02 | QuietBit, 0x03 | QuietBit, 0x04 | QuietBit, 0x05 | QuietBit, 0x06 | QuietBit, 0x07 | QuietBit,
        0x08 | QuietBit, 0x0e | QuietBit, 0x0f | QuietBit, 0x1b, 0x1c, 0x1d, 0x1d | QuietBit, 0xff,
        0x20, 0x21, 0x22, 0x23, 0x23 | QuietBit,
    ];

    /// <summary>The opcode that does the same and always answers; <see cref="BinaryOpcode.Unknown"/> for what is not known.</summary>
    public static BinaryOpcode WithoutQuiet(BinaryOpcode opcode)
    {
        ReadOnlySpan<byte> table = Table;
        if ((uint)opcode >= (uint)table.Length)
            return BinaryOpcode.Unknown;
        byte entry = table[(int)opcode];
        return entry == (byte)BinaryOpcode.Unknown ? BinaryOpcode.Unknown : (BinaryOpcode)(entry & ~QuietBit);
    }

    /// <summary>Says nothing on success (a get: on a miss).</summary>
    public static bool IsQuiet(BinaryOpcode opcode)
    {
        ReadOnlySpan<byte> table = Table;
        return (uint)opcode < (uint)table.Length && (table[(int)opcode] & QuietBit) != 0 && opcode != (BinaryOpcode)0x1f;
    }

    /// <summary>Answers a hit with a value.</summary>
    public static bool IsRead(BinaryOpcode opcode) =>
        opcode is BinaryOpcode.Get or BinaryOpcode.GetKey or BinaryOpcode.GetAndTouch or BinaryOpcode.GetKeyAndTouch;

    /// <summary>The reply repeats the key.</summary>
    public static bool ReturnsKey(BinaryOpcode opcode) => opcode is BinaryOpcode.GetKey or BinaryOpcode.GetKeyAndTouch;
}
