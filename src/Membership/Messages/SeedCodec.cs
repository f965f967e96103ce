using System.Text;

namespace OrleansCache.Membership;

/// <summary>
/// Messages and records as bytes, little endian, without padding. Reading is total: garbage gives null, and allocates no more than a small multiple of its
/// size.
/// <code>
///  ballot   counter(8) | proposer(16)
///  text     length(2) | UTF-8
///  set      count(1) | per seed: identity(16) | address text
///  value    version(8) | cluster id text | n(1) | recent writes(8n) | seeds set | joint(1) | former set if joint | length(4) | content
///  request  format(1) | kind(1) | target(16) | cluster id text | then by kind
///           Read: known ballot   Prepare: ballot, known ballot   Accept: ballot, next ballot, value   Alive: key text, UTC ticks(8)
///  reply    format(1) | kind(1) | identity(16) | promised ballot | accepted ballot | value(1: 0 none, 1 here, 2 known) | value
///           | n(2) | n times (key text, UTC ticks(8)) | reason text
///  record   format(1) | promised ballot | accepted ballot | value(1: 0 none, 1 here) | value
/// </code>
/// A new format of messages gets a new number; a seed answers another number than its own with "unreadable" and the reason.
/// </summary>
internal static class SeedCodec
{
    public const byte MessageFormat = 1;
    public const byte RecordFormat = 1;

    private const int ReasonBytesMax = 400;

    // Strict: what does not decode is garbage.
    private static readonly UTF8Encoding Utf8 = new(false, true);

    public static byte[] Write(SeedRequest request)
    {
        int size = 2 + 16 + TextBytes(request.ClusterId) + request.Kind switch
        {
            SeedRequestKind.Read => Ballot.Bytes,
            SeedRequestKind.Prepare => 2 * Ballot.Bytes,
            SeedRequestKind.Accept => (2 * Ballot.Bytes) + ValueBytes(request.Value!),
            _ => TextBytes(request.AliveKey) + 8,
        };
        byte[] bytes = new byte[size];
        var writer = new WireWriter(bytes);
        writer.Byte(MessageFormat);
        writer.Byte((byte)request.Kind);
        Identity(ref writer, request.Target);
        Text(ref writer, request.ClusterId);
        switch (request.Kind)
        {
            case SeedRequestKind.Read:
                Number(ref writer, request.Known);
                break;
            case SeedRequestKind.Prepare:
                Number(ref writer, request.Ballot);
                Number(ref writer, request.Known);
                break;
            case SeedRequestKind.Accept:
                Number(ref writer, request.Ballot);
                Number(ref writer, request.Next);
                Value(ref writer, request.Value!);
                break;
            default:
                Text(ref writer, request.AliveKey);
                writer.Int64(request.AliveTicks);
                break;
        }

        return bytes;
    }

    public static SeedRequest? ReadRequest(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > Limits.RegisterMessageBytesMax)
            return null;
        var reader = new WireReader(bytes);
        if (reader.Byte() != MessageFormat)
            return null;
        var request = new SeedRequest
        {
            Kind = (SeedRequestKind)reader.Byte(), Target = Identity(ref reader), ClusterId = Text(ref reader, Limits.RegisterClusterIdBytesMax),
        };
        switch (request.Kind)
        {
            case SeedRequestKind.Read:
                request = request with { Known = Number(ref reader) };
                break;
            case SeedRequestKind.Prepare:
                request = request with { Ballot = Number(ref reader), Known = Number(ref reader) };
                break;
            case SeedRequestKind.Accept:
                request = request with { Ballot = Number(ref reader), Next = Number(ref reader), Value = Value(ref reader) };
                break;
            case SeedRequestKind.Alive:
                request = request with { AliveKey = Text(ref reader, Limits.AliveKeyBytesMax), AliveTicks = Ticks(ref reader) };
                break;
            default:
                return null;
        }

