using System.Globalization;
using System.Text;
using OrleansCache.Gateway.Options;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>
/// lru_crawler, lru and slabs: memcached's words, its order of checks and its replies. Cold: they allocate. Like memcached they compare only as many
/// characters of a sub-command as the client sent.
/// </summary>
internal static class LruCommands
{
    private const int SleepMicrosecondsMax = 1_000_000;
    private const int AutomoveWindowMin = 3;
    private const int AutomoveWindowMax = 1800;
    private const int LruPercentMax = 80;

    private const string BadFormat = "CLIENT_ERROR bad command line format";
    private const string CrawlerDisabled = "CLIENT_ERROR lru crawler disabled";
    private const string CrawlerBusy = "BUSY currently processing crawler request";
    private const string BadClass = "BADCLASS invalid class id";

    public static void ExecuteCrawler(Session session, in TextCommand command)
    {
        GatewayShared shared = session.Loop.Shared;
        string[] words = Words(command);
        bool noReply = command.NoReply;
        switch (words)
        {
            case [var name, var classes] when IsPrefixOf(name, "crawl"):
                Answer(session, Crawl(shared, classes), noReply);
                break;
            case [var name, var classes] when IsPrefixOf(name, "metadump"):
                Dump(session, keysOnly: false, classes, noReply);
                break;
            case [var name, var classes] when IsPrefixOf(name, "mgdump"):
                Dump(session, keysOnly: true, classes, noReply);
                break;
            case [var name, var count] when IsPrefixOf(name, "tocrawl"):
                if (TryReadUInt32(count, out uint itemsMax))
                    shared.ChangeLru(lru => lru with { CrawlerItemsMax = itemsMax });
                Answer(session, TryReadUInt32(count, out _) ? "OK" : BadFormat, noReply);
                break;
            case [var name, var time] when IsPrefixOf(name, "sleep"):
                Answer(session, SetCrawlerSleep(shared, time), noReply);
                break;
            case [var name] when IsPrefixOf(name, "enable"):
                Answer(session, shared.Lru.CrawlerEnabled ? "ERROR failed to start lru crawler thread" : EnableCrawler(shared, true), noReply);
                break;
            case [var name] when IsPrefixOf(name, "disable"):
                Answer(session, EnableCrawler(shared, false), noReply);
                break;
            default:
                Answer(session, "ERROR", noReply);
                break;
        }
    }

    public static void ExecuteLru(Session session, in TextCommand command)
    {
        GatewayShared shared = session.Loop.Shared;
        string[] words = Words(command);
        LruSettings lru = shared.Lru;
        Answer(
            session,
            words switch
            {
                [var name, var hot, var warm, var hotFactor, var warmFactor, ..] when IsPrefixOf(name, "tune") =>
                    Tune(shared, hot, warm, hotFactor, warmFactor),
                [var name, var mode, ..] when IsPrefixOf(name, "mode") && lru.MaintainerEnabled => SetLruMode(shared, mode),
                [var name, var ttl, ..] when IsPrefixOf(name, "temp_ttl") && lru.MaintainerEnabled => SetTemporaryTtl(shared, ttl),
                _ => "ERROR",
            },
            command.NoReply);
    }

    public static void ExecuteSlabs(Session session, in TextCommand command)
    {
        GatewayShared shared = session.Loop.Shared;
        Answer(
            session,
            Words(command) switch
            {
                [var name, var source, var target] when IsPrefixOf(name, "reassign") => Reassign(shared, source, target),
                [var name, var what, .. var rest] when IsPrefixOf(name, "automove") => SetAutomove(shared, what, rest),
                _ => "ERROR",
            },
            command.NoReply);
    }

    // ---- lru_crawler ---------------------------------------------------------------------------------------------------------------

    private static string Crawl(GatewayShared shared, string classes)
    {
        LruSettings lru = shared.Lru;
        if (!lru.CrawlerEnabled)
            return CrawlerDisabled;
        if (classes == "hash")
            return "ERROR an unknown error happened";
        if (!TryReadClasses(classes, Math.Max(Limits.SlabClassIdsMin - 1, shared.Router.Stores.ClassCount), out bool[]? wanted))
            return BadClass;
        if (wanted is not null && !wanted.Contains(true))
            return "NOTSTARTED no items to crawl";
        var request = new CrawlRequest(wanted, lru.CrawlerItemsMax, lru.CrawlerSleepMicroseconds);
        return shared.Router.Stores.TryStartCrawl(request) ? "OK" : CrawlerBusy;
    }

    private static void Dump(Session session, bool keysOnly, string classes, bool noReply)
    {
        GatewayShared shared = session.Loop.Shared;
        bool[]? wanted = null;
        string? refusal = !shared.Lru.CrawlerEnabled ? CrawlerDisabled
            : !shared.Options.DumpingEnabled ? keysOnly ? "ERROR key dump not allowed" : "ERROR metadump not allowed"
            : session.Transport.Info.IsDatagram ? $"ERROR no {(keysOnly ? "mgdump" : "metadump")} over UDP"
            : session.HasPredecessors ? $"ERROR cannot pipeline other commands before {(keysOnly ? "mgdump" : "metadump")}"
            : classes is not "hash" && !TryReadClasses(classes, Limits.SlabClassesMax, out wanted) ? BadClass
            : wanted is not null && !wanted.Contains(true) ? "NOTSTARTED no items to crawl"
            : !shared.TryBeginDump() ? CrawlerBusy
            : null;
        if (refusal is null)
            DumpStream.Start(session, keysOnly, wanted);
        else
            Answer(session, refusal, noReply);
    }

