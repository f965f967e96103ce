using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>The meta commands: from a line to a request, and from its reply to output.</summary>
internal static unsafe class MetaCommands
{
    /// <summary>Carries out a line. False: it has to wait, and must be carried out again.</summary>
    /// <param name="session">The connection.</param>
    /// <param name="line">The line.</param>
    /// <param name="next">The input behind the line.</param>
    /// <param name="available">How much of it there is.</param>
    /// <param name="used">How much of it was taken: the data block.</param>
    public static bool Execute(Session session, ReadOnlySpan<byte> line, byte* next, int available, out int used)
    {
        used = 0;
        LoopContext loop = session.Loop;
        if (!MetaParser.TryParse(line, loop.Limits, loop.BinaryKey, out MetaCommand command))
        {
            Refuse(session, command);
            return true;
        }

        if (command.Verb == MetaVerb.NoOp)
        {
            session.Replies.Current.Write(MetaReply.NoOp);
            return true;
        }

        var form = new MetaReplyForm(command);
        CacheRequest request = ToRequest(loop, command, loop.NowUnixSeconds, ref form);
        request.Connection = session.Connection;
        if (command.Verb == MetaVerb.Set)
        {
            int block = command.ValueLength + 2;
            if (available < block)
            {
                IncomingValue value = loop.RentValue(command, request, form);
                session.Input.Value = value;
                used = value.Append(next, available);
                return true;
            }

            used = block;
            Store(session, request, form, new ReadOnlySpan<byte>(next, block));
            return true;
        }

        if (command.Verb == MetaVerb.Debug)
            loop.Counters.CmdMeta++;
        return Run(session, request, form);
    }

    /// <summary>An ms whose data block is here; the block ends with CRLF, or the command is refused.</summary>
    public static void Store(Session session, CacheRequest request, in MetaReplyForm form, ReadOnlySpan<byte> block)
    {
        int length = block.Length - 2;
        if (block[length] != (byte)'\r' || block[length + 1] != (byte)'\n')
        {
            session.Replies.Current.Write(TextReply.BadDataChunk);
            return;
        }

        request.Connection = session.Connection;
        request.Value = block[..length];
        Run(session, request, form);
    }

    private static void Refuse(Session session, in MetaCommand command)
    {
        if (command.DeleteKeyOnError)
            RefusedStore.Count(session, command.Key, ItemStoreCommands.Of(command.Operation, command.Has(MetaFlags.CompareCas)));
        bool errorFollows = command.DeleteKeyOnError && !RefusedStore.DeleteFormer(session, command.Key, PendingKind.TooLarge);
        if (!errorFollows)
            session.Replies.Current.Write(command.ErrorLine);
        session.Input.SwallowBytes = command.SwallowBytes;
    }

    private static bool Run(Session session, in CacheRequest request, in MetaReplyForm form)
    {
        LoopContext loop = session.Loop;
        loop.Counters.Operations++;
        MetaSink sink = loop.MetaSink;
        sink.Output = session.Replies.Current;
        sink.Form = form;
        sink.Readings = loop.Readings;
        sink.NowUnixSeconds = loop.NowUnixSeconds;
        sink.KeyLength = request.Key.Length;
        fixed (byte* key = request.Key)
        {
            sink.Key = key;
            if (loop.Channel.TryExecute(request, loop.NowUnixSeconds, sink))
                return !sink.LacksRoom || !TryWaitForRoom(session, sink);
        }

        // A quiet command holds its place, too: an error of it must show there, and mn behind it must answer last.
        PendingReply pending = session.Replies.Enqueue(PendingKind.Meta, TextVerb.Meta);
        pending.SetKey(request.Key);
        pending.MetaForm = form;
        loop.Channel.Send(request, pending);
        return true;
    }

    private static bool TryWaitForRoom(Session session, MetaSink sink)
    {
        sink.LacksRoom = false;
        if (session.TryWaitForRoomAgain())
            return true;
        session.Replies.Current.Write(TextReply.OutOfMemoryWriting);
        return false;
    }

