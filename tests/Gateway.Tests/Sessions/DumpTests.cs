using System.Text;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

/// <summary>lru_crawler metadump and mgdump: lines, back-pressure, limits.</summary>
public sealed class DumpTests
{
    private static readonly ItemRecord s_plain = new("a/b c"u8.ToArray(), 0, 1700000001, 18446744073709551615, true, 3, 77, 4294967295);
    private static readonly ItemRecord s_expiring = new("key:~1"u8.ToArray(), 1800000000, 1700000002, 5, false, 12, 1048576, 0);

    [Fact]
    public void MetadumpHasMemcachedsLines()
    {
        using var harness = new SessionHarness();
        Tell(harness, s_plain, s_expiring);
        Assert.Equal(
            "OK\r\n"
            + "key=a%2Fb%20c exp=-1 la=1700000001 cas=18446744073709551615 fetch=yes cls=3 size=77 flags=4294967295 \n"
            + "key=key%3A~1 exp=1800000000 la=1700000002 cas=5 fetch=no cls=12 size=1048576 flags=0 \n"
            + "END\r\n",
            harness.Ask("lru_crawler metadump all\r\n"));
    }

    [Fact]
    public void MgdumpMakesCommandsOfTheKeys()
    {
        using var harness = new SessionHarness();
        Tell(harness, s_plain, s_expiring, s_expiring with { Key = [0xff, 0x01], IsBinaryKey = true });
        Assert.Equal("OK\r\nmg YS9iIGM= b\r\nmg key:~1\r\nmg /wE= b\r\nEN\r\n", harness.Ask("lru_crawler mgdump hash\r\n"));
    }

    [Fact]
    public void OnlyTheClassesThatWereAskedForAreTold()
    {
        using var harness = new SessionHarness();
        Tell(harness, s_plain, s_expiring);
        Assert.Equal("OK\r\nmg key:~1\r\nEN\r\n", harness.Ask("lru_crawler mgdump 1,12\r\n"));
        Assert.Equal("OK\r\nEND\r\n", harness.Ask("lru_crawler metadump 250\r\n"));
        Assert.Equal("BADCLASS invalid class id\r\n", harness.Ask("lru_crawler metadump 251\r\n"));
        Assert.Equal("NOTSTARTED no items to crawl\r\n", harness.Ask("lru_crawler metadump ,\r\n"));
    }

    [Fact]
    public void ADumpRefusesPredecessorsAndHoldsBackWhatFollows()
    {
        using var harness = new SessionHarness();
        Tell(harness, s_expiring);
        Assert.Equal(
            "END\r\nERROR cannot pipeline other commands before metadump\r\nEND\r\n", harness.Ask("get x\r\nlru_crawler metadump all\r\nget x\r\n"));
        Assert.Equal("END\r\nERROR cannot pipeline other commands before mgdump\r\n", harness.Ask("get x\r\nlru_crawler mgdump all\r\n"));
        Assert.Equal("OK\r\nmg key:~1\r\nEN\r\nVERSION 1.6.45\r\nEND\r\n", harness.Ask("lru_crawler mgdump all\r\nversion\r\nget x\r\n"));
    }

    [Fact]
    public void AReaderThatStandsStillHoldsUpOnlyItselfAndLittleMemory()
    {
        using var harness = new SessionHarness();
        ItemRecord[] page = Enumerable.Repeat(s_expiring with { Key = Encoding.ASCII.GetBytes(new string('%', 250)) }, Limits.ScanItemsPerPage).ToArray();
        int asked = 0;
        harness.Router.Scan = (partition, position) =>
        {
            asked++;
            return ValueTask.FromResult(new ItemScanPage(page, position + 1, IsLast: position == 99));
        };
        harness.Send("lru_crawler metadump all\r\nversion\r\n");
        Session stuck = harness.Session;
        int before = asked;
        for (int i = 0; i < 10; i++)
        {
            Assert.False(stuck.CanResume);
            stuck.Resume();
        }

        Assert.Equal(before, asked);
        Assert.InRange(stuck.Output.Bytes, Limits.DumpOutputBytes, Limits.DumpOutputBytes + (1024 * page.Length));
        Assert.False(stuck.WantsInput);

        // Another connection of the loop is served meanwhile, and its own dump, too.
        harness.Reconnect();
        Assert.Equal("VERSION 1.6.45\r\n", harness.Ask("version\r\n"));
        int lines = harness.Ask("lru_crawler mgdump all\r\n").Count(static c => c == '\n');
        Assert.Equal((16 * 100 * page.Length) + 2, lines);
        stuck.Abort();
    }

