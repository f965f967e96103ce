using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>
/// The text protocol, meta commands among them, on one connection: cuts its input into lines and data blocks, and gives each command to those who carry it
/// out. A line that has not ended waits in <see cref="SessionInput.Head"/>; what follows it is never copied.
/// </summary>
internal sealed unsafe class TextProtocol : SessionProtocol
{
    private readonly TextLogin? _login;
    private GetCommand _get;
    private bool _lineMayBeLong;

    public TextProtocol(Session session)
        : base(session)
    {
        if (Loop.Shared.Options.TextPasswords is { } passwords)
            _login = new TextLogin(session, passwords);
    }

    public override int Process(byte* input, int length, bool isPipeline)
    {
        int at = 0;
        if (_login is { IsRight: false } login)
        {
            at = login.Process(input, length);
            if (!login.IsRight)
                return at;
        }

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
            if (_get.IsPaused)
            {
                at += _get.Continue(Session, input + at);
                continue;
            }

            if (Input.Head is not null)
            {
                at += ProcessBrokenLine(input + at, length - at);
                continue;
            }

            // A single command gains nothing from it, and most inputs hold a single command: look ahead from the second one on.
            if (announced == 0 && (at > 0 || isPipeline))
                announced = AnnounceAhead(input + at, length - at);
            else if (announced > 0)
                announced--;
            TextParseStatus status = TextParser.Parse(new ReadOnlySpan<byte>(input + at, length - at), Loop.Limits, out TextCommand command, out int consumed);
            if (status == TextParseStatus.Command)
            {
                int next = at + consumed;
                if (Execute(command, input + next, length - next, out int used))
                    at = next + used;
                else
                    at += _get.IsPaused ? _get.Leave(input + at, consumed) : 0;
            }
            else if (status == TextParseStatus.NeedMore)
            {
                Input.KeepHead(Loop, input + at, length - at);
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

    protected override void Complete(IncomingValue value)
    {
        if (value.IsMeta)
            MetaCommands.Store(Session, value.ToRequest(Loop.Hasher), value.MetaForm, value.Block);
        else
            KeyCommands.Store(Session, value.Verb, value.Key, value.ClientFlags, value.Exptime, value.Cas, value.NoReply, value.Block);
    }

    protected override void RefuseForRoom(IncomingValue value)
    {
        // A set that fails takes the former value with it.
        if (value.Verb == TextVerb.Set)
            RefusedStore.DeleteFormer(Session, value.Key, PendingKind.Silent);
        if (!value.NoReply)
            Replies.Current.Write(TextReply.OutOfMemoryStoring);
    }

    /// <summary>
    /// Carries out a command. <paramref name="next"/> is the input behind its line and <paramref name="used"/> what was taken of it (a data block).
    /// False: a get that has to wait before its last key, or another command that has to wait altogether.
    /// </summary>
    private bool Execute(in TextCommand command, byte* next, int available, out int used)
    {
        Session.Commands++;
        used = 0;
        switch (command.Verb)
        {
            case TextVerb.Get:
                if (DiscoveryCommands.IsDiscoveryGet(command.Keys) && DiscoveryCommands.TryAnswerGet(Session, command.Keys))
                    return true;
                return _get.Run(Session, command.Verb, 0, command.Keys);
            case TextVerb.Gets:
                return _get.Run(Session, command.Verb, 0, command.Keys);
            case TextVerb.Gat:
            case TextVerb.Gats:
                return _get.Run(Session, command.Verb, Expiry.Resolve(command.Exptime, Loop.NowUnixSeconds), command.Keys);
            case TextVerb.Set:
            case TextVerb.Add:
            case TextVerb.Replace:
            case TextVerb.Append:
            case TextVerb.Prepend:
            case TextVerb.Cas:
                if (Loop.Shared.Detail.IsEnabled)
                    Loop.Shared.Detail.CountSet(command.Key);
                int block = command.ValueLength + 2;
                if (available >= block)
                {
                    used = block;
                    KeyCommands.Store(Session, command.Verb, command.Key, command.ClientFlags, command.Exptime, command.Cas, command.NoReply,
                        new ReadOnlySpan<byte>(next, block));
                }
                else
                {
                    Input.Value = Loop.RentValue(command);
                    used = Input.Value.Append(next, available);
                }

                return true;
            case TextVerb.Increment:
            case TextVerb.Decrement:
            case TextVerb.Touch:
            case TextVerb.Delete:
                KeyCommands.Change(Session, command);
                return true;
            case TextVerb.Meta:
                return MetaCommands.Execute(Session, command.Keys, next, available, out used);
            default:
                AdminCommands.Execute(Session, command);
                return true;
        }
    }

    /// <summary>
    /// Reads the next commands of a pipeline without carrying them out, and announces their keys to the store, so that the waits for memory overlap.
    /// Parsing twice costs a tenth of one such wait. Returns for how many of the following commands this has been done, beside the first.
    /// </summary>
    private int AnnounceAhead(byte* input, int length)
    {
        ulong* hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        int count = 0, at = 0;
        int countMax = (int)Math.Min(Limits.PrefetchKeysMax, Session.TurnLeft);
        while (count < countMax && at < length)
        {
            TextParseStatus status = TextParser.Parse(new ReadOnlySpan<byte>(input + at, length - at), Loop.Limits, out TextCommand command, out int consumed);
            if (status != TextParseStatus.Command)
                break;
            at += consumed;
            if (!command.Key.IsEmpty)
            {
                hashes[count++] = Loop.Hasher.Compute(command.Key);
            }
            else if (command.Verb == TextVerb.Meta)
            {
                if (!MetaParser.TryPeek(command.Keys, out ReadOnlySpan<byte> key, out int valueLength))
                    break;
                hashes[count++] = Loop.Hasher.Compute(key);
                if (valueLength > length - at - 2)
                    break;
                at += valueLength < 0 ? 0 : valueLength + 2;
            }
            else
            {
                // More than one key: the get announces them itself.
                ReadOnlySpan<byte> keys = command.Keys;
                if (command.Verb is not (TextVerb.Get or TextVerb.Gets or TextVerb.Gat or TextVerb.Gats)
                    || !TextParser.TryReadKey(ref keys, out ReadOnlySpan<byte> only) || !keys.IsEmpty)
                    break;
                hashes[count++] = Loop.Hasher.Compute(only);
            }

            if (IsStorage(command.Verb))
            {
                if (command.ValueLength > length - at - 2)
                    break;
                at += command.ValueLength + 2;
            }
        }

        if (count > 1)
            Loop.Channel.Prefetch(new ReadOnlySpan<ulong>(hashes, count));
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
        NativeBuffer line = Input.Head!;
        int lineEnd = new ReadOnlySpan<byte>(input, length).IndexOf((byte)'\n');
        int taken = lineEnd < 0 ? length : lineEnd + 1;
        if (line.Length + taken > Limits.ReceiveBytesPerTurn && !Loop.Chunks.HasRoom(line.Length + taken))
        {
            Loop.Counters.ReadBuffersRefused++;
            Replies.Current.Write(TextReply.OutOfMemoryReading);
            Session.Close();
            return length;
        }

        line.Append(input, taken);
        bool mustParse = lineEnd >= 0 || line.Length > Limits.GetLineBytesMax || (line.Length > Limits.LineBytesMax && !_lineMayBeLong);
        if (!mustParse)
            return taken;

        TextParseStatus status = TextParser.Parse(line.Span, Loop.Limits, out TextCommand command, out int consumed);
        if (status == TextParseStatus.NeedMore)
        {
            _lineMayBeLong = true;
            if (line.Length > Limits.GetLineBytesMax)
                Session.Close();
            return taken;
        }

        Input.Head = null;
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
                int rest = _get.IsPaused ? _get.Leave(line.Data, consumed) : 0;
                line.Append(input + taken, length - taken);
                Input.SetBacklog(line, rest);
                return length;
            }
        }
        else
        {
            Refuse(status, command);
        }

        Loop.Chunks.ReturnBuffer(line);
        return taken;
    }

