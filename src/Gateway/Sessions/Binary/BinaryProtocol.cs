using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions.Binary;

/// <summary>
/// The binary protocol on one connection: cuts its input into packets, and gives each to those who carry it out. A packet whose header, extras and key have
/// not arrived waits in <see cref="SessionInput.Head"/>; what follows it is never copied.
/// </summary>
internal sealed unsafe class BinaryProtocol : SessionProtocol
{
    private readonly SaslLogin? _login;
    private BinaryAccess _access;

    public BinaryProtocol(Session session)
        : base(session)
    {
        if (Loop.Shared.Options.SaslPasswords is not { } passwords)
            return;
        _login = new SaslLogin(session, passwords);
        _access = BinaryAccess.Locked;
    }

    public override int Process(byte* input, int length, bool isPipeline)
    {
        int at = 0;
        int announced = 0;
        while (at < length)
        {
            if (Input.IsInBlock)
            {
                at += TakeBlock(input + at, length - at);
                continue;
            }

            if (Session.IsClosing)
                return length;
            if (Session.IsBlocked)
                return at;
            if (Input.Head is not null)
            {
                at += ProcessBrokenHead(input + at, length - at);
                continue;
            }

            if (announced == 0 && (at > 0 || isPipeline))
                announced = AnnounceAhead(input + at, length - at);
            else if (announced > 0)
                announced--;
            int start = at;
            BinaryParseStatus status = BinaryParser.Parse(
                new ReadOnlySpan<byte>(input + at, length - at), Loop.Limits, _access, out BinaryCommand command, out int consumed);
            at += consumed;
            if (status == BinaryParseStatus.Command)
            {
                at += Execute(command, input + at, length - at);
                if (Session.WaitsForRoom)
                    return start;
            }
            else if (status == BinaryParseStatus.NeedMore)
            {
                Input.KeepHead(Loop, input + at, length - at);
                return length;
            }
            else
            {
                Refuse(status, command);
            }
        }

        return at;
    }

    /// <summary>The packet began in an earlier segment. Appends as much as its head needs, which its header says, and no byte of what follows it.</summary>
    private int ProcessBrokenHead(byte* input, int length)
    {
        NativeBuffer head = Input.Head!;
        int taken = 0;
        while (true)
        {
            int missing = BinaryParser.HeadBytes(head.Span) - head.Length;
            int step = Math.Min(missing, length - taken);
            head.Append(input + taken, step);
            taken += step;
            BinaryParseStatus status = BinaryParser.Parse(head.Span, Loop.Limits, _access, out BinaryCommand command, out _);
            if (status == BinaryParseStatus.NeedMore)
            {
                if (taken == length)
                    return taken;
                continue;
            }

            Input.Head = null;
            if (status == BinaryParseStatus.Command)
                taken += Execute(command, input + taken, length - taken);
            else
                Refuse(status, command);
            if (Session.WaitsForRoom)
            {
                // The packet must wait, and its head lies apart from the input behind it: both go into the backlog.
                head.Append(input + taken, length - taken);
                Input.SetBacklog(head, 0);
                return length;
            }

            Loop.Chunks.ReturnBuffer(head);
            return taken;
        }
    }

    /// <summary>Announces the keys of the next packets to the store, so that the waits for memory overlap. Returns of how many, beside the first.</summary>
    private int AnnounceAhead(byte* input, int length)
    {
        ulong* hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        int count = 0;
        int countMax = (int)Math.Min(Limits.PrefetchKeysMax, Session.TurnLeft);
        for (int at = 0; count < countMax && length - at >= BinaryParser.HeaderBytes && input[at] == BinaryParser.Magic;)
        {
            BinaryParseStatus status = BinaryParser.Parse(
                new ReadOnlySpan<byte>(input + at, length - at), Loop.Limits, _access, out BinaryCommand command, out int consumed);
            if (status != BinaryParseStatus.Command || command.Key.IsEmpty || command.ValueLength > length - at - consumed)
                break;
            hashes[count++] = Loop.Hasher.Compute(command.Key);
            at += consumed + command.ValueLength;
        }

        if (count > 1)
            Loop.Channel.Prefetch(new ReadOnlySpan<ulong>(hashes, count));
        return Math.Max(0, count - 1);
    }