    [Fact]
    public void DumpsAreLimitedAndAnAbortedOneMakesRoom()
    {
        using var harness = new SessionHarness();
        var never = new TaskCompletionSource<ItemScanPage>();
        harness.Router.Scan = (_, _) => new ValueTask<ItemScanPage>(never.Task);
        var sessions = new List<Session>();
        for (int i = 0; i < Limits.DumpsMax; i++)
        {
            Assert.Equal("OK\r\n", harness.Ask("lru_crawler metadump all\r\n"));
            sessions.Add(harness.Session);
            harness.Reconnect();
        }

        Assert.Equal("BUSY currently processing crawler request\r\n", harness.Ask("lru_crawler mgdump all\r\n"));
        Assert.Contains("STAT lru_crawler_running 1\r\n", harness.Ask("stats\r\n"), StringComparison.Ordinal);
        sessions[0].Abort();
        Assert.Equal("OK\r\n", harness.Ask("lru_crawler mgdump all\r\n"));
        sessions.ForEach(static session => session.Abort());
    }

    [Fact]
    public async Task PartsThatComeFromElsewhereAreSentInOrderAndAFailureIsNoEnd()
    {
        using var harness = new SessionHarness();
        var parts = new Queue<TaskCompletionSource<ItemScanPage>>();
        harness.Router.Scan = (_, _) =>
        {
            var part = new TaskCompletionSource<ItemScanPage>();
            parts.Enqueue(part);
            return new ValueTask<ItemScanPage>(part.Task);
        };
        Assert.Equal("OK\r\n", harness.Ask("lru_crawler mgdump all\r\nversion\r\n"));
        Assert.False(harness.Session.WantsInput);
        parts.Dequeue().SetResult(new ItemScanPage([s_expiring], 7, IsLast: false));
        Assert.Equal("mg key:~1\r\n", await ReadPostedAsync(harness));
        parts.Dequeue().SetException(new RouterException("partition 0 has no owner that answers"));
        Assert.Equal("SERVER_ERROR partition 0 has no owner that answers\r\nVERSION 1.6.45\r\n", await ReadPostedAsync(harness));
        Assert.True(harness.Session.WantsInput);
        Assert.Equal("VERSION 1.6.45\r\n", harness.Ask("version\r\n"));
    }

    [Fact]
    public void WithoutDumpingOrCrawlerThereIsNoDump()
    {
        using var harness = new SessionHarness(o => o with { DumpingEnabled = false });
        Assert.Equal("ERROR metadump not allowed\r\n", harness.Ask("lru_crawler metadump all\r\n"));
        Assert.Equal("ERROR key dump not allowed\r\n", harness.Ask("lru_crawler mgdump all\r\n"));
        Assert.Equal("CLIENT_ERROR stats cachedump not allowed\r\n", harness.Ask("stats cachedump 1 1\r\n"));
        Assert.Equal("CLIENT_ERROR stats detail not allowed\r\n", harness.Ask("stats detail on\r\n"));
        Assert.Equal("OK\r\n", harness.Ask("lru_crawler disable\r\n"));
        Assert.Equal("CLIENT_ERROR lru crawler disabled\r\n", harness.Ask("lru_crawler metadump all\r\n"));
        Assert.False(harness.Router.FakeStores.CrawlerEnabled);
    }

    private static void Tell(SessionHarness harness, params ItemRecord[] items) =>
        harness.Router.Scan = (partition, _) => ValueTask.FromResult(new ItemScanPage(partition == 3 ? items : [], 0, IsLast: true));

    private static async Task<string> ReadPostedAsync(SessionHarness harness)
    {
        int wakes = harness.Wakes;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (harness.RunPosted() == 0 || harness.Wakes == wakes)
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        return harness.ReadAll();
    }
}