    /// <summary>A line that is no command.</summary>
    private void Refuse(TextParseStatus status, in TextCommand command)
    {
        if (status == TextParseStatus.Close)
        {
            Session.Close();
            return;
        }

        Session.Commands++;
        if (command.DeleteKeyOnError && Loop.Shared.Detail.IsEnabled)
            Loop.Shared.Detail.CountSet(command.Key);
        if (command.IsTooLarge)
            RefusedStore.Count(Session, command.Key, StoreCommandOf(command.Verb));
        bool errorFollows = command.DeleteKeyOnError
            && !RefusedStore.DeleteFormer(Session, command.Key, command.ErrorLine.IsEmpty ? PendingKind.Silent : PendingKind.TooLarge);
        if (!command.ErrorLine.IsEmpty && !errorFollows)
            Replies.Current.Write(command.ErrorLine);
        Input.SwallowBytes = command.SwallowBytes;
        if (command.CloseAfterError)
        {
            if (Input.SwallowBytes > 0)
                Input.ClosesAfterSwallow = true;
            else
                Session.Close();
        }
    }

    private static ItemStoreCommand StoreCommandOf(TextVerb verb) => verb switch
    {
        TextVerb.Set => ItemStoreCommand.Set,
        TextVerb.Add => ItemStoreCommand.Add,
        TextVerb.Replace => ItemStoreCommand.Replace,
        TextVerb.Append => ItemStoreCommand.Append,
        TextVerb.Prepend => ItemStoreCommand.Prepend,
        TextVerb.Cas => ItemStoreCommand.Cas,
        _ => ItemStoreCommand.None,
    };
}
