using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions;

// The binary protocol: packets, from their parsed heads to requests. A packet whose header, extras and key have not arrived waits in _line, whatever follows is
// never copied.
internal sealed unsafe partial class Session
{
    private BinaryAccess _access;
    private BinaryOpcode _flushOpcode;
    private uint _flushOpaque;

    /// <summary>What this connection speaks, decided by its listener or by its first byte. True if that is text.</summary>
    private bool BeginText(byte* input, int length)
    {
        if (_wire == Wire.Undecided)
        {
            if (length == 0)
                return false;
            _wire = _transport.Info.Protocol switch
            {
                WireProtocol.Ascii => Wire.Text,
                WireProtocol.Binary => Wire.Binary,
                _ => *input == BinaryParser.Magic ? Wire.Binary : Wire.Text,
            };
            if (_loop.Shared.Options.SaslPasswords is not null)
                _access = BinaryAccess.Locked;
        }

        return _wire == Wire.Text;
    }

    /// <summary>As <see cref="Process"/>, for a binary connection.</summary>
    private int ProcessPackets(byte* input, int length, bool isPipeline)
    {
        int at = 0;
        int announced = 0;
        while (at < length)
        {
            if (_value is { } value)
            {
                if (!HasRoomFor(value, length - at))
                    continue;
                at += value.Append(input + at, length - at);
                if (value.Missing == 0)
                    CompleteValue();
                continue;
            }

            if (_swallowBytes > 0)
            {
                int swallowed = (int)Math.Min(_swallowBytes, length - at);
                at += swallowed;
                _swallowBytes -= swallowed;
                continue;
            }

            if (_isClosing)
                return length;
            if (IsBlocked)
                return at;
            if (_line is not null)
            {
                at += ProcessBrokenPacket(input + at, length - at);
                continue;
            }

            if (announced == 0 && (at > 0 || isPipeline))
                announced = AnnouncePackets(input + at, length - at);
            else if (announced > 0)
                announced--;
            int start = at;
            BinaryParseStatus status = BinaryParser.Parse(
                new ReadOnlySpan<byte>(input + at, length - at), _loop.Limits, _access, out BinaryCommand command, out int consumed);
            at += consumed;
            if (status == BinaryParseStatus.Command)
            {
                at += ExecutePacket(command, input + at, length - at);
                if (_waitsForRoom)
                    return start;
            }
            else if (status == BinaryParseStatus.NeedMore)
            {
                _line = _loop.Chunks.RentBuffer(Math.Max(256, length - at));
                _line.Append(input + at, length - at);
                return length;
            }
            else
            {
                RefusePacket(status, command);
            }
        }

        return at;
    }

    /// <summary>The packet began in an earlier segment. Appends as much as its head needs, which its header says, and no byte of what follows it.</summary>
    private int ProcessBrokenPacket(byte* input, int length)
    {
        NativeBuffer head = _line!;
        int taken = 0;
        while (true)
        {
            int missing = BinaryParser.HeadBytes(head.Span) - head.Length;
            int step = Math.Min(missing, length - taken);
            head.Append(input + taken, step);
            taken += step;
            BinaryParseStatus status = BinaryParser.Parse(head.Span, _loop.Limits, _access, out BinaryCommand command, out _);
            if (status == BinaryParseStatus.NeedMore)
            {
                if (taken == length)
                    return taken;
                continue;
            }

            _line = null;
            if (status == BinaryParseStatus.Command)
                taken += ExecutePacket(command, input + taken, length - taken);
            else
                RefusePacket(status, command);
            if (_waitsForRoom)
            {
                // The packet must wait, and its head lies apart from the input behind it: both go into the backlog.
                head.Append(input + taken, length - taken);
                _backlog = head;
                _backlogStart = 0;
                return length;
            }

            _loop.Chunks.ReturnBuffer(head);
            return taken;
        }
    }

    /// <summary>As <see cref="AnnounceAhead"/>: the keys of the next packets, which need no parsing for that.</summary>
    private int AnnouncePackets(byte* input, int length)
    {
        ulong* hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        int count = 0;
        int countMax = (int)Math.Min(Limits.PrefetchKeysMax, _turnEnd - Commands);
        for (int at = 0; count < countMax && length - at >= BinaryParser.HeaderBytes && input[at] == BinaryParser.Magic;)
        {
            BinaryParseStatus status = BinaryParser.Parse(
                new ReadOnlySpan<byte>(input + at, length - at), _loop.Limits, _access, out BinaryCommand command, out int consumed);
            if (status != BinaryParseStatus.Command || command.Key.IsEmpty || command.ValueLength > length - at - consumed)
                break;
            hashes[count++] = _loop.Hasher.Compute(command.Key);
            at += consumed + command.ValueLength;
        }

        if (count > 1)
            _loop.Channel.Prefetch(new ReadOnlySpan<ulong>(hashes, count));
        return Math.Max(0, count - 1);
    }

