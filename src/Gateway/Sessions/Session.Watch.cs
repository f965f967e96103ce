using OrleansCache.Gateway.Transports;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// watch: the connection becomes a stream of lines. It takes no command any more; what the client still sends is read and thrown away, so that its end is
// noticed.
internal sealed partial class Session
{
    /// <summary>Lines move to the output in pieces of at least a line's length.</summary>
    private const int WatchReadBytes = 4 * Limits.EventLineBytesMax;

    // This connection's name in events.
    private readonly int _connection;

    // Commands when this piece of input began: watch must come first in what it arrives with.
    private long _commandsBefore;

    private IEventFeed? _feed;
    private bool _holdsWatcherPlace;
    private bool _hasLines;

    // Lines may be announced before the feed itself is here: it is opened elsewhere.
    private bool CanTakeLines => _hasLines && _feed is not null && Output.Bytes < Limits.WatchOutputBytesMax;

    private void Watch(ReadOnlySpan<byte> arguments)
    {
        GatewayShared shared = _loop.Shared;
        if (!shared.Options.WatchEnabled)
        {
            CurrentOutput.Write("CLIENT_ERROR watch commands not allowed\r\n"u8);
            return;
        }

        if (_transport.Info.IsDatagram)
        {
            CurrentOutput.Write("ERROR no watch over UDP\r\n"u8);
            return;
        }

        if (HasPredecessors)
        {
            CurrentOutput.Write("ERROR cannot pipeline other commands before watch\r\n"u8);
            return;
        }

        if (!TryReadKinds(arguments, out EventKinds kinds))
        {
            CurrentOutput.Write("ERROR\r\n"u8);
            return;
        }

        if (!shared.TryEnterWatcher())
        {
            CurrentOutput.Write("WATCHER_TOO_MANY log watcher limit reached\r\n"u8);
            return;
        }

        _holdsWatcherPlace = true;
        _barrier = Barrier.Watching;
        var lines = new LinesItem(this);
        ValueTask<IEventFeed?> opening;
        try
        {
            opening = shared.Router.WatchAsync(kinds, shared.Options.WatcherLogBytesMax, lines.OnWake, CancellationToken.None);
        }
        catch (RouterException)
        {
            BeginWatch(null);
            return;
        }

        if (opening.IsCompletedSuccessfully)
            BeginWatch(opening.Result);
        else
            _ = WaitForFeedAsync(this, opening);
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

    private static async Task WaitForFeedAsync(Session session, ValueTask<IEventFeed?> opening)
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

        session._loop.Queue.Post(new ActionItem(() => session.BeginWatch(feed)));
    }

    private void BeginWatch(IEventFeed? feed)
    {
        if (_isClosing || feed is null)
        {
            feed?.Dispose();
            EndWatch();
            if (!_isClosing)
                Output.Write("WATCHER_FAILED failed to add log watcher\r\n"u8);
        }
        else
        {
            _feed = feed;
            _transport.Info.IsWatching = true;
            Output.Write("OK\r\n"u8);
            ReleaseInput();
        }

        if (!IsAborted)
            _transport.Wake();
    }

    /// <summary>Gives the feed and the place back; the session takes commands again, unless it closes.</summary>
    private void EndWatch()
    {
        _feed?.Dispose();
        _feed = null;
        _hasLines = false;
        _transport.Info.IsWatching = false;
        if (_barrier == Barrier.Watching)
            _barrier = Barrier.None;
        if (_holdsWatcherPlace)
            _loop.Shared.LeaveWatcher();
        _holdsWatcherPlace = false;
    }

    /// <summary>As many lines as the output should hold; the others wait in the feed, which is bounded and counts what it loses.</summary>
    private void TakeLines()
    {
        Span<byte> piece = stackalloc byte[WatchReadBytes];
        while (CanTakeLines)
        {
            int bytes = _feed!.Read(piece);
            if (bytes == 0)
                _hasLines = false;
            else
                Output.Write(piece[..bytes]);
        }
    }

    /// <summary>A value of the text protocol that was refused for its size before any store saw it.</summary>
    private void CountRefusedStore(ReadOnlySpan<byte> key, ItemStoreCommand command)
    {
        _loop.Counters.StoresTooLarge++;
        PublishRefusedStore(key, command);
    }

    private void PublishRefusedStore(ReadOnlySpan<byte> key, ItemStoreCommand command) =>
        _loop.Shared.Router.Events.ItemStore(key, ItemStoreStatus.TooLarge, command, 0, 0, _connection, 0);

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

    /// <summary>Brings a feed's word that there are lines to the session's loop; at most one is on its way.</summary>
    private sealed class LinesItem(Session session) : LoopWorkItem
    {
        private int _isPosted;

        public void OnWake()
        {
            if (Interlocked.Exchange(ref _isPosted, 1) == 0)
                session._loop.Queue.Post(this);
        }

        public override void Execute()
        {
            Volatile.Write(ref _isPosted, 0);
            if (session.IsAborted || session._isClosing)
                return;
            session._hasLines = true;
            session._transport.Wake();
        }
    }
}
