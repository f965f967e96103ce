namespace OrleansCache.Protocol.Binary;

/// <summary>What <see cref="BinaryParser"/> found at the start of the input.</summary>
public enum BinaryParseStatus : byte
{
    /// <summary>Header, extras and key are not here yet; nothing consumed.</summary>
    NeedMore = 0,

    /// <summary>A well-formed packet; its value follows and is not part of what was consumed.</summary>
    Command,

    /// <summary>A packet that memcached answers with an error; see <see cref="BinaryCommand.Error"/>.</summary>
    Error,

    /// <summary>No packet (another first byte than 0x80): the connection is closed without a word.</summary>
    Close,
}

/// <summary>What a connection may ask for.</summary>
public enum BinaryAccess : byte
{
    /// <summary>Everything; there is no authentication.</summary>
    Open = 0,

    /// <summary>Authentication is wanted and has not happened: only that, and the version.</summary>
    Locked,

    /// <summary>Everything, after an authentication.</summary>
    Unlocked,
}

/// <summary>One parsed packet, without its value. The key points into the input and is valid as long as it is.</summary>
public ref struct BinaryCommand
{
    /// <summary>As it was sent; replies repeat it.</summary>
    public BinaryOpcode Opcode;

    /// <summary>The opcode without Quiet.</summary>
    public BinaryOpcode Verb;

    /// <summary>Repeated in the reply.</summary>
    public uint Opaque;

    /// <summary>0: do not compare.</summary>
    public ulong Cas;

    /// <summary>1 to <see cref="Limits.KeyBytesMax"/> bytes where the opcode wants one; stat: the group, may be empty; SASL: the mechanism.</summary>
    public ReadOnlySpan<byte> Key;

    public uint ClientFlags;

    /// <summary>
    /// The client's expiry, not resolved. Never negative. Of a counter: that of the created item. Of flush the delay, of verbosity the level.
    /// </summary>
    public uint Exptime;

    /// <summary>Bytes of the value that follow.</summary>
    public int ValueLength;

    public ulong Delta;

    public ulong InitialValue;

    /// <summary>With <see cref="BinaryParseStatus.Error"/>: the status of the reply; quiet commands are answered too.</summary>
    public BinaryStatus Error;

    /// <summary>
    /// With <see cref="BinaryParseStatus.Error"/>: bytes of the body that follow and are to be swallowed. At most <see cref="Limits.ItemBytesMax"/>.
    /// </summary>
    public int SwallowBytes;

    /// <summary>With <see cref="BinaryParseStatus.Error"/>: the reply is the last thing on this connection.</summary>
    public bool CloseAfterError;

    /// <summary>With <see cref="BinaryParseStatus.Error"/>: a set whose value is too large; memcached then deletes the old value, whatever its CAS.</summary>
    public bool DeleteKeyOnError;
}