    /// <summary>A packet that is answered with an error, or is none.</summary>
    private void RefusePacket(BinaryParseStatus status, in BinaryCommand command)
    {
        if (status == BinaryParseStatus.Close)
        {
            Close();
            return;
        }

        Commands++;
        if (command.Error == BinaryStatus.TooLarge)
        {
            PublishRefusedStore(command.Key, ItemStoreCommand.None);
            if (_loop.Shared.Detail.IsEnabled)
                _loop.Shared.Detail.CountSet(command.Key);
        }

        if (!command.DeleteKeyOnError || DeleteBeforeError(command))
            WriteError(command, command.Error);
        _swallowBytes = command.SwallowBytes;
        if (command.CloseAfterError)
            Close();
    }

    /// <summary>As the other: a value that is too large takes the former one with it.</summary>
    private bool DeleteBeforeError(in BinaryCommand command)
    {
        CacheRequest request = default;
        request.Connection = _connection;
        request.Operation = CacheOperation.Delete;
        request.Flags = RequestFlags.RefusedStore;
        request.Key = command.Key;
        request.KeyHash = _loop.Hasher.Compute(command.Key);
        _loop.Counters.Operations++;
        RouterChannel channel = _loop.Channel;
        if (channel.TryExecute(request, _loop.NowUnixSeconds, _loop.SilentSink))
            return true;
        channel.Send(request, Enqueue(PendingKind.BinaryTooLarge, command.Opcode, command.Opaque));
        return false;
    }

    private PendingReply Enqueue(PendingKind kind, BinaryOpcode opcode, uint opaque)
    {
        PendingReply pending = Enqueue(kind, default);
        pending.Opcode = opcode;
        pending.Opaque = opaque;
        return pending;
    }

    // ---- commands ------------------------------------------------------------------------------------------------------------------

    /// <summary>Carries out a packet whose head is here. Returns how much of the input behind it was taken (its value).</summary>
    private int ExecutePacket(in BinaryCommand command, byte* next, int available)
    {
        Commands++;
        switch (command.Verb)
        {
            case BinaryOpcode.Get:
            case BinaryOpcode.GetKey:
            case BinaryOpcode.GetAndTouch:
            case BinaryOpcode.GetKeyAndTouch:
                ReadPacket(command);
                return 0;
            case BinaryOpcode.Set:
            case BinaryOpcode.Add:
            case BinaryOpcode.Replace:
            case BinaryOpcode.Append:
            case BinaryOpcode.Prepend:
                if (available < command.ValueLength)
                    return AwaitValue(command, next, available);
                StorePacket(command.Opcode, command.Opaque, command.Key, command.ClientFlags, command.Exptime, command.Cas,
                    new ReadOnlySpan<byte>(next, command.ValueLength));
                return command.ValueLength;
            case BinaryOpcode.Delete:
            case BinaryOpcode.Touch:
            case BinaryOpcode.Increment:
            case BinaryOpcode.Decrement:
                ChangePacket(command);
                return 0;
            case BinaryOpcode.SaslAuthenticate:
            case BinaryOpcode.SaslStep:
                if (available < command.ValueLength)
                    return AwaitValue(command, next, available);
                Authenticate(command.Opcode, command.Opaque, command.Key, new ReadOnlySpan<byte>(next, command.ValueLength));
                return command.ValueLength;
            default:
                AdministratePacket(command);
                return 0;
        }
    }

    private int AwaitValue(in BinaryCommand command, byte* next, int available)
    {
        _value = _loop.RentValue(command);
        return _value.Append(next, available);
    }

    private void CompletePacket(IncomingValue value)
    {
        if (value.Opcode is BinaryOpcode.SaslAuthenticate or BinaryOpcode.SaslStep)
            Authenticate(value.Opcode, value.Opaque, value.Key, value.Block);
        else
            StorePacket(value.Opcode, value.Opaque, value.Key, value.ClientFlags, value.Exptime, value.Cas, value.Block);
    }

