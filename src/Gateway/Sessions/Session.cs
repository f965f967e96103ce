using System.Diagnostics;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// One connection's protocol state, without I/O. Bytes go in by <see cref="Receive(ReadOnlySpan{byte})"/>, replies collect in <see cref="Output"/> in the order
/// of the commands.
/// <para>
/// Algorithm. Commands are parsed in place from the caller's buffer; only a line that has not ended, a data block that has not arrived, or input that must
/// wait is copied. A request is executed at once through the loop's channel if it can be; its reply is written straight into the output.
/// A request for another silo leaves a <see cref="PendingReply"/> in line; what later commands answer collects behind it and joins the output when it
/// completes.
/// </para>
/// <para>
/// Bounds. Above <see cref="Limits.OutputHighWaterBytes"/> of unsent bytes (<see cref="Limits.OutputHighWaterBytesWhenShort"/> when all connections hold
/// much), or <see cref="Limits.RemoteRepliesPendingMax"/> replies in line, the session takes
/// no further command, even in the middle of a multi-get: the rest of its input waits in a backlog, <see cref="WantsInput"/> turns false, and the
/// transport stops reading. <see cref="Resume"/> goes on. A value's buffer grows with what has arrived, not with what was announced. An idle session holds no
/// buffers.
/// </para>
/// Non-goal: thread safety; a session belongs to one loop.
/// </summary>
internal sealed unsafe partial class Session
{
    private readonly LoopContext _loop;
    private readonly ISessionTransport _transport;

    // A line that has not ended yet.
    private NativeBuffer? _line;
    private bool _lineMayBeLong;

    // Input that waits until the session may go on; parsed from _backlogStart.
    private NativeBuffer? _backlog;
    private int _backlogStart;

    // A data block that has not arrived yet.
    private IncomingValue? _value;

    // Bytes of a refused data block that are still to come.
    private long _swallowBytes;
    private bool _closeAfterSwallow;

    // The queue of replies that other silos owe, in the order of the commands. _waiting counts the unanswered, those without a place in the queue (noreply)
    // included.
    private PendingReply? _replyHead;
    private PendingReply? _replyTail;
    private int _replyCount;
    private int _waiting;
    private long _heldBytes;

    // -R: when Commands gets there, what follows waits for the next turn.
    private long _turnEnd = long.MaxValue;

    private Wire _wire;
    private Barrier _barrier;
    private bool _isClosing;
    private bool _inputEnded;

    public Session(LoopContext loop, ISessionTransport transport)
    {
        _loop = loop;
        _transport = transport;
        _connection = transport.Info.Descriptor;
        _mustLogIn = loop.Shared.Options.TextPasswords is not null;
        Output = new OutputList(loop.Chunks, tight: false);
    }

    private enum Barrier : byte
    {
        None,

        /// <summary>A flush_all waits until all earlier requests of this connection have been answered.</summary>
        WaitsForReplies,

        /// <summary>A flush_all is on its way.</summary>
        Flushing,

        /// <summary>A statistic that takes long is being collected elsewhere.</summary>
        Collecting,

        /// <summary>A dump of the keyspace is being sent.</summary>
        Dumping,

        /// <summary>The connection watches, or is about to: it takes no command any more.</summary>
        Watching,

        /// <summary>Something else is awaited that nothing may overtake: a reload of files, the delay of a failed login.</summary>
        Working,
    }

    private enum Wire : byte
    {
        /// <summary>Nothing has arrived; the first byte may decide.</summary>
        Undecided,
        Text,
        Binary,
    }

    /// <summary>What may be sent now.</summary>
    public OutputList Output { get; }

    public bool IsAborted { get; private set; }

    /// <summary>Commands executed, all together.</summary>
    public long Commands { get; private set; }

    /// <summary>Whether the transport may hand over more input now.</summary>
    public bool WantsInput => !_isClosing && !_inputEnded && ((_backlog is null && !IsHeld) || _feed is not null);

    /// <summary>The turn's share of requests is used up, and input waits that the session could go on with.</summary>
    public bool IsTurnSpent => Commands >= _turnEnd && _backlog is not null && !_isClosing && !IsAborted && !IsHeld;

    /// <summary>The turn's share of requests is used up.</summary>
    public bool HasSpentRequests => Commands >= _turnEnd;

