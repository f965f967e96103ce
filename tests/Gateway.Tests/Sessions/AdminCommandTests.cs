using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

/// <summary>lru_crawler, lru, slabs and the kinds of stats, as memcached 1.6.45 answers them.</summary>
public sealed class AdminCommandTests
{
    [Theory]
    [InlineData("lru_crawler", "ERROR")]
    [InlineData("lru_crawler enable", "ERROR failed to start lru crawler thread")]
    [InlineData("lru_crawler enable noreply", "")]
    [InlineData("lru_crawler foo", "ERROR")]
    [InlineData("lru_crawler foo bar", "ERROR")]
    [InlineData("lru_crawler foo bar noreply", "")]
    [InlineData("lru_crawler crawl all", "OK")]
    [InlineData("  lru_crawler   cr   1,2", "OK")]
    [InlineData("lru_crawler crawl 1,x", "BADCLASS invalid class id")]
    [InlineData("lru_crawler crawl 0", "BADCLASS invalid class id")]
    [InlineData("lru_crawler crawl ,", "NOTSTARTED no items to crawl")]
    [InlineData("lru_crawler crawl hash", "ERROR an unknown error happened")]
    [InlineData("lru_crawler tocrawl x", "CLIENT_ERROR bad command line format")]
    [InlineData("lru_crawler tocrawl 10", "OK")]
    [InlineData("lru_crawler sleep 1000000", "OK")]
    [InlineData("lru_crawler sleep 1000001", "CLIENT_ERROR sleep must be one second or less")]
    [InlineData("lru_crawler sleep -1", "CLIENT_ERROR bad command line format")]
    [InlineData("lru", "ERROR")]
    [InlineData("lru mode", "ERROR")]
    [InlineData("lru mode flat", "OK")]
    [InlineData("lru mode x", "ERROR")]
    [InlineData("lru tune 20 40 0.1 2.0", "OK")]
    [InlineData("lru tune 50 40 0.1 2.0", "ERROR hot and warm pcts must not exceed 80")]
    [InlineData("lru tune 5 4 0 1", "ERROR hot/warm age factors must be greater than 0")]
    [InlineData("lru tune 5 4", "ERROR")]
    [InlineData("lru tune -5 4 1 1", "ERROR")]
    [InlineData("lru temp_ttl -1", "OK")]
    [InlineData("lru temp_ttl x", "ERROR")]
    [InlineData("slabs", "ERROR")]
    [InlineData("slabs reassign 1", "ERROR")]
    [InlineData("slabs reassign 1 2", "OK")]
    [InlineData("slabs reassign 1 2 3", "ERROR")]
    [InlineData("slabs reassign x 2", "CLIENT_ERROR bad command line format")]
    [InlineData("slabs automove", "ERROR")]
    [InlineData("slabs automove 2", "OK")]
    [InlineData("slabs automove 3", "ERROR")]
    [InlineData("slabs automove x", "CLIENT_ERROR bad command line format")]
    [InlineData("slabs automove ratio", "ERROR")]
    [InlineData("slabs automove ratio 0.5", "OK")]
    [InlineData("slabs automove window 2", "CLIENT_ERROR automove window too low or too high")]
    [InlineData("slabs automove window 30", "OK")]
    [InlineData("slabs foo", "ERROR")]
    [InlineData("stats foo", "ERROR")]
    [InlineData("stats noreply", "ERROR")]
    [InlineData("stats detail", "CLIENT_ERROR usage: stats detail on|off|dump")]
    [InlineData("stats detail x", "CLIENT_ERROR usage: stats detail on|off|dump")]
    [InlineData("stats detail off x y", "OK")]
    [InlineData("stats cachedump", "CLIENT_ERROR bad command line")]
    [InlineData("stats cachedump 1", "CLIENT_ERROR bad command line")]
    [InlineData("stats cachedump x 1", "CLIENT_ERROR bad command line format")]
    [InlineData("stats cachedump 64 1", "CLIENT_ERROR Illegal slab id")]
    [InlineData("stats extstore", "END")]
    [InlineData("stats r", "RESET")]
    public void RepliesAreMemcacheds(string command, string reply)
    {
        using var harness = new SessionHarness();
        Assert.Equal(reply.Length == 0 ? "" : reply + "\r\n", harness.Ask(command + "\r\n"));
    }

