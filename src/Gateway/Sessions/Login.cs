using OrleansCache.Gateway.Passwords;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// The logins of one connection, of either protocol. A failed one is answered after a delay during which the connection takes nothing else, or at once if too
/// many wait in all; then, as after the last failure that a connection is allowed, it is closed.
/// </summary>
internal abstract class Login(Session session, PasswordCheck passwords)
{
    private int _failures;

    protected Session Session { get; } = session;

    /// <summary>Whether this user and password let the connection in. Follow it with <see cref="Accept"/> or <see cref="Refuse"/>.</summary>
    protected bool Check(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password) => passwords.IsRight(user, password);

    protected void Accept() => Session.Loop.Counters.AuthCmds++;

    /// <param name="reply">What the client gets.</param>
    protected void Refuse(byte[] reply)
    {
        LoopContext loop = Session.Loop;
        LoginGuard guard = loop.Shared.Logins;
        loop.Counters.AuthCmds++;
        loop.Counters.AuthErrors++;
        guard.CountFailure(Session.Transport.Info);
        Task? delay = guard.TryDelay(Session.Transport.Info);
        if (delay is null)
        {
            Session.Replies.Current.Write(reply);
            Session.Close();
            return;
        }

        bool isLast = ++_failures >= Limits.LoginFailuresMax;
        Session.WaitElsewhere(DelayAsync(delay, reply), (session, answer) =>
        {
            session.Replies.Current.Write(answer);
            if (isLast)
                session.Close();
        });
    }

    private static async Task<byte[]> DelayAsync(Task delay, byte[] reply)
    {
        await delay.ConfigureAwait(false);
        return reply;
    }
}
