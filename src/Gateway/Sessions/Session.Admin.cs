using System.Text;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// The commands without a key. Cold: they may allocate.
internal sealed partial class Session
{
    private long _flushExptime;
    private bool _flushNoReply;

    private void Administrate(in TextCommand command)
    {
        HasAdministered = true;
        switch (command.Verb)
        {
            case TextVerb.Version:
                CurrentOutput.Write(_loop.Shared.VersionReply);
                break;
            case TextVerb.Verbosity:
                _loop.Shared.SetVerbosity(command.Exptime);
                if (!command.NoReply)
                    CurrentOutput.Write("OK\r\n"u8);
                break;
            case TextVerb.Shutdown:
            case TextVerb.Drain:
            case TextVerb.CacheMemlimit:
            case TextVerb.DebugTime:
                Operate(command);
                break;
            case TextVerb.RefreshCerts:
                StartReload(command.NoReply);
                break;
            case TextVerb.Quit:
                _transport.Info.CloseReason = ConnectionCloseReason.Normal;
                Close();
                break;
            case TextVerb.Watch:
                Watch(command.Keys);
                break;
            case TextVerb.Stats:
                WriteStats(command.Keys);
                break;
            case TextVerb.ConfigGetCluster:
                AnswerDiscovery(asItem: false);
                break;
            case TextVerb.LruCrawler:
                RunCrawlerCommand(command);
                break;
            case TextVerb.Lru:
                RunLruCommand(command);
                break;
            case TextVerb.Slabs:
                RunSlabsCommand(command);
                break;
            case TextVerb.FlushAll:
                _flushExptime = command.Exptime;
                _flushNoReply = command.NoReply;
                if (_waiting > 0)
                    _barrier = Barrier.WaitsForReplies;
                else
                    StartFlush();
                break;
        }
    }

    private void WriteStats(ReadOnlySpan<byte> arguments)
    {
        string text = Encoding.ASCII.GetString(arguments);
        if (StatsText.TakesLong(_loop.Shared, text))
            Collect(StatsText.BuildAsync(_loop.Shared, _loop.NowUnixSeconds, text), static (session, collected) => session.CurrentOutput.Write(collected));
        else
            CurrentOutput.Write(StatsText.Build(_loop.Shared, _loop.NowUnixSeconds, text, _transport.Info));
    }

    /// <summary>Goes on with <paramref name="finish"/>, on the loop, when the text is there. Nothing behind it is parsed before that.</summary>
    private void Collect(Task<byte[]> text, Action<Session, byte[]> finish)
    {
        _barrier = Barrier.Collecting;
        _ = WaitForTextAsync(this, text, finish);
    }

    private static async Task WaitForTextAsync(Session session, Task<byte[]> text, Action<Session, byte[]> finish)
    {
        byte[] collected;
        try
        {
            collected = await text.ConfigureAwait(false);
        }
        catch (Exception)
        {
            collected = "SERVER_ERROR statistics could not be collected\r\n"u8.ToArray();
        }

        session._loop.Queue.Post(new TextCollected(session, collected, finish));
    }

    private sealed class TextCollected(Session session, byte[] text, Action<Session, byte[]> finish) : LoopWorkItem
    {
        public override void Execute()
        {
            if (session.IsAborted)
                return;
            session._barrier = Barrier.None;
            finish(session, text);
            session._transport.Wake();
        }
    }

    /// <summary>
    /// A flush is a barrier: what this connection asked before has been answered, and nothing behind it is parsed before it is done everywhere.
    /// </summary>
    private void StartFlush()
    {
        _barrier = Barrier.None;
        _loop.Counters.Flushes++;
        uint at = _flushExptime <= 0 ? 0 : Expiry.Resolve(_flushExptime, _loop.NowUnixSeconds);
        ValueTask flush;
        try
        {
            flush = _loop.Shared.Router.FlushAllAsync(at, CancellationToken.None);
        }
        catch (RouterException failure)
        {
            FinishFlush(failure.Message);
            return;
        }

        if (flush.IsCompletedSuccessfully)
        {
            flush.GetAwaiter().GetResult();
            FinishFlush(null);
            return;
        }

        _barrier = Barrier.Flushing;
        _ = WaitForFlushAsync(this, flush);
    }

    private static async Task WaitForFlushAsync(Session session, ValueTask flush)
    {
        string? failure = null;
        try
        {
            await flush.ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            failure = exception is RouterException ? exception.Message : "flush_all failed";
        }

        session._loop.Queue.Post(new FlushDone(session, failure));
    }

    private void FinishFlush(string? failure)
    {
        _barrier = Barrier.None;
        if (_wire == Wire.Binary)
        {
            FinishBinaryFlush(failure);
            return;
        }

        if (_flushNoReply)
            return;
        if (failure is null)
            CurrentOutput.Write("OK\r\n"u8);
        else
            CurrentOutput.Commit(TextReply.WriteServerError(CurrentOutput.Reserve(TextReply.LineBytesMax), failure));
    }

    private sealed class FlushDone(Session session, string? failure) : LoopWorkItem
    {
        public override void Execute()
        {
            if (session.IsAborted)
                return;
            session.FinishFlush(failure);
            session._transport.Wake();
        }
    }
}
