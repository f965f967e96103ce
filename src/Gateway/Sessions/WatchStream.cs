using OrleansCache.Gateway.Transports;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// watch: the connection becomes a stream of lines. It takes no command any more; what the client still sends is read and thrown away, so that its end is
/// noticed. The feed is opened elsewhere, and lines may be announced before it is here.
/// </summary>
internal sealed class WatchStream : SessionActivity
{
    /// <summary>Lines move to the output in pieces of at least a line's length.</summary>
    private const int ReadBytes = 4 * Limits.EventLineBytesMax;

    private readonly Session _session;
    private IEventFeed? _feed;
    private bool _hasLines;

    private WatchStream(Session session) => _session = session;

    /// <summary>The feed is here: the connection watches.</summary>
    public override bool TakesInput => _feed is not null;

    public override bool CanContinue => _hasLines && _feed is not null && _session.Output.Bytes < Limits.WatchOutputBytesMax;

    /// <summary>Carries out the command.</summary>
    public static void Start(Session session, ReadOnlySpan<byte> arguments)
    {
        GatewayShared shared = session.Loop.Shared;
        if (Refusal(session, arguments, out EventKinds kinds) is { IsEmpty: false } refusal)
        {
            session.Replies.Current.Write(refusal);
            return;
        }

        var watch = new WatchStream(session);
        session.Activity = watch;
        session.Barrier = Barrier.Watching;
        var lines = new LinesItem(watch);
        ValueTask<IEventFeed?> opening;
        try
        {
            opening = shared.Router.WatchAsync(kinds, shared.Options.WatcherLogBytesMax, lines.OnWake, CancellationToken.None);
        }
        catch (RouterException)
        {
            watch.Open(null);
            return;
        }

        if (opening.IsCompletedSuccessfully)
            watch.Open(opening.Result);
        else
            _ = WaitForFeedAsync(watch, opening);
    }

    /// <summary>As many lines as the output should hold; the others wait in the feed, which is bounded and counts what it loses.</summary>
    public override void Continue()
    {
        Span<byte> piece = stackalloc byte[ReadBytes];
        while (CanContinue)
        {
            int bytes = _feed!.Read(piece);
            if (bytes == 0)
                _hasLines = false;
            else
                _session.Output.Write(piece[..bytes]);
        }
    }

    /// <summary>A feed that is not here yet is ended when it comes.</summary>
    public override void OnClosing()
    {
        if (TakesInput)
            End();
    }

    /// <summary>Gives the feed and the watcher's place back; the session takes commands again, unless it closes.</summary>
    private void End()
    {
        _feed?.Dispose();
        _feed = null;
        _session.Activity = null;
        _session.Transport.Info.IsWatching = false;
        _session.Barrier = Barrier.None;
        _session.Loop.Shared.LeaveWatcher();
    }

    /// <summary>Empty if the connection may watch; then it holds a watcher's place.</summary>
    private static ReadOnlySpan<byte> Refusal(Session session, ReadOnlySpan<byte> arguments, out EventKinds kinds)
    {
        kinds = EventKinds.None;
        GatewayShared shared = session.Loop.Shared;
        if (!shared.Options.WatchEnabled)
            return "CLIENT_ERROR watch commands not allowed\r\n"u8;
        if (session.Transport.Info.IsDatagram)
            return "ERROR no watch over UDP\r\n"u8;
        if (session.HasPredecessors)
            return "ERROR cannot pipeline other commands before watch\r\n"u8;
        if (!TryReadKinds(arguments, out kinds))
            return TextReply.Error;
        return shared.TryEnterWatcher() ? default : "WATCHER_TOO_MANY log watcher limit reached\r\n"u8;
    }

    /// <summary>memcached compares only as many characters as the client sent, in this order; without a word it means fetchers.</summary>
    private static bool TryReadKinds(ReadOnlySpan<byte> arguments, out EventKinds kinds)
    {
        kinds = EventKinds.None;
        int words = 1;
        while (words < Limits.TokensMax - 1 && TextParser.TryReadKey(ref arguments, out ReadOnlySpan<byte> word))
        {
            words++;
            EventKinds kind = "rawcmds"u8.StartsWith(word) ? EventKinds.RawCommands
                : "evictions"u8.StartsWith(word) ? EventKinds.Evictions
                : "fetchers"u8.StartsWith(word) ? EventKinds.Fetchers
                : "mutations"u8.StartsWith(word) ? EventKinds.Mutations
                : "sysevents"u8.StartsWith(word) ? EventKinds.SystemEvents
                : "connevents"u8.StartsWith(word) ? EventKinds.Connections
                : "proxyreqs"u8.StartsWith(word) || "proxyevents"u8.StartsWith(word) || "proxyuser"u8.StartsWith(word) ? EventKinds.Proxy
                : "deletions"u8.StartsWith(word) ? EventKinds.Deletions
                : EventKinds.None;
            if (kind == EventKinds.None)
                return false;
            kinds |= kind;
        }

        if (kinds == EventKinds.None)
            kinds = EventKinds.Fetchers;
        return true;
    }

    private static async Task WaitForFeedAsync(WatchStream watch, ValueTask<IEventFeed?> opening)
    {
        IEventFeed? feed = null;
        try
        {
            feed = await opening.ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The client learns that it failed; why, the cluster has logged.
        }

        watch._session.Loop.Queue.Post(new ActionItem(() => watch.Open(feed)));
    }

    private void Open(IEventFeed? feed)
    {
        Session session = _session;
        if (session.IsClosing || feed is null)
        {
            feed?.Dispose();
            End();
            if (!session.IsClosing)
                session.Output.Write("WATCHER_FAILED failed to add log watcher\r\n"u8);
        }
        else
        {
            _feed = feed;
            session.Transport.Info.IsWatching = true;
            session.Output.Write("OK\r\n"u8);
            session.Input.Release(session.Loop);
        }

        if (!session.IsAborted)
            session.Transport.Wake();
    }

    /// <summary>Brings a feed's word that there are lines to the session's loop; at most one is on its way.</summary>
    private sealed class LinesItem(WatchStream watch) : LoopWorkItem
    {
        private int _isPosted;

        public void OnWake()
        {
            if (Interlocked.Exchange(ref _isPosted, 1) == 0)
                watch._session.Loop.Queue.Post(this);
        }

        public override void Execute()
        {
            Volatile.Write(ref _isPosted, 0);
            if (watch._session.IsAborted || watch._session.IsClosing)
                return;
            watch._hasLines = true;
            watch._session.Transport.Wake();
        }
    }
}
