using System.Text;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>shutdown, drain, cache_memlimit, debugtime: the operator's commands. They mean this process, not the cluster.</summary>
internal static class OperatorCommands
{
    public static void Execute(Session session, in TextCommand command)
    {
        ReadOnlySpan<byte> reply = command.Verb switch
        {
            TextVerb.Shutdown => ShutDown(session, command.Exptime),
            TextVerb.Drain => Drain(session),
            TextVerb.CacheMemlimit => SetMemoryLimit(session, command.Exptime),
            _ => MoveClock(session, command),
        };
        if (!command.NoReply)
            session.Replies.Current.Write(reply);
    }

    /// <summary>Answers nothing if it is done: the connection closes.</summary>
    private static ReadOnlySpan<byte> ShutDown(Session session, long mode)
    {
        if (session.Loop.Shared.Options.Shutdown is not { } shutdown)
            return "SERVER_ERROR: shutdown not enabled\r\n"u8;
        if (mode < 0)
            return "CLIENT_ERROR invalid shutdown mode\r\n"u8;
        session.Close();
        shutdown(mode == 1);
        return default;
    }

    /// <summary>OK: the hand-over has begun; it goes on after the reply, and this process goes on serving its clients.</summary>
    private static ReadOnlySpan<byte> Drain(Session session)
    {
        if (session.Loop.Shared.Options.Drain is not { } drain)
            return "SERVER_ERROR: drain not enabled\r\n"u8;
        return drain() is { } refusal ? Encoding.ASCII.GetBytes($"SERVER_ERROR drain: {refusal}\r\n") : "OK\r\n"u8;
    }

    private static ReadOnlySpan<byte> SetMemoryLimit(Session session, long megabytes)
    {
        const int MegabytesMin = 8;
        const int MegabytesMax = 1_000_000_000;
        if (megabytes < MegabytesMin)
            return "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"u8;
        if (megabytes > MegabytesMax)
            return "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"u8;
        return session.Loop.Shared.Router.TrySetMemoryLimit(megabytes << 20) ? "OK\r\n"u8 : "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"u8;
    }

    private static ReadOnlySpan<byte> MoveClock(Session session, in TextCommand command)
    {
        if (session.Loop.Shared.Options.DebugClock is not { } clock)
            return TextReply.Error;
        bool isDone = true;
        if (command.ClientFlags == 'p')
            clock.Stop();
        else if (command.ClientFlags == 'r')
            clock.Continue();
        else
            isDone = clock.TryMove(command.Exptime);
        session.Loop.ReadClock();
        return isDone ? "OK\r\n"u8 : TextReply.Error;
    }
}
