using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>What a store tells those who watch: the lines that memcached 1.6.45 writes for the same commands (its slab classes aside).</summary>
public sealed class WatchTests : IDisposable
{
    private readonly StoreHarness _store = new();
    private readonly IEventFeed _feed;

    public WatchTests() => _feed = _store.Arena.Events.Watch(
        EventKinds.Fetchers | EventKinds.Mutations | EventKinds.Deletions | EventKinds.Evictions, Limits.EventFeedBytesDefault, static () => { })!;

    public void Dispose()
    {
        _feed.Dispose();
        _store.Dispose();
    }

    [Fact]
    public void ReadsAreToldAsFoundOrNot()
    {
        Run(CacheOperation.Set, "a", "abc");
        Read();
        Run(CacheOperation.Get, "a");
        Run(CacheOperation.Get, "b");
        Run(CacheOperation.Touch, "a", change: static (ref CacheRequest r) => r.ExpiresAt = StoreHarness.Start + 10);
        _store.Now += 10;
        Run(CacheOperation.Get, "a");
        Run(CacheOperation.Get, "a");
        Assert.Equal(
            [
                "item_get key=a status=found clsid=1 cfd=7 size=3",
                "item_get key=b status=not_found clsid=0 cfd=7 size=0",
                "item_get key=a status=found clsid=1 cfd=7 size=3",
                "item_get key=a status=expired clsid=0 cfd=7 size=0",
                "item_get key=a status=not_found clsid=0 cfd=7 size=0",
            ],
            Read());
    }

    [Fact]
    public void StoresAreToldWithWhatTheyFoundAndWhatTheyLeft()
    {
        Run(CacheOperation.Set, "a", "abc", static (ref CacheRequest r) => r.ExpiresAt = StoreHarness.Start + 100);
        _store.Now += 2;
        Run(CacheOperation.Add, "a", "x");
        Run(CacheOperation.Replace, "zz", "x");
        Run(CacheOperation.Append, "a", "yy", static (ref CacheRequest r) => r.ExpiresAt = StoreHarness.Start + 7);
        Run(CacheOperation.Append, "zz", "yy", static (ref CacheRequest r) => r.ExpiresAt = StoreHarness.Start + 9);
        Run(CacheOperation.Prepend, "a", "yy");
        Run(CacheOperation.Set, "a", "x", Cas);
        Run(CacheOperation.Set, "zz", "x", Cas);
        Run(CacheOperation.Replace, "zz", "x", Cas);
        Run(CacheOperation.Set, "neg", "x", static (ref CacheRequest r) => r.ExpiresAt = 1);
        Assert.Equal(
            [
                "item_get key=a status=not_found clsid=0 cfd=7 size=0",
                "item_store key=a status=stored cmd=set ttl=100 clsid=1 cfd=7 size=3",
                "item_get key=a status=found clsid=1 cfd=7 size=3",
                "item_store key=a status=not_stored cmd=add ttl=0 clsid=1 cfd=7 size=1",
                "item_get key=zz status=not_found clsid=0 cfd=7 size=0",
                "item_store key=zz status=not_stored cmd=replace ttl=0 clsid=1 cfd=7 size=1",
                "item_get key=a status=found clsid=1 cfd=7 size=3",
                "item_store key=a status=stored cmd=append ttl=98 clsid=1 cfd=7 size=5",
                "item_get key=zz status=not_found clsid=0 cfd=7 size=0",
                "item_store key=zz status=not_stored cmd=append ttl=7 clsid=1 cfd=7 size=2",
                "item_get key=a status=found clsid=1 cfd=7 size=5",
                "item_store key=a status=stored cmd=prepend ttl=98 clsid=1 cfd=7 size=7",
                "item_get key=a status=found clsid=1 cfd=7 size=7",
                "item_store key=a status=exists cmd=cas ttl=0 clsid=1 cfd=7 size=1",
                "item_get key=zz status=not_found clsid=0 cfd=7 size=0",
                "item_store key=zz status=not_found cmd=cas ttl=0 clsid=1 cfd=7 size=1",
                "item_get key=zz status=not_found clsid=0 cfd=7 size=0",
                "item_store key=zz status=not_found cmd=cas ttl=0 clsid=1 cfd=7 size=1",
                "item_get key=neg status=not_found clsid=0 cfd=7 size=0",
                "item_store key=neg status=stored cmd=set ttl=4294967295 clsid=1 cfd=7 size=1",
            ],
            Read());

        static void Cas(ref CacheRequest request)
        {
            request.Flags = RequestFlags.CompareCas;
            request.CompareCas = 9999;
        }
    }

