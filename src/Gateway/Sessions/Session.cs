using System.Diagnostics;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Sessions.Binary;
using OrleansCache.Gateway.Sessions.Text;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// One connection's protocol state, without I/O. Bytes go in by <see cref="Receive(ReadOnlySpan{byte})"/>, replies collect in <see cref="Output"/> in the order
/// of the commands.
/// <para>
/// Algorithm. Commands are parsed in place from the caller's buffer; only a line that has not ended, a data block that has not arrived, or input that must
/// wait is copied (<see cref="SessionInput"/>). A request is executed at once through the loop's channel if it can be; its reply is written straight into
/// the output. A request for another silo leaves a <see cref="PendingReply"/> in the <see cref="ReplyQueue"/>. The connection's first byte chooses the
/// <see cref="SessionProtocol"/> that parses and carries out its commands.
/// </para>
/// <para>
/// Bounds. Above <see cref="Limits.OutputHighWaterBytes"/> of unsent bytes (<see cref="Limits.OutputHighWaterBytesWhenShort"/> when all connections hold
/// much), or <see cref="Limits.RemoteRepliesPendingMax"/> replies in the queue, the session takes no further command, even in the middle of a multi-get: the
/// rest of its input waits in a backlog, <see cref="WantsInput"/> turns false, and the transport stops reading. <see cref="Resume"/> goes on. A value's
/// buffer grows with what has arrived, not with what was announced. An idle session holds no buffers.
/// </para>
/// Non-goal: thread safety; a session belongs to one loop.
/// </summary>
internal sealed unsafe class Session
{
    /// <summary>What the connection has sent and could not be worked on yet.</summary>
    public SessionInput Input;

    // Of what was received first; kept when the session starts anew.
    private SessionProtocol? _protocol;

    // -R: when Commands gets there, what follows waits for the next turn.
    private long _turnEnd = long.MaxValue;

    // Commands when this piece of input began.
    private long _commandsBefore;

    private RoomWait _room;
    private bool _isDecided;
    private bool _isClosing;
    private bool _inputEnded;

    public Session(LoopContext loop, ISessionTransport transport)
    {
        Loop = loop;
        Transport = transport;
        Connection = transport.Info.Descriptor;
        Replies = new ReplyQueue(loop, transport);
        Output = Replies.Output;
    }

    public LoopContext Loop { get; }

    public ISessionTransport Transport { get; }

    /// <summary>This connection's name in events.</summary>
    public int Connection { get; }

    public ReplyQueue Replies { get; }

    /// <summary>What may be sent now.</summary>
    public OutputList Output { get; }

    public bool IsAborted { get; private set; }

    public bool IsClosing => _isClosing;

    /// <summary>Commands executed, all together.</summary>
    public long Commands { get; set; }

    /// <summary>A command without a key was among what was received.</summary>
    public bool HasAdministered { get; set; }

    /// <summary>Why nothing behind the last command is parsed.</summary>
    public Barrier Barrier { get; set; }

    /// <summary>What occupies the connection.</summary>
    public SessionActivity? Activity { get; set; }

    /// <summary>Whether the transport may hand over more input now.</summary>
    public bool WantsInput => !_isClosing && !_inputEnded && ((Input.Backlog is null && !IsHeld) || TakesNoCommands);

    /// <summary>The turn's share of requests is used up, and input waits that the session could go on with.</summary>
    public bool IsTurnSpent => Commands >= _turnEnd && Input.Backlog is not null && !_isClosing && !IsAborted && !IsHeld;

    /// <summary>The turn's share of requests is used up.</summary>
    public bool HasSpentRequests => Commands >= _turnEnd;

    /// <summary>Whether there is input that <see cref="Resume"/> could work on now.</summary>
    public bool CanResume => !_isClosing && !IsAborted
        && ((Input.Backlog is not null && !IsBlocked) || Activity is { CanContinue: true });

    /// <summary>Everything has been answered and sent: the transport may close.</summary>
    public bool IsFinished =>
        (_isClosing || (_inputEnded && Input.Backlog is null)) && Replies.IsEmpty && Barrier == Barrier.None && Output.IsEmpty;

    /// <summary>The data block of a command is arriving.</summary>
    public bool IsReceivingValue => Input.IsInBlock;

    /// <summary>Nothing is in flight: no reply is awaited, nothing waits to be sent or parsed. (A half-received command does not count.)</summary>
    public bool IsQuiet => IsSettled && Output.IsEmpty;

    /// <summary>All that has been asked for is answered. The answers need not have been sent.</summary>
    public bool IsSettled => Replies.IsEmpty && Barrier == Barrier.None && Input.Backlog is null;

    /// <summary>Bytes of replies that are here, those that wait behind another silo's included.</summary>
    public long ReplyBytes => Output.Bytes + Replies.HeldBytes;

    /// <summary>What is behind a command must wait.</summary>
    public bool IsHeld => Barrier != Barrier.None || _room.IsWaiting || IsOutputFull || (!Replies.IsEmpty && Replies.IsFull);

    /// <summary><see cref="IsHeld"/>, or the turn's share of requests is used up.</summary>
    public bool IsBlocked => Commands >= _turnEnd || IsHeld;

    /// <summary>Something came before the command in the same piece of input, or is still unanswered or unsent.</summary>
    public bool HasPredecessors => Commands - 1 != _commandsBefore || !Output.IsEmpty || !Replies.IsEmpty;

    /// <summary>A read waits for room.</summary>
    public bool WaitsForRoom => _room.IsWaiting;

    /// <summary>Requests that the turn still allows.</summary>
    public long TurnLeft => _turnEnd - Commands;