        return reader.Failed || reader.Remaining != 0 || !IsWhole(request) ? null : request;
    }

    public static byte[] Write(SeedReply reply)
    {
        string reason = Cut(reply.Reason);
        int size = 2 + 16 + (2 * Ballot.Bytes) + 1 + (reply.Value is { } held ? ValueBytes(held) : 0) + 2 + TextBytes(reason);
        foreach ((string key, _) in reply.Alive)
            size += TextBytes(key) + 8;
        byte[] bytes = new byte[size];
        var writer = new WireWriter(bytes);
        writer.Byte(MessageFormat);
        writer.Byte((byte)reply.Kind);
        Identity(ref writer, reply.Identity);
        Number(ref writer, reply.Promised);
        Number(ref writer, reply.Accepted);
        writer.Byte((byte)(reply.Value is not null ? 1 : reply.ValueIsKnown ? 2 : 0));
        if (reply.Value is { } value)
            Value(ref writer, value);
        writer.UInt16((ushort)reply.Alive.Count);
        foreach ((string key, long ticks) in reply.Alive)
        {
            Text(ref writer, key);
            writer.Int64(ticks);
        }

        Text(ref writer, reason);
        return bytes;
    }

    public static SeedReply? ReadReply(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > Limits.RegisterMessageBytesMax)
            return null;
        var reader = new WireReader(bytes);
        if (reader.Byte() != MessageFormat)
            return null;
        var reply = new SeedReply
        {
            Kind = (SeedReplyKind)reader.Byte(), Identity = Identity(ref reader), Promised = Number(ref reader), Accepted = Number(ref reader),
        };
        byte holds = reader.Byte();
        if (reply.Kind is SeedReplyKind.None or > SeedReplyKind.AliveTaken || holds > 2)
            return null;
        if (holds == 1)
            reply = reply with { Value = Value(ref reader) };
        int count = reader.UInt16();
        if (count > Limits.AliveRowsMax || count * 10 > reader.Remaining)
            return null;
        var alive = new (string Key, long Ticks)[count];
        for (int i = 0; i < count && !reader.Failed; i++)
            alive[i] = (Text(ref reader, Limits.AliveKeyBytesMax), Ticks(ref reader));
        reply = reply with { ValueIsKnown = holds == 2, Alive = alive, Reason = Text(ref reader, ReasonBytesMax) };
        bool whole = !reader.Failed && reader.Remaining == 0 && (holds == 0) == reply.Accepted.IsNone;
        // Refusals tell of the ballots alone.
        if (reply.Kind is not (SeedReplyKind.State or SeedReplyKind.Promised))
            whole = !reader.Failed && reader.Remaining == 0 && holds == 0;
        return whole ? reply : null;
    }

    public static byte[] Write(AcceptorState state)
    {
        byte[] bytes = new byte[1 + (2 * Ballot.Bytes) + 1 + (state.Value is { } held ? ValueBytes(held) : 0)];
        var writer = new WireWriter(bytes);
        writer.Byte(RecordFormat);
        Number(ref writer, state.Promised);
        Number(ref writer, state.Accepted);
        writer.Byte((byte)(state.Value is null ? 0 : 1));
        if (state.Value is { } value)
            Value(ref writer, value);
        return bytes;
    }

    public static AcceptorState? ReadRecord(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > Limits.SeedRecordBytesMax)
            return null;
        var reader = new WireReader(bytes);
        if (reader.Byte() != RecordFormat)
            return null;
        Ballot promised = Number(ref reader), accepted = Number(ref reader);
        byte holds = reader.Byte();
        RegisterValue? value = holds == 1 ? Value(ref reader) : null;
        bool whole = !reader.Failed && reader.Remaining == 0 && holds <= 1 && (value is null) == accepted.IsNone && promised >= accepted;
        return whole ? new AcceptorState(promised, accepted, value) : null;
    }

    private static bool IsWhole(SeedRequest request) => request.Kind switch
    {
        SeedRequestKind.Read => true,
        SeedRequestKind.Prepare => !request.Ballot.IsNone && request.ClusterId.Length != 0,
        SeedRequestKind.Accept => !request.Ballot.IsNone && request.Value is { } value && value.ClusterId == request.ClusterId
            && (request.Next.IsNone || (request.Next.Counter > request.Ballot.Counter && request.Next.Proposer == request.Ballot.Proposer)),
        _ => request.AliveKey.Length != 0,
    };

    private static int ValueBytes(RegisterValue value) => 8 + TextBytes(value.ClusterId) + 1 + (8 * value.Recent.Length) + SetBytes(value.Seeds) + 1
        + (value.Former is { } former ? SetBytes(former) : 0) + 4 + value.Content.Length;

    private static void Value(ref WireWriter writer, RegisterValue value)
    {
        writer.Int64(value.Version);
        Text(ref writer, value.ClusterId);
        writer.Byte((byte)value.Recent.Length);
        foreach (ulong write in value.Recent)
            writer.UInt64(write);
        Set(ref writer, value.Seeds);
        writer.Byte((byte)(value.Former is null ? 0 : 1));
        if (value.Former is { } former)
            Set(ref writer, former);
        writer.Int32(value.Content.Length);
        writer.Bytes(value.Content.Span);
    }

    private static RegisterValue? Value(ref WireReader reader)
    {
        long version = reader.Int64();
        string clusterId = Text(ref reader, Limits.RegisterClusterIdBytesMax);
        int recentCount = reader.Byte();
        if (version is < 0 or > Ballot.CounterMax || clusterId.Length == 0 || recentCount is 0 or > RegisterValue.RecentMax)
            reader.Fail();
        ulong[] recent = new ulong[reader.Failed ? 0 : recentCount];
        for (int i = 0; i < recent.Length; i++)
            recent[i] = reader.UInt64();
        SeedSet? seeds = Set(ref reader);
        byte joint = reader.Byte();
        SeedSet? former = joint == 1 ? Set(ref reader) : null;
        int length = reader.Int32();
        if (joint > 1 || length is < 0 or > Limits.RegisterContentBytesMax)
            reader.Fail();
        byte[] content = reader.Bytes(length).ToArray();
        return reader.Failed || seeds is null ? null : new RegisterValue(clusterId, version, seeds, former, content, recent);
    }

    private static int SetBytes(SeedSet seeds) => 1 + seeds.Sum(static seed => 16 + TextBytes(seed.Address.ToString()));

    private static void Set(ref WireWriter writer, SeedSet seeds)
    {
        writer.Byte((byte)seeds.Count);
        foreach (SeedId seed in seeds)
        {
            Identity(ref writer, seed.Identity);
            Text(ref writer, seed.Address.ToString());
        }
    }

    private static SeedSet? Set(ref WireReader reader)
    {
        int count = reader.Byte();
        if (count is 0 or > Limits.SeedsMax)
            reader.Fail();
        var seeds = new List<SeedId>(Limits.SeedsMax);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            Guid identity = Identity(ref reader);
            if (!SeedAddress.TryParse(Text(ref reader, SeedAddress.LengthMax), out SeedAddress address) || identity == Guid.Empty
                || seeds.Exists(seed => seed.Identity == identity))
                reader.Fail();
            seeds.Add(new SeedId(address, identity));
        }

        return reader.Failed ? null : new SeedSet(seeds);
    }

    private static void Number(ref WireWriter writer, Ballot ballot)
    {
        writer.Int64(ballot.Counter);
        Identity(ref writer, ballot.Proposer);
    }

    private static Ballot Number(ref WireReader reader)
    {
        var ballot = new Ballot(reader.Int64(), Identity(ref reader));
        if (ballot.Counter is < 0 or > Ballot.CounterMax || (ballot.Counter == 0 && ballot.Proposer != Guid.Empty))
            reader.Fail();
        return ballot;
    }

    private static void Identity(ref WireWriter writer, Guid identity) => identity.TryWriteBytes(writer.Take(16), bigEndian: true, out _);

    private static Guid Identity(ref WireReader reader) => reader.Bytes(16) is { Length: 16 } bytes ? new Guid(bytes, bigEndian: true) : Guid.Empty;

    private static long Ticks(ref WireReader reader)
    {
        long ticks = reader.Int64();
        if (ticks < 0 || ticks > DateTime.MaxValue.Ticks)
            reader.Fail();
        return ticks;
    }

    private static int TextBytes(string text) => 2 + Utf8.GetByteCount(text);

    private static void Text(ref WireWriter writer, string text)
    {
        int length = Utf8.GetByteCount(text);
        writer.UInt16((ushort)length);
        Utf8.GetBytes(text, writer.Take(length));
    }

    private static string Text(ref WireReader reader, int bytesMax)
    {
        int length = reader.UInt16();
        if (length > bytesMax)
            reader.Fail();
        ReadOnlySpan<byte> bytes = reader.Bytes(length);
        if (System.Text.Unicode.Utf8.IsValid(bytes))
            return Utf8.GetString(bytes);
        reader.Fail();
        return "";
    }

    /// <summary>A reason comes from an exception's message and may be long or odd.</summary>
    private static string Cut(string reason)
    {
        var text = new StringBuilder(Math.Min(reason.Length, ReasonBytesMax / 2));
        foreach (char symbol in reason)
        {
            if (text.Length == ReasonBytesMax / 4)
                break;
            text.Append(char.IsControl(symbol) || char.IsSurrogate(symbol) ? ' ' : symbol);
        }

        return text.ToString();
    }
}