    private static CacheRequest ToRequest(LoopContext loop, in MetaCommand command, uint now, ref MetaReplyForm form)
    {
        CacheRequest request = default;
        request.Key = command.Key;
        request.KeyHash = loop.Hasher.Compute(command.Key);
        switch (command.Verb)
        {
            case MetaVerb.Get:
                request.Operation = CacheOperation.Get;
                request.Flags = RequestFlags.TakeToken;
                if (command.Has(MetaFlags.Value))
                    request.Flags |= RequestFlags.ReturnValue;
                if (command.Has(MetaFlags.NoUpdate))
                    request.Flags |= RequestFlags.Peek;
                if (command.Has(MetaFlags.Recache))
                {
                    request.Flags |= RequestFlags.Recache;
                    request.RecacheBefore = Expiry.Resolve(command.RecacheExptime, now);

                    // All of the past is alike: not even an item that T has just made expire lies before it.
                    if (request.RecacheBefore <= now)
                        request.RecacheBefore = Expiry.Never;
                }

                break;
            case MetaVerb.Set:
                request.Operation = command.Operation;
                request.ClientFlags = command.ClientFlags;
                if (command.Has(MetaFlags.BinaryKey))
                    request.Flags |= RequestFlags.BinaryKey;
                if (command.Has(MetaFlags.Invalidate))
                    request.Flags |= RequestFlags.Invalidate;
                break;
            case MetaVerb.Delete:
                request.Operation = CacheOperation.Delete;
                request.ClientFlags = command.ClientFlags;
                if (command.Has(MetaFlags.Invalidate))
                    request.Flags |= RequestFlags.Invalidate;
                if (command.Has(MetaFlags.DropValue))
                    request.Flags |= RequestFlags.DropValue;
                break;
            case MetaVerb.Arithmetic:
                request.Operation = command.Operation;
                request.Delta = command.Delta;
                request.InitialValue = command.InitialValue;
                break;
            default:
                request.Operation = CacheOperation.Get;
                request.Flags = RequestFlags.Peek;
                return request;
        }

        request.Flags |= RequestFlags.MetaCommand;
        if (command.Has(MetaFlags.CompareCas))
        {
            request.Flags |= RequestFlags.CompareCas;
            request.CompareCas = command.CompareCas;
        }

        // For ms, 0 asks for a number of the server's own.
        if (command.Has(MetaFlags.ExplicitCas) && (command.NewCas != 0 || command.Verb != MetaVerb.Set))
        {
            request.Flags |= RequestFlags.ExplicitCas;
            request.NewCas = command.NewCas;
        }

        if (command.Has(MetaFlags.Touch | MetaFlags.Create))
            SetExpiry(command, now, ref request, ref form);
        return request;
    }

    /// <summary>T and N, and with them t and R, take effect in the order of the line.</summary>
    private static void SetExpiry(in MetaCommand command, uint now, ref CacheRequest request, ref MetaReplyForm form)
    {
        bool touches = command.Has(MetaFlags.Touch);
        if (touches)
        {
            request.Flags |= RequestFlags.Touch;
            request.ExpiresAt = Expiry.Resolve(command.Exptime, now);
            if (command.Has(MetaFlags.ReturnTtl) && !command.Has(MetaFlags.TtlBehindTouch))
                request.Flags |= RequestFlags.FormerExpiry;
            if (command.Has(MetaFlags.Recache) && !command.Has(MetaFlags.RecacheBehindTouch))
                request.Flags |= RequestFlags.RecacheBeforeTouch;
        }

        if (!command.Has(MetaFlags.Create))
            return;
        request.Flags |= RequestFlags.CreateOnMiss;
        uint createExpiresAt = Expiry.Resolve(command.CreateExptime, now);
        bool createLast = !touches || command.Has(MetaFlags.CreateBehindTouch);

        // ms knows no order: N is for what an append creates.
        request.CreateExpiresAt = createLast || command.Verb == MetaVerb.Set ? createExpiresAt : request.ExpiresAt;
        bool behindTouch = command.Has(MetaFlags.TtlBehindTouch), behindCreate = command.Has(MetaFlags.TtlBehindCreate);
        form.CreatedExpiresAt = behindCreate && behindTouch ? request.CreateExpiresAt
            : behindCreate ? createExpiresAt
            : behindTouch ? request.ExpiresAt
            : Expiry.Never;
    }
}