    private static string SetCrawlerSleep(GatewayShared shared, string time)
    {
        if (!TryReadUInt32(time, out uint microseconds))
            return BadFormat;
        if (microseconds > SleepMicrosecondsMax)
            return "CLIENT_ERROR sleep must be one second or less";
        shared.ChangeLru(lru => lru with { CrawlerSleepMicroseconds = (int)microseconds });
        return "OK";
    }

    private static string EnableCrawler(GatewayShared shared, bool enable)
    {
        shared.ChangeLru(lru => lru with { CrawlerEnabled = enable });
        shared.Router.Stores.CrawlerEnabled = enable;
        return "OK";
    }

    /// <summary>
    /// "all" (null), or numbers with commas between them. False: one is no class. Of other silos, which a dump asks too, nobody here knows how many classes
    /// they have.
    /// </summary>
    private static bool TryReadClasses(string text, int classIdMax, out bool[]? classes)
    {
        classes = null;
        if (text == "all")
            return true;
        classes = new bool[classIdMax + 1];
        foreach (string word in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!TryReadUInt32(word, out uint id) || id < 1 || id >= classes.Length)
                return false;
            classes[id] = true;
        }

        return true;
    }

    // ---- lru -----------------------------------------------------------------------------------------------------------------------

    private static string Tune(GatewayShared shared, string hot, string warm, string hotFactor, string warmFactor)
    {
        if (!TryReadUInt32(hot, out uint hotPercent) || !TryReadUInt32(warm, out uint warmPercent)
            || !TryReadDouble(hotFactor, out double hotAge) || !TryReadDouble(warmFactor, out double warmAge))
            return "ERROR";
        if ((ulong)hotPercent + warmPercent > LruPercentMax)
            return "ERROR hot and warm pcts must not exceed 80";
        if (!(hotAge > 0 && warmAge > 0))
            return "ERROR hot/warm age factors must be greater than 0";
        shared.ChangeLru(lru =>
            lru with { HotPercent = (int)hotPercent, WarmPercent = (int)warmPercent, HotAgeFactor = hotAge, WarmAgeFactor = warmAge });
        return "OK";
    }

    private static string SetLruMode(GatewayShared shared, string mode)
    {
        if (mode is not ("flat" or "segmented"))
            return "ERROR";
        shared.ChangeLru(lru => lru with { IsSegmented = mode == "segmented" });
        return "OK";
    }

    private static string SetTemporaryTtl(GatewayShared shared, string text)
    {
        if (!TryReadInt32(text, out int seconds))
            return "ERROR";
        shared.ChangeLru(lru => seconds < 0
            ? lru with { TemporaryEnabled = false }
            : lru with { TemporaryEnabled = true, TemporaryTtlSeconds = seconds });
        return "OK";
    }

    // ---- slabs ---------------------------------------------------------------------------------------------------------------------

    private static string Reassign(GatewayShared shared, string source, string target)
    {
        if (!shared.Lru.SlabReassign)
            return "CLIENT_ERROR slab reassignment disabled";
        if (!TryReadInt32(source, out int from) || !TryReadInt32(target, out int to))
            return BadFormat;
        return shared.Router.Stores.MovePage(from, to) switch
        {
            PageMoveStatus.Moved => "OK",
            PageMoveStatus.SameClass => "SAME src and dst class are identical",
            PageMoveStatus.NoSpare => "NOSPARE source class has no spare pages",
            PageMoveStatus.Busy => "BUSY currently processing reassign request",
            _ => "BADCLASS invalid src or dst class id",
        };
    }

    private static string SetAutomove(GatewayShared shared, string what, string[] rest)
    {
        if (IsPrefixOf(what, "ratio") || IsPrefixOf(what, "freeratio"))
        {
            if (rest.Length == 0 || !TryReadDouble(rest[0], out double ratio))
                return "ERROR";
            shared.ChangeLru(lru => IsPrefixOf(what, "ratio") ? lru with { SlabAutomoveRatio = ratio } : lru with { SlabAutomoveFreeRatio = ratio });
            return "OK";
        }

        if (IsPrefixOf(what, "window"))
        {
            if (rest.Length == 0 || !TryReadUInt32(rest[0], out uint window))
                return BadFormat;
            if (window is < AutomoveWindowMin or > AutomoveWindowMax)
                return "CLIENT_ERROR automove window too low or too high";
            shared.ChangeLru(lru => lru with { SlabAutomoveWindow = (int)window });
            return "OK";
        }

        if (!TryReadUInt32(what, out uint level))
            return BadFormat;
        if (level > 2)
            return "ERROR";
        shared.ChangeLru(lru => lru with { SlabAutomove = (int)level });
        return "OK";
    }

    // ---- words ---------------------------------------------------------------------------------------------------------------------

    private static void Answer(Session session, string line, bool noReply)
    {
        if (!noReply)
            session.Replies.Current.Write(Encoding.ASCII.GetBytes(line + "\r\n"));
    }

    private static string[] Words(in TextCommand command) => Encoding.Latin1.GetString(command.Keys).Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static bool IsPrefixOf(string word, string name) => name.StartsWith(word, StringComparison.Ordinal);

    private static bool TryReadUInt32(string word, out uint value) => uint.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out value);

    private static bool TryReadInt32(string word, out int value) => int.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);

    private static bool TryReadDouble(string word, out double value) => double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out value);
}
