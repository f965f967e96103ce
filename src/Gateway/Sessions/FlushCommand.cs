namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// A flush_all of either protocol. A flush is a barrier: what this connection asked before has been answered, and nothing behind it is parsed before it is
/// done everywhere.
/// </summary>
/// <param name="session">The connection.</param>
/// <param name="exptime">As the client sent it.</param>
/// <param name="answer">Writes the reply: null, or why it failed.</param>
internal sealed class FlushCommand(Session session, long exptime, Action<Session, string?> answer) : SessionActivity
{
    public override bool CanContinue => session.Replies.Unanswered == 0;

    /// <summary>Starts, or waits for the replies to earlier requests.</summary>
    public void Run()
    {
        if (session.Replies.Unanswered == 0)
        {
            Start();
            return;
        }

        session.Activity = this;
        session.Barrier = Barrier.WaitsForReplies;
    }

    public override void Continue()
    {
        OnClosing();
        Start();
    }

    /// <summary>Waits no longer.</summary>
    public override void OnClosing()
    {
        session.Activity = null;
        session.Barrier = Barrier.None;
    }

    private void Start()
    {
        LoopContext loop = session.Loop;
        loop.Counters.CmdFlush++;
        uint at = exptime <= 0 ? 0 : Expiry.Resolve(exptime, loop.NowUnixSeconds);
        ValueTask flush;
        try
        {
            flush = loop.Shared.Router.FlushAllAsync(at, CancellationToken.None);
        }
        catch (RouterException failure)
        {
            answer(session, failure.Message);
            return;
        }

        if (flush.IsCompletedSuccessfully)
        {
            flush.GetAwaiter().GetResult();
            answer(session, null);
            return;
        }

        session.WaitElsewhere(ReadFailureAsync(flush), answer);
    }

    private static async Task<string?> ReadFailureAsync(ValueTask flush)
    {
        try
        {
            await flush.ConfigureAwait(false);
            return null;
        }
        catch (Exception exception)
        {
            return exception is RouterException ? exception.Message : "flush_all failed";
        }
    }
}
