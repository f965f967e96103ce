using System.Text;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// Commands for whoever runs the server: they mean this process, not the cluster.
internal sealed partial class Session
{
    private void Operate(in TextCommand command)
    {
        ReadOnlySpan<byte> reply = command.Verb switch
        {
            TextVerb.Shutdown => ShutDown(command.Exptime),
            TextVerb.Drain => Drain(),
            TextVerb.CacheMemlimit => SetMemoryLimit(command.Exptime),
            _ => MoveClock(command),
        };
        if (!command.NoReply)
            CurrentOutput.Write(reply);
    }

    /// <summary>Answers nothing if it is done: the connection closes.</summary>
    private ReadOnlySpan<byte> ShutDown(long mode)
    {
        if (_loop.Shared.Options.Shutdown is not { } shutdown)
            return "SERVER_ERROR: shutdown not enabled\r\n"u8;
        if (mode < 0)
            return "CLIENT_ERROR invalid shutdown mode\r\n"u8;
        Close();
        shutdown(mode == 1);
        return default;
    }

    /// <summary>OK: the hand-over has begun; it goes on after the reply, and this process goes on serving its clients.</summary>
    private ReadOnlySpan<byte> Drain()
    {
        if (_loop.Shared.Options.Drain is not { } drain)
            return "SERVER_ERROR: drain not enabled\r\n"u8;
        return drain() is { } refusal ? Encoding.ASCII.GetBytes($"SERVER_ERROR drain: {refusal}\r\n") : "OK\r\n"u8;
    }

    private ReadOnlySpan<byte> SetMemoryLimit(long megabytes)
    {
        const int MegabytesMin = 8;
        const int MegabytesMax = 1_000_000_000;
        if (megabytes < MegabytesMin)
            return "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"u8;
        if (megabytes > MegabytesMax)
            return "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"u8;
        return _loop.Shared.Router.TrySetMemoryLimit(megabytes << 20) ? "OK\r\n"u8 : "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"u8;
    }

    private ReadOnlySpan<byte> MoveClock(in TextCommand command)
    {
        if (_loop.Shared.Options.DebugClock is not { } clock)
            return TextReply.Error;
        bool isDone = true;
        if (command.ClientFlags == 'p')
            clock.Stop();
        else if (command.ClientFlags == 'r')
            clock.Continue();
        else
            isDone = clock.TryMove(command.Exptime);
        _loop.ReadClock();
        return isDone ? "OK\r\n"u8 : TextReply.Error;
    }
}