    private void ReadPacket(in BinaryCommand command)
    {
        CacheRequest request = default;
        request.Connection = _connection;
        request.Operation = CacheOperation.Get;
        request.Flags = RequestFlags.ReturnValue;
        if (command.Verb is BinaryOpcode.GetAndTouch or BinaryOpcode.GetKeyAndTouch)
        {
            request.Flags |= RequestFlags.Touch;
            request.ExpiresAt = Expiry.Resolve(command.Exptime, _loop.NowUnixSeconds);
        }

        request.Key = command.Key;
        request.KeyHash = _loop.Hasher.Compute(command.Key);
        RunPacket(request, command.Opcode, command.Opaque);
    }

    private void StorePacket(BinaryOpcode opcode, uint opaque, ReadOnlySpan<byte> key, uint clientFlags, long exptime, ulong cas, ReadOnlySpan<byte> value)
    {
        CacheRequest request = default;
        request.Connection = _connection;
        BinaryOpcode verb = BinaryOpcodes.WithoutQuiet(opcode);
        if (verb is BinaryOpcode.Append or BinaryOpcode.Prepend)
        {
            request.Operation = verb == BinaryOpcode.Append ? CacheOperation.Append : CacheOperation.Prepend;
        }
        else
        {
            // With a CAS to compare, add and replace mean what set means: store if it is still that item.
            request.Operation = cas != 0 ? CacheOperation.Set : verb switch
            {
                BinaryOpcode.Add => CacheOperation.Add,
                BinaryOpcode.Replace => CacheOperation.Replace,
                _ => CacheOperation.Set,
            };
            request.ClientFlags = clientFlags;
            request.ExpiresAt = Expiry.Resolve(exptime, _loop.NowUnixSeconds);
        }

        if (cas != 0)
        {
            request.Flags = RequestFlags.CompareCas;
            request.CompareCas = cas;
        }

        request.Key = key;
        request.KeyHash = _loop.Hasher.Compute(key);
        request.Value = value;
        RunPacket(request, opcode, opaque);
    }

    private void ChangePacket(in BinaryCommand command)
    {
        // Expiry of a counter that says: do not create it.
        const uint DoNotCreate = 0xffffffff;

        CacheRequest request = default;
        request.Connection = _connection;
        switch (command.Verb)
        {
            case BinaryOpcode.Increment:
            case BinaryOpcode.Decrement:
                request.Operation = command.Verb == BinaryOpcode.Increment ? CacheOperation.Increment : CacheOperation.Decrement;
                request.Delta = command.Delta;
                if (command.Exptime != DoNotCreate)
                {
                    request.Flags = RequestFlags.CreateOnMiss;
                    request.InitialValue = command.InitialValue;
                    request.CreateExpiresAt = Expiry.Resolve(command.Exptime, _loop.NowUnixSeconds);
                }

                break;
            case BinaryOpcode.Touch:
                request.Operation = CacheOperation.Touch;
                request.Flags = RequestFlags.Touch;
                request.ExpiresAt = Expiry.Resolve(command.Exptime, _loop.NowUnixSeconds);
                break;
            default:
                request.Operation = CacheOperation.Delete;
                break;
        }

        if (command.Cas != 0 && command.Verb != BinaryOpcode.Touch)
        {
            request.Flags |= RequestFlags.CompareCas;
            request.CompareCas = command.Cas;
        }

        request.Key = command.Key;
        request.KeyHash = _loop.Hasher.Compute(command.Key);
        RunPacket(request, command.Opcode, command.Opaque);
    }

    private void RunPacket(in CacheRequest request, BinaryOpcode opcode, uint opaque)
    {
        _loop.Counters.Operations++;
        RouterChannel channel = _loop.Channel;
        BinarySink sink = _loop.BinarySink;
        sink.Output = CurrentOutput;
        sink.Opcode = opcode;
        sink.Opaque = opaque;

        // Only reads look at it, and a read's key lies in the input, which does not move.
        sink.Key = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(request.Key));
        sink.KeyLength = request.Key.Length;
        sink.Detail = _loop.Shared.Detail.IsEnabled ? _loop.Shared.Detail : null;
        if (sink.Detail is not null)
            CountDetail(sink.Detail, BinaryOpcodes.WithoutQuiet(opcode), request.Key);
        sink.Counters = _loop.Counters;
        if (channel.TryExecute(request, _loop.NowUnixSeconds, sink))
        {
            if (sink.LacksRoom)
                WaitForRoom(sink);
            return;
        }