    /// <summary>Whether there is input that <see cref="Resume"/> could work on now.</summary>
    public bool CanResume => !_isClosing && !IsAborted
        && ((_backlog is not null && !IsBlocked) || (_barrier == Barrier.WaitsForReplies && _waiting == 0) || CanContinueDump || CanTakeLines);

    /// <summary>Everything has been answered and sent: the transport may close.</summary>
    public bool IsFinished =>
        (_isClosing || (_inputEnded && _backlog is null)) && _replyHead is null && _waiting == 0 && _barrier == Barrier.None && Output.IsEmpty;

    /// <summary>The data block of a command is arriving.</summary>
    public bool IsReceivingValue => _value is not null || _swallowBytes > 0;

    /// <summary>Nothing is in flight: no reply is awaited, nothing waits to be sent or parsed. (A half-received command does not count.)</summary>
    public bool IsQuiet => _replyHead is null && _waiting == 0 && _barrier == Barrier.None && Output.IsEmpty && _backlog is null;

    /// <summary>What is behind a command must wait: <see cref="IsHeld"/>, or the turn's share of requests is used up.</summary>
    private bool IsBlocked => Commands >= _turnEnd || IsHeld;

    private bool IsHeld => _barrier != Barrier.None || _waitsForRoom || IsOutputFull || (_waiting != 0 || _replyHead is not null) && IsReplyQueueFull;

    private bool IsOutputFull =>
        Output.Bytes >= Limits.OutputHighWaterBytesWhenShort && (Output.Bytes >= Limits.OutputHighWaterBytes || _loop.Chunks.IsShort);

    private bool IsReplyQueueFull =>
        _waiting >= Limits.RemoteRepliesPendingMax
        || _replyCount >= Limits.RemoteRepliesPendingMax
        || Output.Bytes + _heldBytes + (_replyTail?.Tail.Bytes ?? 0) >= Limits.OutputHighWaterBytes;

    /// <summary>Where the next reply goes: the output, or behind the last reply that is awaited.</summary>
    private OutputList CurrentOutput => _replyTail is { } tail ? tail.Tail : Output;

    /// <summary>From now on at most so many commands are carried out; before the first call, any number.</summary>
    public void BeginTurn(int requestsMax) => _turnEnd = Commands + requestsMax;

    /// <summary>Takes input. All of it: what cannot be worked on now is kept.</summary>
    public void Receive(ReadOnlySpan<byte> input)
    {
        fixed (byte* start = input)
            Receive(start, input.Length);
    }

    /// <summary>As the other, for memory that does not move.</summary>
    public void Receive(byte* input, int length)
    {
        if (_isClosing || IsAborted || _feed is not null)
            return;
        if (_backlog is { } backlog)
        {
            backlog.Append(input, length);
            return;
        }

        int consumed = Process(input, length, isPipeline: false);
        if (consumed < length && !_isClosing && _feed is null)
        {
            NativeBuffer rest = _loop.Chunks.RentBuffer(length - consumed);
            rest.Append(input + consumed, length - consumed);
            _backlog = rest;
            _backlogStart = 0;
        }
    }

    /// <summary>The client will send no more. What it has sent is still answered.</summary>
    public void ReceiveEnd()
    {
        _inputEnded = true;
        _transport.Info.CloseReason = ConnectionCloseReason.Normal;
        if (_barrier == Barrier.Watching)
        {
            // Nobody reads the lines any more.
            Close();
            Output.Clear();
        }
    }

    /// <summary>Takes no further command; what has been asked for is still answered. Then the session is finished.</summary>
    public void Close()
    {
        _isClosing = true;
        ReleaseInput();
        if (_barrier == Barrier.WaitsForReplies)
            _barrier = Barrier.None;
        EndDump();
        if (_feed is not null)
            EndWatch();
    }