    [Fact]
    public void WhatTheCommandsSetIsShown()
    {
        using var harness = new SessionHarness();
        harness.Ask("lru_crawler tocrawl 17\r\nlru_crawler sleep 5\r\nlru tune 30 35 0.25 3\r\nlru mode flat\r\nlru temp_ttl 9\r\n");
        harness.Ask("slabs automove 0\r\nslabs automove ratio 0.7\r\nslabs automove window 20\r\nstats detail on\r\nlru_crawler disable\r\n");
        string settings = harness.Ask("stats settings\r\n");
        foreach (string line in (string[])
            [
                "lru_crawler no", "lru_crawler_sleep 5", "lru_crawler_tocrawl 17", "hot_lru_pct 30", "warm_lru_pct 35", "hot_max_factor 0.25",
                "warm_max_factor 3.00",
                "lru_segmented no", "temp_lru yes", "temporary_ttl 9", "slab_automove 0", "slab_automove_ratio 0.70", "slab_automove_window 20",
                "detail_enabled yes",
            ])
            Assert.Contains($"\nSTAT {line}\r\n", settings, StringComparison.Ordinal);
        Assert.DoesNotContain("STAT lru_crawler_running", harness.Ask("stats\r\n"), StringComparison.Ordinal);
        Assert.Equal("OK\r\n", harness.Ask("lru_crawler enable\r\n"));
        Assert.Contains("STAT lru_crawler_running 0", harness.Ask("stats\r\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void TheStoresAreTunedAtTheStartAndByTheCommands()
    {
        using var harness = new SessionHarness(o => o with { Lru = new LruSettings { HotPercent = 12, TemporaryEnabled = true, TemporaryTtlSeconds = 30 } });
        Assert.Equal(new StoreTuning { SmallPercent = 12, TempTtlSeconds = 30 }, harness.Router.FakeStores.Tuning);
        harness.Ask("lru tune 30 35 0.25 3\r\nlru mode flat\r\nlru temp_ttl 9\r\nslabs automove 0\r\n");
        Assert.Equal(new StoreTuning { SmallPercent = 30, TempTtlSeconds = 9, IsFlat = true, MovesPages = false }, harness.Router.FakeStores.Tuning);
        harness.Ask("lru tune 5 40 0.25 3\r\nlru mode segmented\r\nlru temp_ttl -1\r\nslabs automove 2\r\n");
        Assert.Equal(new StoreTuning(), harness.Router.FakeStores.Tuning);
        harness.Ask("lru temp_ttl 0\r\nlru tune 50 40 1 1\r\nlru mode x\r\nslabs automove 3\r\n");
        Assert.Equal(new StoreTuning(), harness.Router.FakeStores.Tuning);
    }

    [Fact]
    public void WithoutTuningTheStoresShareIsShown()
    {
        using var harness = new SessionHarness();
        Assert.Equal(new StoreTuning(), harness.Router.FakeStores.Tuning);
        Assert.Contains("\nSTAT hot_lru_pct 5\r\n", harness.Ask("stats settings\r\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void ItemsTellOfTheQueues()
    {
        using var harness = new SessionHarness();
        harness.Router.Statistics.Classes =
        [
            new SlabClassStatistics
            {
                ClassId = 70, Items = 9, ItemsHot = 2, ItemsWarm = 4, ItemsTemp = 3, AgeSeconds = 50, AgeSecondsHot = 10, AgeSecondsWarm = 50,
                MovesToWarm = 5, MovesWithinLru = 6, Evicted = 7, Reclaimed = 1, GetHits = 15, HitsHot = 4, HitsWarm = 8, HitsTemp = 3,
            },
        ];
        harness.Ask("lru temp_ttl 9\r\n");
        string items = harness.Ask("stats items\r\n");
        Assert.StartsWith(
            "STAT items:70:number 9\r\nSTAT items:70:number_hot 2\r\nSTAT items:70:number_warm 4\r\n"
            + "STAT items:70:number_cold 0\r\nSTAT items:70:number_temp 3\r\nSTAT items:70:age_hot 10\r\nSTAT items:70:age_warm 50\r\nSTAT items:70:age 50\r\n",
            items, StringComparison.Ordinal);
        Assert.EndsWith(
            "STAT items:70:moves_to_cold 0\r\nSTAT items:70:moves_to_warm 5\r\nSTAT items:70:moves_within_lru 6\r\nSTAT items:70:direct_reclaims 8\r\n"
            + "STAT items:70:hits_to_hot 4\r\nSTAT items:70:hits_to_warm 8\r\nSTAT items:70:hits_to_cold 0\r\nSTAT items:70:hits_to_temp 3\r\nEND\r\n",
            items, StringComparison.Ordinal);
    }

    [Fact]
    public void MemoryTellsOfThePartsTheLossesAndTheClasses()
    {
        using var harness = new SessionHarness();
        StoreStatistics store = harness.Router.Statistics;
        (store.ShardCount, store.PageBytes, store.ItemsStored, store.CurrItems, store.ItemsWaiting) = (2, 65536, 100, 50, 4);
        (store.LostReplaced, store.LostDeleted, store.LostExpired, store.LostEvicted) = (1, 2, 3, 10);
        (store.LostPageMoved, store.LostMemoryLimit, store.LostFlushed, store.LostClosed) = (5, 6, 7, 12);
        store.Classes =
        [
            new SlabClassStatistics { ClassId = 1 },
            new SlabClassStatistics { ClassId = 2, ChunkBytes = 96, TotalPages = 3, ItemsHot = 1, ItemsHotMax = 2, ItemsWarm = 20, CreditBytes = -2048 },
        ];
        string memory = harness.Ask("stats memory\r\n");
        Assert.StartsWith("STAT limit_maxbytes 67108864\r\nSTAT shards 2\r\nSTAT page_size 65536\r\n", memory, StringComparison.Ordinal);
        Assert.EndsWith(
            "STAT items_stored 100\r\nSTAT items_present 50\r\nSTAT replica_items 0\r\nSTAT replica_bytes 0\r\nSTAT items_waiting 4\r\n"
            + "STAT lost_replaced 1\r\nSTAT lost_deleted 2\r\nSTAT lost_expired 3\r\n"
            + "STAT lost_evicted 10\r\nSTAT lost_page_moved 5\r\nSTAT lost_memory_limit 6\r\nSTAT lost_flushed 7\r\nSTAT lost_closed 12\r\n"
            + "STAT 2:chunk_size 96\r\nSTAT 2:total_pages 3\r\nSTAT 2:number_small 1\r\nSTAT 2:number_small_max 2\r\nSTAT 2:number_main 20\r\n"
            + "STAT 2:number_temp 0\r\nSTAT 2:credit_bytes -2048\r\nEND\r\n",
            memory, StringComparison.Ordinal);
    }

    [Fact]
    public void ClassesBeyondMemcachedsAreTaken()
    {
        using var harness = new SessionHarness();
        harness.Router.FakeStores.ClassCount = 75;
        Assert.Equal("OK\r\n", harness.Ask("lru_crawler crawl 75\r\n"));
        Assert.True(harness.Router.FakeStores.Crawl!.Classes![75]);
        Assert.Equal("BADCLASS invalid class id\r\n", harness.Ask("lru_crawler crawl 76\r\n"));
        Assert.Equal("END\r\n", harness.Ask("stats cachedump 75 1\r\n"));
        Assert.Equal("CLIENT_ERROR Illegal slab id\r\n", harness.Ask("stats cachedump 76 1\r\n"));
        Assert.Equal("OK\r\n", harness.Ask("slabs reassign 74 75\r\n"));
        Assert.Equal((74, 75), harness.Router.FakeStores.Move);
    }

    [Fact]
    public void ACrawlIsAskedForAsItIsSet()
    {
        using var harness = new SessionHarness();
        harness.Ask("lru_crawler tocrawl 17\r\nlru_crawler sleep 5\r\nlru_crawler crawl 3,5\r\n");
        CrawlRequest crawl = harness.Router.FakeStores.Crawl!;
        Assert.Equal((17u, 5), (crawl.ItemsMaxPerClass, crawl.SleepMicroseconds));
        Assert.Equal([3, 5], Enumerable.Range(0, crawl.Classes!.Count).Where(c => crawl.Classes[c]));
        harness.Router.FakeStores.IsCrawling = true;
        Assert.Equal("BUSY currently processing crawler request\r\n", harness.Ask("lru_crawler crawl all\r\n"));
        Assert.Null(harness.Router.FakeStores.Crawl!.Classes);
    }

    [Theory]
    [InlineData(PageMoveStatus.Moved, "OK")]
    [InlineData(PageMoveStatus.BadClass, "BADCLASS invalid src or dst class id")]
    [InlineData(PageMoveStatus.NoSpare, "NOSPARE source class has no spare pages")]
    [InlineData(PageMoveStatus.SameClass, "SAME src and dst class are identical")]
    [InlineData(PageMoveStatus.Busy, "BUSY currently processing reassign request")]
    public void AMoveOfAPageAnswersHowItEnded(PageMoveStatus status, string reply)
    {
        using var harness = new SessionHarness();
        harness.Router.FakeStores.MoveStatus = status;
        Assert.Equal(reply + "\r\n", harness.Ask("slabs reassign -1 5\r\n"));
        Assert.Equal((-1, 5), harness.Router.FakeStores.Move);
    }

    [Fact]
    public void WithoutReassignmentNoPageMoves()
    {
        using var harness = new SessionHarness(o => o with { Lru = new LruSettings { SlabReassign = false } });
        Assert.Equal("CLIENT_ERROR slab reassignment disabled\r\n", harness.Ask("slabs reassign 1 2\r\n"));
        Assert.DoesNotContain("STAT slabs_moved", harness.Ask("stats\r\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void CachedumpShowsAClass()
    {
        using var harness = new SessionHarness();
        harness.Router.FakeStores.Items.AddRange([new ClassItem("a"u8.ToArray(), 3, 0), new ClassItem("bb"u8.ToArray(), 0, 1800000000)]);
        Assert.Equal("ITEM a [3 b; 0 s]\r\nITEM bb [0 b; 1800000000 s]\r\nEND\r\n", harness.Ask("stats cachedump 5 0\r\n"));
        Assert.Equal((5, int.MaxValue), harness.Router.FakeStores.Read);
    }

    [Fact]
    public void DetailCountsPrefixesWhileItIsOn()
    {
        using var harness = new SessionHarness();
        const string Traffic =
            "set foo:bar 0 0 1\r\na\r\nget foo:bar foo:baz plain\r\ngat 0 foo:bar\r\ndelete foo:x\r\nincr foo:bar 1\r\nset :x 0 0 1\r\ny\r\nset "
                + "big:x 0 0 2000000\r\n";
        Assert.Equal("END\r\n", harness.Ask("stats detail dump\r\n"));
        harness.Ask(Traffic[..Traffic.IndexOf("set big", StringComparison.Ordinal)]);
        Assert.Equal("OK\r\n", harness.Ask("stats detail on\r\n"));
        harness.Ask(Traffic);
        harness.Ask(new string('z', 2000002));
        Assert.Equal("PREFIX foo get 3 hit 2 set 1 del 1\r\nPREFIX  get 0 hit 0 set 1 del 0\r\nPREFIX big get 0 hit 0 set 1 del 0\r\nEND\r\n",
            harness.Ask("stats detail dump\r\n"));
        Assert.Equal("OK\r\n", harness.Ask("stats detail off\r\n"));
        harness.Ask("get foo:bar\r\n");
        Assert.StartsWith("PREFIX foo get 3 ", harness.Ask("stats detail dump\r\n"), StringComparison.Ordinal);
        Assert.Equal("RESET\r\nEND\r\n", harness.Ask("stats reset\r\nstats detail dump\r\n"));
    }

    [Fact]
    public void DetailKnowsTheHitsOfOtherSilos()
    {
        using var harness = new SessionHarness(o => o with { DetailEnabled = true, PrefixDelimiter = '/' });
        harness.Router.IsRemote = static first => first == 'r';
        harness.Ask("set r/1 0 0 1\r\na\r\nget r/1\r\nget r/1 r/2 l/3\r\n");
        while (harness.Router.Waiting.Count > 0)
            harness.Router.Waiting[0].Complete();
        harness.ReadAll();
        Assert.Equal("PREFIX r get 3 hit 2 set 1 del 0\r\nPREFIX l get 1 hit 0 set 0 del 0\r\nEND\r\n", harness.Ask("stats detail dump\r\n"));
    }

    [Fact]
    public async Task SizesAreCollectedWhileTheConnectionWaits()
    {
        using var harness = new SessionHarness();
        Assert.Equal("STAT sizes_status disabled\r\nEND\r\n", harness.Ask("stats sizes\r\n"));
        Assert.Equal("STAT sizes_status enabled\r\nEND\r\n", harness.Ask("stats sizes_enable\r\n"));
        Assert.Equal("", harness.Ask("stats sizes\r\nversion\r\n"));
        harness.Router.FakeStores.Sizes.SetResult([new(64, 2), new(96, 1)]);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (harness.RunPosted() == 0)
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        Assert.Equal("STAT 64 2\r\nSTAT 96 1\r\nEND\r\nVERSION 1.6.45\r\n", harness.ReadAll());
        Assert.Equal("STAT sizes_status disabled\r\nEND\r\n", harness.Ask("stats sizes_disable\r\n"));
        Assert.Contains("STAT track_sizes no\r\n", harness.Ask("stats settings\r\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void ConnectionsThatOutliveAResetGiveTheirPlacesBackLikeTheLaterOnes()
    {
        using var harness = new SessionHarness();
        var older = new ConnectionInfo(static () => "older", static () => "");
        var later = new ConnectionInfo(static () => "later", static () => "");
        Assert.True(harness.Shared.TryEnter(older));
        Assert.Equal("RESET\r\n", harness.Ask("stats reset\r\n"));
        Assert.True(harness.Shared.TryEnter(later));
        Assert.Equal([older, later], harness.Shared.Connections);
        Assert.Equal(1, harness.Shared.ReadStatistics().ConnectionsTotal);
        harness.Shared.Leave(older);
        harness.Shared.Leave(later);
        Assert.Equal(0, harness.Shared.ReadStatistics().ConnectionsCurrent);
    }
}