        PendingReply pending = Enqueue(PendingKind.Binary, opcode, opaque);
        pending.SetKey(request.Key);
        channel.Send(request, pending);
    }

    private static void CountDetail(PrefixCounters detail, BinaryOpcode verb, ReadOnlySpan<byte> key)
    {
        if (BinarySink.CountsAsGet(verb))
            detail.CountGet(key);
        else if (verb == BinaryOpcode.Delete)
            detail.CountDelete(key);
        else if (verb is not (BinaryOpcode.Increment or BinaryOpcode.Decrement))
            detail.CountSet(key);
    }

    // ---- commands without a key ----------------------------------------------------------------------------------------------------

    private void AdministratePacket(in BinaryCommand command)
    {
        HasAdministered = true;
        switch (command.Verb)
        {
            case BinaryOpcode.Version:
                WriteText(command, _loop.Shared.VersionNumber);
                break;
            case BinaryOpcode.Flush:
                _flushExptime = command.Exptime;
                _flushOpcode = command.Opcode;
                _flushOpaque = command.Opaque;
                if (_waiting > 0)
                    _barrier = Barrier.WaitsForReplies;
                else
                    StartFlush();
                break;
            case BinaryOpcode.Quit:
                if (command.Opcode == BinaryOpcode.Quit)
                    WriteText(command, default);
                _transport.Info.CloseReason = ConnectionCloseReason.Normal;
                Close();
                break;
            case BinaryOpcode.Stat:
                WriteStats(command);
                break;
            case BinaryOpcode.SaslListMechanisms:
                // memcached makes a new SASL connection for each of these, which forgets who this one was.
                _access = BinaryAccess.Locked;
                WriteText(command, "PLAIN"u8);
                break;
            case BinaryOpcode.Verbosity:
                _loop.Shared.SetVerbosity(command.Exptime);
                WriteText(command, default);
                break;
            default:
                // NoOp.
                WriteText(command, default);
                break;
        }
    }

    private void FinishBinaryFlush(string? failure)
    {
        OutputList output = CurrentOutput;
        if (failure is not null)
            output.Commit(BinaryReply.WriteFailure(output.Reserve(BinaryReply.ReplyBytesMax), _flushOpcode, failure, _flushOpaque));
        else if (_flushOpcode == BinaryOpcode.Flush)
            output.Commit(BinaryReply.WriteText(output.Reserve(BinaryReply.ReplyBytesMax), _flushOpcode, default, _flushOpaque));
    }

    private void WriteText(in BinaryCommand command, ReadOnlySpan<byte> text)
    {
        OutputList output = CurrentOutput;
        output.Commit(BinaryReply.WriteText(output.Reserve(BinaryReply.ReplyBytesMax), command.Opcode, text, command.Opaque));
    }

    private void WriteError(in BinaryCommand command, BinaryStatus status)
    {
        OutputList output = CurrentOutput;
        output.Commit(BinaryReply.WriteError(output.Reserve(BinaryReply.ReplyBytesMax), command.Opcode, status, command.Opaque));
    }

    /// <summary>One packet for each STAT line of the text protocol, and an empty one at the end.</summary>
    private void WriteStats(in BinaryCommand command)
    {
        string group = Encoding.Latin1.GetString(command.Key);
        if (BinaryStats.Arguments(group) is not { } arguments)
        {
            WriteError(command, BinaryStatus.KeyNotFound);
            return;
        }

        if (StatsText.TakesLong(_loop.Shared, arguments))
        {
            uint opaque = command.Opaque;
            Collect(
                StatsText.BuildAsync(_loop.Shared, _loop.NowUnixSeconds, arguments),
                (session, collected) => session.WriteCollected(arguments, collected, opaque));
            return;
        }

        byte[] text = StatsText.Build(_loop.Shared, _loop.NowUnixSeconds, arguments);
        if (!BinaryStats.TryWrite(CurrentOutput, arguments, text, command.Opaque))
            WriteError(command, BinaryStatus.KeyNotFound);
    }

    /// <summary>What could not be collected is answered, too: whoever asked waits for a packet.</summary>
    private void WriteCollected(string arguments, byte[] text, uint opaque)
    {
        OutputList output = CurrentOutput;
        if (BinaryStats.TryWrite(output, arguments, text, opaque))
            return;
        string line = Encoding.UTF8.GetString(text).TrimEnd();
        const string Before = "SERVER_ERROR ";
        string reason = line.StartsWith(Before, StringComparison.Ordinal) ? line[Before.Length..] : line;
        output.Commit(BinaryReply.WriteFailure(output.Reserve(BinaryReply.ReplyBytesMax), BinaryOpcode.Stat, reason, opaque));
    }
}