    /// <summary>A packet that is answered with an error, or is none.</summary>
    private void Refuse(BinaryParseStatus status, in BinaryCommand command)
    {
        if (status == BinaryParseStatus.Close)
        {
            Session.Close();
            return;
        }

        Session.Commands++;
        if (command.Error == BinaryStatus.TooLarge)
        {
            RefusedStore.Publish(Session, command.Key, ItemStoreCommand.None);
            if (Loop.Shared.Detail.IsEnabled)
                Loop.Shared.Detail.CountSet(command.Key);
        }

        if (!command.DeleteKeyOnError || RefusedStore.DeleteFormer(Session, command.Key, PendingKind.BinaryTooLarge, command.Opcode, command.Opaque))
            PacketReplies.WriteError(Replies.Current, command, command.Error);
        Input.SwallowBytes = command.SwallowBytes;
        if (command.CloseAfterError)
            Session.Close();
    }

    protected override void Complete(IncomingValue value)
    {
        if (value.Opcode is BinaryOpcode.SaslAuthenticate or BinaryOpcode.SaslStep)
            _access = _login!.Authenticate(value.Opcode, value.Opaque, value.Key, value.Block);
        else
            PacketCommands.Store(Session, value.Opcode, value.Opaque, value.Key, value.ClientFlags, value.Exptime, value.Cas, value.Block);
    }

    protected override void RefuseForRoom(IncomingValue value) =>
        PacketReplies.WriteError(Replies.Current, value.Opcode, BinaryStatus.OutOfMemory, value.Opaque);

    /// <summary>Carries out a packet whose head is here. Returns how much of the input behind it was taken (its value).</summary>
    private int Execute(in BinaryCommand command, byte* next, int available)
    {
        Session.Commands++;
        switch (command.Verb)
        {
            case BinaryOpcode.Get:
            case BinaryOpcode.GetKey:
            case BinaryOpcode.GetAndTouch:
            case BinaryOpcode.GetKeyAndTouch:
                PacketCommands.Read(Session, command);
                return 0;
            case BinaryOpcode.Set:
            case BinaryOpcode.Add:
            case BinaryOpcode.Replace:
            case BinaryOpcode.Append:
            case BinaryOpcode.Prepend:
                if (available < command.ValueLength)
                    return AwaitValue(command, next, available);
                PacketCommands.Store(Session, command.Opcode, command.Opaque, command.Key, command.ClientFlags, command.Exptime, command.Cas,
                    new ReadOnlySpan<byte>(next, command.ValueLength));
                return command.ValueLength;
            case BinaryOpcode.Delete:
            case BinaryOpcode.Touch:
            case BinaryOpcode.Increment:
            case BinaryOpcode.Decrement:
                PacketCommands.Change(Session, command);
                return 0;
            case BinaryOpcode.SaslAuthenticate:
            case BinaryOpcode.SaslStep:
                if (available < command.ValueLength)
                    return AwaitValue(command, next, available);
                _access = _login!.Authenticate(command.Opcode, command.Opaque, command.Key, new ReadOnlySpan<byte>(next, command.ValueLength));
                return command.ValueLength;
            default:
                ExecuteAdmin(command);
                return 0;
        }
    }

    private int AwaitValue(in BinaryCommand command, byte* next, int available)
    {
        Input.Value = Loop.RentValue(command);
        return Input.Value.Append(next, available);
    }

    private void ExecuteAdmin(in BinaryCommand command)
    {
        // memcached makes a new SASL connection for each of these, which forgets who this one was.
        if (command.Verb == BinaryOpcode.SaslListMechanisms)
            _access = BinaryAccess.Locked;
        PacketAdmin.Execute(Session, command);
    }
}
