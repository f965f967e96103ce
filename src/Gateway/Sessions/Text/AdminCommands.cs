using System.Text;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>The text protocol's commands without a key. Cold: they may allocate.</summary>
internal static class AdminCommands
{
    public static void Execute(Session session, in TextCommand command)
    {
        GatewayShared shared = session.Loop.Shared;
        session.HasAdministered = true;
        switch (command.Verb)
        {
            case TextVerb.Version:
                session.Replies.Current.Write(shared.VersionReply);
                break;
            case TextVerb.Verbosity:
                shared.SetVerbosity(command.Exptime);
                if (!command.NoReply)
                    session.Replies.Current.Write("OK\r\n"u8);
                break;
            case TextVerb.Shutdown:
            case TextVerb.Drain:
            case TextVerb.CacheMemlimit:
            case TextVerb.DebugTime:
                OperatorCommands.Execute(session, command);
                break;
            case TextVerb.Seeds:
                ChangeSeeds(session, command);
                break;
            case TextVerb.Moves:
                OrderMoves(session, command);
                break;
            case TextVerb.RefreshCerts:
                Reload(session, command.NoReply);
                break;
            case TextVerb.Quit:
                session.Transport.Info.CloseReason = ConnectionCloseReason.Normal;
                session.Close();
                break;
            case TextVerb.Watch:
                WatchStream.Start(session, command.Keys);
                break;
            case TextVerb.Stats:
                WriteStats(session, command.Keys);
                break;
            case TextVerb.ConfigGetCluster:
                DiscoveryCommands.Answer(session, asItem: false);
                break;
            case TextVerb.LruCrawler:
                LruCommands.ExecuteCrawler(session, command);
                break;
            case TextVerb.Lru:
                LruCommands.ExecuteLru(session, command);
                break;
            case TextVerb.Slabs:
                LruCommands.ExecuteSlabs(session, command);
                break;
            case TextVerb.FlushAll:
                new FlushCommand(session, command.Exptime, command.NoReply ? static (_, _) => { } : AnswerOutcome).Run();
                break;
        }
    }

    private static void WriteStats(Session session, ReadOnlySpan<byte> arguments)
    {
        LoopContext loop = session.Loop;
        string text = Encoding.ASCII.GetString(arguments);
        if (StatsText.TakesLong(loop.Shared, text))
        {
            StatsCollection.Start(
                session,
                StatsText.BuildAsync(loop.Shared, loop.NowUnixSeconds, text),
                static (session, collected) => session.Replies.Current.Write(collected));
        }
        else
        {
            session.Replies.Current.Write(StatsText.Build(loop.Shared, loop.NowUnixSeconds, text, session.Transport.Info));
        }
    }

    /// <summary>seeds add and seeds remove: who keeps the membership.</summary>
    private static void ChangeSeeds(Session session, in TextCommand command)
    {
        GatewayShared shared = session.Loop.Shared;
        string? refusal = shared.Options.Drain is null ? "not enabled (-A)" : shared.Router.Cluster is null ? "a single node has none" : null;
        if (refusal is null)
        {
            Task<string?> change = ClusterText.ChangeSeedsAsync(shared, Encoding.ASCII.GetString(command.Key), command.Exptime == 1);
            session.WaitElsewhere(change, command.NoReply ? static (_, _) => { } : AnswerOutcome);
        }
        else if (!command.NoReply)
            AnswerOutcome(session, $"seeds: {refusal}");
    }

    /// <summary>moves pause, resume, limit and abort.</summary>
    private static void OrderMoves(Session session, in TextCommand command)
    {
        GatewayShared shared = session.Loop.Shared;
        MoveOrder order = new((MoveOrderKind)command.ClientFlags, command.Exptime);
        string? refusal = shared.Options.Drain is null ? "not enabled (-A)"
            : shared.Router.Cluster is null ? "in a single node nothing moves"
            : order.Kind == MoveOrderKind.Limit && order.Value != 0 && order.Value is < Limits.MoveLimitBytesMin or > Limits.MoveLimitBytesMax
            ? $"the limit must be off, or {Limits.MoveLimitBytesMin} to {Limits.MoveLimitBytesMax} bytes per second" : null;
        if (refusal is null)
            session.WaitElsewhere(ClusterText.OrderMovesAsync(shared, order), command.NoReply ? static (_, _) => { } : AnswerOutcome);
        else if (!command.NoReply)
            AnswerOutcome(session, $"moves: {refusal}");
    }

    /// <summary>refresh_certs: reads certificates and passwords again, off the loop. Nothing behind it is parsed before it is done.</summary>
    private static void Reload(Session session, bool noReply)
    {
        GatewayShared shared = session.Loop.Shared;
        if (shared.Files.HasFiles)
            session.WaitElsewhere(ReadFailureAsync(shared.Files.ReloadAsync()), noReply ? static (_, _) => { } : AnswerOutcome);
        else if (!noReply)
            session.Replies.Current.Write("SERVER_ERROR TLS is not enabled\r\n"u8);
    }

    private static async Task<string?> ReadFailureAsync(Task<string?> reload)
    {
        try
        {
            return await reload.ConfigureAwait(false);
        }
        catch (Exception unexpected)
        {
            return unexpected.Message;
        }
    }

    /// <summary>OK, or why not.</summary>
    private static void AnswerOutcome(Session session, string? failure)
    {
        if (failure is null)
            session.Replies.Current.Write("OK\r\n"u8);
        else
            session.Replies.Current.Commit(TextReply.WriteServerError(session.Replies.Current.Reserve(TextReply.LineBytesMax), failure));
    }
}