    /// <summary>The connection is gone. Releases everything; replies that still come are dropped.</summary>
    public void Abort()
    {
        if (IsAborted)
            return;
        IsAborted = true;
        _isClosing = true;
        ReleaseInput();
        EndDump();
        if (_feed is not null)
            EndWatch();
        Output.Clear();
        while (_replyHead is { } reply)
        {
            _replyHead = reply.Next;
            reply.Next = null;
            if (reply.IsCompleted || reply.Kind is PendingKind.GroupBegin or PendingKind.GroupEnd)
            {
                _loop.ReturnPending(reply);
            }
            else
            {
                reply.Reply.Clear();
                reply.Tail.Clear();
            }
        }

        // The begin of a streaming multi-get has left the queue already; nothing refers to it any more.
        _replyTail = null;
        _replyCount = 0;
        _heldBytes = 0;
        _group = null;
    }

    /// <summary>Goes on with input that had to wait. Call when output has left or after <see cref="ISessionTransport.Wake"/>.</summary>
    public void Resume()
    {
        if (_barrier == Barrier.WaitsForReplies && _waiting == 0 && !_isClosing)
            StartFlush();
        if (CanContinueDump)
            ContinueDump();
        if (CanTakeLines)
            TakeLines();
        if (_isClosing || IsAborted || _backlog is not { } backlog || IsBlocked)
            return;
        _backlog = null;
        int start = _backlogStart;
        int consumed = Process(backlog.Data + start, backlog.Length - start, isPipeline: true);
        if (start + consumed < backlog.Length && !_isClosing && _feed is null)
        {
            Debug.Assert(_backlog is null);
            _backlog = backlog;
            _backlogStart = start + consumed;
        }
        else
        {
            _loop.Chunks.ReturnBuffer(backlog);
        }
    }

    /// <summary>
    /// While a large data block arrives, the transport may receive straight into its buffer: at most this many bytes, then <see cref="CommitValueBytes"/>.
    /// </summary>
    public bool TryGetValueTarget(out byte* target, out int bytes)
    {
        IncomingValue? value = _value;
        if (value is null || value.Missing < IncomingValue.DirectBytesMin || !HasRoomFor(value, IncomingValue.DirectBytesMin))
        {
            target = null;
            bytes = 0;
            return false;
        }

        value.GetTarget(out target, out bytes);
        return true;
    }

    public void CommitValueBytes(int bytes)
    {
        if (_value!.Commit(bytes))
            CompleteValue();
    }

    // ---- the queue of replies ------------------------------------------------------------------------------------------------------

    /// <summary>Where an awaited reply goes now that it is here.</summary>
    public OutputList TargetFor(PendingReply reply) =>
        ReferenceEquals(reply, _replyHead) && reply.Group is not { GroupDrops: true } ? Output : reply.Reply;

    public void OnReplyAfterAbort() => _waiting--;

    public void OnCompleted(PendingReply reply)
    {
        reply.IsCompleted = true;
        _waiting--;
        _heldBytes += reply.Reply.Bytes;
        if (ReferenceEquals(reply, _replyHead) || _replyHead!.Kind is PendingKind.GroupBegin)
            DrainReplies();
        _transport.Wake();
    }

    private PendingReply Enqueue(PendingKind kind, TextVerb verb)
    {
        PendingReply reply = _loop.RentPending();
        reply.Session = this;
        reply.Kind = kind;
        reply.Verb = verb;
        if (_replyTail is { } tail)
        {
            _heldBytes += tail.Tail.Bytes;
            tail.Next = reply;
        }
        else
        {
            _replyHead = reply;
        }

        _replyTail = reply;
        _replyCount++;
        if (kind is not (PendingKind.GroupBegin or PendingKind.GroupEnd))
            _waiting++;
        return reply;
    }

    /// <summary>Moves what is answered, up to the first reply that is still awaited, into the output.</summary>
    private void DrainReplies()
    {
        while (_replyHead is { } head)
        {
            PendingReply? finished = head;
            bool drop = false;
            switch (head.Kind)
            {
                case PendingKind.GroupBegin:
                    if (!(head.GroupAsked && head.GroupWaiting == 0) && !head.GroupStreams)
                    {
                        // Too much is held back: let the hits go, an error can only end them now.
                        if (_heldBytes + _replyTail!.Tail.Bytes < Limits.OutputHighWaterBytes)
                            return;
                        head.GroupStreams = true;
                    }

                    drop = head.GroupDrops = head.GroupFailure is not null;
                    finished = null;
                    break;
                case PendingKind.GroupKey:
                    if (!head.IsCompleted)
                        return;
                    drop = head.Group!.GroupDrops;
                    break;
                case PendingKind.GroupEnd:
                    WriteGroupEnd(Output, head.Group!);
                    _loop.ReturnPending(head.Group!);
                    break;
                default:
                    if (!head.IsCompleted)
                        return;
                    break;
            }

            bool last = head.Next is null;
            _heldBytes -= head.Reply.Bytes + (last ? 0 : head.Tail.Bytes);
            if (drop)
            {
                head.Reply.Clear();
                head.Tail.Clear();
            }
            else
            {
                Output.TakeAll(head.Reply);
                Output.TakeAll(head.Tail);
            }

            _replyHead = head.Next;
            head.Next = null;
            _replyCount--;
            if (last)
                _replyTail = null;
            if (finished is not null)
                _loop.ReturnPending(finished);
        }
    }

