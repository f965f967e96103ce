namespace OrleansCache.Gateway.Sessions;

/// <summary>One of memcached's protocols on one connection: finds the commands in its input and carries them out.</summary>
internal abstract unsafe class SessionProtocol(Session session)
{
    protected readonly Session Session = session;
    protected readonly LoopContext Loop = session.Loop;
    protected readonly ReplyQueue Replies = session.Replies;

    protected ref SessionInput Input => ref Session.Input;

    /// <summary>
    /// Works on input until it is used up, or the session must wait or close. Returns the bytes consumed. <paramref name="isPipeline"/>: more than one
    /// command is likely to be there.
    /// </summary>
    public abstract int Process(byte* input, int length, bool isPipeline);

    /// <summary>The data block that was arriving is whole.</summary>
    public void EndValue()
    {
        IncomingValue value = Input.Value!;
        Input.Value = null;
        Complete(value);
        Loop.ReturnValue(value);
    }

    /// <summary>
    /// Whether a value that arrives may grow by so many bytes. If not, it is refused as one for which the store has no memory, and what is to come of it
    /// swallowed.
    /// </summary>
    public bool TryMakeRoom(IncomingValue value, int bytes)
    {
        if (!value.MustGrow(bytes, out int growth) || Loop.Chunks.HasRoom(growth))
            return true;
        Input.Value = null;
        Input.SwallowBytes = value.Missing;
        Loop.Counters.ReadBuffersRefused++;
        RefuseForRoom(value);
        Loop.ReturnValue(value);
        return false;
    }

    /// <summary>Carries out the command of a data block that is whole.</summary>
    protected abstract void Complete(IncomingValue value);

    /// <summary>Answers the command of a data block for which there is no memory.</summary>
    protected abstract void RefuseForRoom(IncomingValue value);

    /// <summary>Takes what belongs to the data block that is arriving, wanted or not. Returns the bytes taken.</summary>
    protected int TakeBlock(byte* input, int length)
    {
        if (Input.Value is { } value)
        {
            if (!TryMakeRoom(value, length))
                return 0;
            int taken = value.Append(input, length);
            if (value.Missing == 0)
                EndValue();
            return taken;
        }

        int swallowed = (int)Math.Min(Input.SwallowBytes, length);
        Input.SwallowBytes -= swallowed;
        if (Input.SwallowBytes == 0 && Input.ClosesAfterSwallow)
            Session.Close();
        return swallowed;
    }
}