    private bool IsOutputFull =>
        Output.Bytes >= Limits.OutputHighWaterBytesWhenShort && (Output.Bytes >= Limits.OutputHighWaterBytes || Loop.Chunks.IsShort);

    private bool TakesNoCommands => Activity is { TakesInput: true };

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
        if (_isClosing || IsAborted || TakesNoCommands)
            return;
        if (Input.Backlog is { } backlog)
        {
            backlog.Append(input, length);
            return;
        }

        int consumed = Process(input, length, isPipeline: false);
        if (consumed < length && !_isClosing && !TakesNoCommands)
            Input.KeepBacklog(Loop, input + consumed, length - consumed);
    }

    /// <summary>The client will send no more. What it has sent is still answered.</summary>
    public void ReceiveEnd()
    {
        _inputEnded = true;
        Transport.Info.CloseReason = ConnectionCloseReason.Normal;
        if (Barrier == Barrier.Watching)
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
        Input.Release(Loop);
        Activity?.OnClosing();
    }

    /// <summary>The connection is gone. Releases everything; replies that still come are dropped.</summary>
    public void Abort()
    {
        if (IsAborted)
            return;
        IsAborted = true;
        Close();
        Replies.Abort();
    }

    /// <summary>Goes on with input that had to wait. Call when output has left or after <see cref="ISessionTransport.Wake"/>.</summary>
    public void Resume()
    {
        if (Activity is { CanContinue: true } activity)
            activity.Continue();
        if (_isClosing || IsAborted || Input.Backlog is null || IsBlocked)
            return;
        int start = Input.BacklogStart;
        NativeBuffer backlog = Input.TakeBacklog();
        int consumed = Process(backlog.Data + start, backlog.Length - start, isPipeline: true);
        if (start + consumed < backlog.Length && !_isClosing && !TakesNoCommands)
        {
            Debug.Assert(Input.Backlog is null);
            Input.SetBacklog(backlog, start + consumed);
        }
        else
        {
            Loop.Chunks.ReturnBuffer(backlog);
        }
    }

    /// <summary>
    /// While a large data block arrives, the transport may receive straight into its buffer: at most this many bytes, then <see cref="CommitValueBytes"/>.
    /// </summary>
    public bool TryGetValueTarget(out byte* target, out int bytes)
    {
        IncomingValue? value = Input.Value;
        if (value is null || value.Missing < IncomingValue.DirectBytesMin || !_protocol!.TryMakeRoom(value, IncomingValue.DirectBytesMin))
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
        if (Input.Value!.Commit(bytes))
            _protocol!.EndValue();
    }

    // ---- for a session that serves one datagram at a time --------------------------------------------------------------------------

    /// <summary>Nothing more will come for what has been received: a command that does not end in it is dropped. True if there was one.</summary>
    public bool DropIncomplete()
    {
        bool isIncomplete = Input.IsIncomplete;
        Input.Release(Loop);
        return isIncomplete;
    }

    /// <summary>Makes a settled session, whose replies have been sent, as good as new. False if it is not one that could be.</summary>
    public bool TryRestart()
    {
        if (_isClosing || IsAborted || !IsQuiet || Input.IsIncomplete || Input.IsInBlock)
            return false;
        _isDecided = false;
        HasAdministered = false;
        return true;
    }

    // ---- for commands that wait ----------------------------------------------------------------------------------------------------

    /// <summary>The read that waits for room may try again.</summary>
    public void RetryRoom()
    {
        if (_room.TryEnd() && !IsAborted)
            Transport.Wake();
    }

    /// <summary>Begins to wait for room, or goes on; false if this read has waited for long enough. See <see cref="RoomWait.TryWait"/>.</summary>
    public bool TryWaitForRoom(int keysLength) => _room.TryWait(this, keysLength);

    /// <summary>As the other, for a command that will be carried out again from its beginning.</summary>
    public bool TryWaitForRoomAgain()
    {
        Commands--;
        if (TryWaitForRoom(0))
            return true;
        Commands++;
        return false;
    }

    /// <summary>
    /// Goes on with <paramref name="finish"/>, on the loop, when the work elsewhere is done. Nothing behind the command is parsed before that. The work does
    /// not fail. After the end of the connection its result is dropped.
    /// </summary>
    public void WaitElsewhere<T>(Task<T> work, Action<Session, T> finish)
    {
        Barrier = Barrier.WaitsElsewhere;
        _ = WorkElsewhere<T>.WaitAsync(this, work, finish);
    }

    // ---- input ---------------------------------------------------------------------------------------------------------------------

    /// <summary>
    /// Works on input until it is used up, or the session must wait or close. Returns the bytes consumed. <paramref name="isPipeline"/>: more than one
    /// command is likely to be there.
    /// </summary>
    private int Process(byte* input, int length, bool isPipeline)
    {
        _commandsBefore = Commands;
        if (!_isDecided)
        {
            if (length == 0)
                return 0;
            Decide(*input);
        }

        return _protocol!.Process(input, length, isPipeline);
    }

    /// <summary>What this connection speaks, decided by its listener or by its first byte.</summary>
    private void Decide(byte first)
    {
        bool isBinary = Transport.Info.Protocol switch
        {
            WireProtocol.Ascii => false,
            WireProtocol.Binary => true,
            _ => first == BinaryParser.Magic,
        };
        if (_protocol is null || isBinary != _protocol is BinaryProtocol)
            _protocol = isBinary ? new BinaryProtocol(this) : new TextProtocol(this);
        _isDecided = true;
    }
}