    // ---- input ---------------------------------------------------------------------------------------------------------------------

    /// <summary>
    /// Works on input until it is used up, or the session must wait or close. Returns the bytes consumed. <paramref name="isPipeline"/>: more than one
    /// command is likely to be there.
    /// </summary>
    private int Process(byte* input, int length, bool isPipeline)
    {
        if (_wire != Wire.Text && !BeginText(input, length))
            return ProcessPackets(input, length, isPipeline);

        _commandsBefore = Commands;
        int at = 0;
        if (_mustLogIn)
        {
            at = ProcessLogin(input, length);
            if (_mustLogIn)
                return at;
        }

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
                if (_swallowBytes == 0 && _closeAfterSwallow)
                    Close();
                continue;
            }

            if (_isClosing)
                return length;
            if (IsBlocked)
                return at;
            if (_getActive)
            {
                at += ContinueGet(input + at);
                continue;
            }

            if (_line is not null)
            {
                at += ProcessBrokenLine(input + at, length - at);
                continue;
            }

            // A single command gains nothing from it, and most inputs hold a single command: look ahead from the second one on.
            if (announced == 0 && (at > 0 || isPipeline))
                announced = AnnounceAhead(input + at, length - at);
            else if (announced > 0)
                announced--;
            TextParseStatus status = TextParser.Parse(new ReadOnlySpan<byte>(input + at, length - at), _loop.Limits, out TextCommand command, out int consumed);
            if (status == TextParseStatus.Command)
            {
                int next = at + consumed;
                if (Execute(command, input + next, length - next, out int used))
                    at = next + used;
                else
                    at += _getActive ? LeaveGet(input + at, consumed) : 0;
            }
            else if (status == TextParseStatus.NeedMore)
            {
                _line = _loop.Chunks.RentBuffer(Math.Max(256, length - at));
                _line.Append(input + at, length - at);
                _lineMayBeLong = length - at > Limits.LineBytesMax;
                return length;
            }
            else
            {
                at += consumed;
                Refuse(status, command);
            }
        }

        return at;
    }

    /// <summary>
    /// Reads the next commands of a pipeline without carrying them out, and announces their keys to the store, so that the waits for memory overlap.
    /// Parsing twice costs a tenth of one such wait. Returns for how many of the following commands this has been done, beside the first.
    /// </summary>
    private int AnnounceAhead(byte* input, int length)
    {
        ulong* hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        int count = 0, at = 0;
        int countMax = (int)Math.Min(Limits.PrefetchKeysMax, _turnEnd - Commands);
        while (count < countMax && at < length)
        {
            TextParseStatus status = TextParser.Parse(new ReadOnlySpan<byte>(input + at, length - at), _loop.Limits, out TextCommand command, out int consumed);
            if (status != TextParseStatus.Command)
                break;
            at += consumed;
            if (!command.Key.IsEmpty)
            {
                hashes[count++] = _loop.Hasher.Compute(command.Key);
            }
            else if (command.Verb == TextVerb.Meta)
            {
                if (!MetaParser.TryPeek(command.Keys, out ReadOnlySpan<byte> key, out int valueLength))
                    break;
                hashes[count++] = _loop.Hasher.Compute(key);
                if (valueLength > length - at - 2)
                    break;
                at += valueLength < 0 ? 0 : valueLength + 2;
            }
            else
            {
                // More than one key: RunGet announces them itself.
                ReadOnlySpan<byte> keys = command.Keys;
                if (command.Verb is not (TextVerb.Get or TextVerb.Gets or TextVerb.Gat or TextVerb.Gats)
                    || !TextParser.TryReadKey(ref keys, out ReadOnlySpan<byte> only) || !keys.IsEmpty)
                    break;
                hashes[count++] = _loop.Hasher.Compute(only);
            }

            if (IsStorage(command.Verb))
            {
                if (command.ValueLength > length - at - 2)
                    break;
                at += command.ValueLength + 2;
            }
        }

        if (count > 1)
            _loop.Channel.Prefetch(new ReadOnlySpan<ulong>(hashes, count));
        return Math.Max(0, count - 1);
    }

    private static bool IsStorage(TextVerb verb) =>
        verb is TextVerb.Set or TextVerb.Add or TextVerb.Replace or TextVerb.Append or TextVerb.Prepend or TextVerb.Cas;

    /// <summary>
    /// The line began in an earlier segment. Appends up to its end, so that only the line itself is ever copied, never what follows it;
    /// and parses only when there is an end, so that a long line that trickles in costs linear time.
    /// </summary>
    private int ProcessBrokenLine(byte* input, int length)
    {
        NativeBuffer line = _line!;
        int lineEnd = new ReadOnlySpan<byte>(input, length).IndexOf((byte)'\n');
        int taken = lineEnd < 0 ? length : lineEnd + 1;
        if (line.Length + taken > Limits.ReceiveBytesPerTurn && !_loop.Chunks.HasRoom(line.Length + taken))
        {
            _loop.Counters.ReadBuffersRefused++;
            CurrentOutput.Write(TextReply.OutOfMemoryReading);
            Close();
            return length;
        }

        line.Append(input, taken);
        bool mustParse = lineEnd >= 0 || line.Length > Limits.GetLineBytesMax || (line.Length > Limits.LineBytesMax && !_lineMayBeLong);
        if (!mustParse)
            return taken;

        TextParseStatus status = TextParser.Parse(line.Span, _loop.Limits, out TextCommand command, out int consumed);
        if (status == TextParseStatus.NeedMore)
        {
            _lineMayBeLong = true;
            if (line.Length > Limits.GetLineBytesMax)
                Close();
            return taken;
        }

        _line = null;
        _lineMayBeLong = false;
        if (status == TextParseStatus.Command)
        {
            if (Execute(command, input + taken, length - taken, out int used))
            {
                taken += used;
            }
            else
            {
                // A command that must wait, in a line that lies apart from the input behind it: both go into the backlog.
                int rest = _getActive ? LeaveGet(line.Data, consumed) : 0;
                line.Append(input + taken, length - taken);
                _backlog = line;
                _backlogStart = rest;
                return length;
            }
        }
        else
        {
            Refuse(status, command);
        }

        _loop.Chunks.ReturnBuffer(line);
        return taken;
    }

    /// <summary>A line that is no command.</summary>
    private void Refuse(TextParseStatus status, in TextCommand command)
    {
        if (status == TextParseStatus.Close)
        {
            Close();
            return;
        }

        Commands++;
        if (command.DeleteKeyOnError && _loop.Shared.Detail.IsEnabled)
            _loop.Shared.Detail.CountSet(command.Key);
        if (command.IsTooLarge)
            CountRefusedStore(command.Key, StoreCommandOf(command.Verb));
        bool errorFollows = command.DeleteKeyOnError && !DeleteBeforeError(command.Key, noReply: command.ErrorLine.IsEmpty);
        if (!command.ErrorLine.IsEmpty && !errorFollows)
            CurrentOutput.Write(command.ErrorLine);
        _swallowBytes = command.SwallowBytes;
        if (command.CloseAfterError)
        {
            if (_swallowBytes > 0)
                _closeAfterSwallow = true;
            else
                Close();
        }
    }

    private void ReleaseInput()
    {
        if (_line is { } line)
            _loop.Chunks.ReturnBuffer(line);
        if (_backlog is { } backlog)
            _loop.Chunks.ReturnBuffer(backlog);
        if (_value is { } value)
            _loop.ReturnValue(value);
        _line = null;
        _backlog = null;
        _value = null;
        _swallowBytes = 0;
    }
}