    [Fact]
    public void DeletionsAndCountersAreToldAsMemcachedTellsThem()
    {
        Run(CacheOperation.Set, "a", "abcdefg");
        Run(CacheOperation.Set, "n", "9");
        Read();
        Run(CacheOperation.Delete, "a");
        Run(CacheOperation.Delete, "a");
        Run(CacheOperation.Increment, "n", change: static (ref CacheRequest r) => r.Delta = 5);
        Run(CacheOperation.Increment, "zz", change: static (ref CacheRequest r) => r.Delta = 5);
        Run(CacheOperation.Increment, "new", change: static (ref CacheRequest r) => (r.Flags, r.InitialValue) = (RequestFlags.CreateOnMiss, 12));
        Run(CacheOperation.Get, "viv", change: static (ref CacheRequest r) => r.Flags = RequestFlags.CreateOnMiss);
        Assert.Equal(
            [
                "item_get key=a status=found clsid=1 cfd=7 size=7",
                "deleted key=a cmd=delete clsid=1 size=7",
                "item_get key=a status=not_found clsid=0 cfd=7 size=0",
                "item_get key=n status=found clsid=1 cfd=7 size=1",
                "item_get key=zz status=not_found clsid=0 cfd=7 size=0",
                "item_get key=new status=not_found clsid=0 cfd=7 size=0",
                "item_get key=new status=not_found clsid=0 cfd=7 size=0",
                "item_store key=new status=stored cmd=add ttl=0 clsid=1 cfd=7 size=2",
                "item_get key=viv status=not_found clsid=0 cfd=7 size=0",
            ],
            Read());
    }

    [Fact]
    public void MetaDeletionsAreNamedSo()
    {
        Run(CacheOperation.Set, "a", "hihi");
        Read();
        Run(CacheOperation.Delete, "a", change: static (ref CacheRequest r) => r.Flags = RequestFlags.MetaCommand | RequestFlags.Invalidate);
        Run(CacheOperation.Delete, "a", change: static (ref CacheRequest r) => r.Flags = RequestFlags.MetaCommand | RequestFlags.DropValue);
        Run(CacheOperation.Delete, "a", change: static (ref CacheRequest r) => r.Flags = RequestFlags.MetaCommand);
        Assert.Equal(
            [
                "item_get key=a status=found clsid=1 cfd=7 size=4",
                "item_get key=a status=found clsid=1 cfd=7 size=4",
                "item_get key=a status=found clsid=1 cfd=7 size=4",
                "item_store key=a status=stored cmd=set ttl=0 clsid=1 cfd=7 size=0",
                "deleted key=a cmd=md clsid=1 size=0",
                "item_get key=a status=found clsid=1 cfd=7 size=0",
                "deleted key=a cmd=md clsid=1 size=0",
            ],
            Read());
    }

    [Fact]
    public void ARefusedStoreIsNoDeletion()
    {
        Run(CacheOperation.Set, "o", "x");
        Read();
        Run(CacheOperation.Set, "o", new string('x', 2_000_000));
        Run(CacheOperation.Set, "p", "x");
        Run(CacheOperation.Delete, "p", change: static (ref CacheRequest r) => r.Flags = RequestFlags.RefusedStore);
        Run(CacheOperation.Delete, "p", change: static (ref CacheRequest r) => r.Flags = RequestFlags.RefusedStore);
        Assert.Equal(
            [
                "item_store key=o status=too_large cmd=set ttl=0 clsid=0 cfd=7 size=0",
                "item_get key=o status=found clsid=1 cfd=7 size=1",
                "item_get key=p status=not_found clsid=0 cfd=7 size=0",
                "item_store key=p status=stored cmd=set ttl=0 clsid=1 cfd=7 size=1",
                "item_get key=p status=found clsid=1 cfd=7 size=1",
                "item_get key=p status=not_found clsid=0 cfd=7 size=0",
            ],
            Read());
        Assert.Equal(0, _store.Statistics().DeleteMisses);
        Assert.All(_store.Statistics(perClass: true).Classes, static c => Assert.Equal(0, c.DeleteHits));
    }

    [Fact]
    public void EvictionsAreToldOnceEach()
    {
        using var small = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 1024 * 1024 });
        using IEventFeed feed = small.Arena.Events.Watch(EventKinds.Evictions, Limits.EventFeedBytesMax, static () => { })!;
        var lines = new List<string>();
        for (int i = 0; i < 4000; i++)
        {
            Assert.Equal(CacheStatus.Ok, small.Set($"key-{i}", StoreHarness.Bytes(100 + (i % 7 * 300))));
            if (i % 2 == 0)
                _ = small.Get($"key-{i}");
            lines.AddRange(Read(feed));
        }

        StoreStatistics statistics = small.Statistics(perClass: true);
        Assert.Equal(statistics.Classes.Sum(static c => c.Evicted), lines.Count);
        Assert.True(lines.Count > 1000);
        Assert.Equal(lines.Count, lines.Select(static line => line.Split(' ')[1]).Distinct().Count());
        Assert.Contains(lines, static line => line.StartsWith("eviction key=key-10 fetch=yes ttl=-1 la=0 clsid=", StringComparison.Ordinal));
        Assert.Contains(lines, static line => line.StartsWith("eviction key=key-1 fetch=no ttl=-1 la=0 clsid=", StringComparison.Ordinal)
            && line.EndsWith(" size=400", StringComparison.Ordinal));
    }

    private delegate void Change(ref CacheRequest request);

    private void Run(CacheOperation operation, string key, string value = "", Change? change = null)
    {
        CacheRequest request = StoreHarness.Request(operation, key, value);
        request.Connection = 7;
        change?.Invoke(ref request);
        _ = _store.Run(in request);
    }

    private string[] Read() => Read(_feed);

    private static string[] Read(IEventFeed feed)
    {
        byte[] buffer = new byte[64 * 1024];
        int bytes = feed.Read(buffer);
        string[] lines = Encoding.ASCII.GetString(buffer, 0, bytes).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return [.. lines.Select(static line => line[(line.IndexOf("type=", StringComparison.Ordinal) + 5)..])];
    }
}
