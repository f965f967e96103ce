using System.Globalization;
using System.Text;
using Xunit.Abstractions;

namespace OrleansCache.Events.Tests;

public sealed class RingEventLogTests(ITestOutputHelper output)
{
    private const EventKinds Everything = (EventKinds)0xFFFF;

    [Fact]
    public void LinesAreMemcachedsLines()
    {
        var log = new RingEventLog(time: new FixedTime());
        using IEventFeed feed = log.Watch(Everything, 65536, static () => { })!;
        log.ItemGet("plain-key._~"u8, ItemGetStatus.Found, 3, 27, 100);
        log.ItemGet("a,b%\u00e9"u8, ItemGetStatus.NotFound, 0, 27, 0);
        log.ItemGet("k"u8, ItemGetStatus.Flushed, 0, 1, 0);
        log.ItemGet("k"u8, ItemGetStatus.Expired, 0, 1, 0);
        log.ItemStore("k"u8, ItemStoreStatus.Stored, ItemStoreCommand.Set, 60, 2, 27, 5);
        log.ItemStore("k"u8, ItemStoreStatus.Exists, ItemStoreCommand.Cas, uint.MaxValue, 2, 27, 5);
        log.ItemStore("k"u8, ItemStoreStatus.TooLarge, ItemStoreCommand.Prepend, 0, 0, 0, 0);
        log.ItemEvicted("k"u8, fetched: true, -1, 12, 7, 99);
        log.ItemEvicted("k"u8, fetched: false, 33, 0, 7, 0);
        log.ItemDeleted("k"u8, ItemDeleteCommand.Delete, 1, 2);
        log.ItemDeleted("k"u8, ItemDeleteCommand.MetaDelete, 1, 2);
        log.ConnectionOpened("127.0.0.1"u8, 43210, ConnectionTransport.Tcp, 30);
        log.ConnectionClosed("::1"u8, 1, ConnectionTransport.Udp, ConnectionCloseReason.Error, 30);
        log.ConnectionClosed("unix"u8, 0, ConnectionTransport.Local, ConnectionCloseReason.IdleTimeout, 30);
        log.Text(EventKinds.SystemEvents, "type=slab_move src=1 dst=2 state=done"u8);
        string[] expected =
        [
            "type=item_get key=plain-key._~ status=found clsid=3 cfd=27 size=100",
            "type=item_get key=a%2Cb%25%C3%A9 status=not_found clsid=0 cfd=27 size=0",
            "type=item_get key=k status=flushed clsid=0 cfd=1 size=0",
            "type=item_get key=k status=expired clsid=0 cfd=1 size=0",
            "type=item_store key=k status=stored cmd=set ttl=60 clsid=2 cfd=27 size=5",
            "type=item_store key=k status=exists cmd=cas ttl=4294967295 clsid=2 cfd=27 size=5",
            "type=item_store key=k status=too_large cmd=prepend ttl=0 clsid=0 cfd=0 size=0",
            "type=eviction key=k fetch=yes ttl=-1 la=12 clsid=7 size=99",
            "type=eviction key=k fetch=no ttl=33 la=0 clsid=7 size=0",
            "type=deleted key=k cmd=delete clsid=1 size=2",
            "type=deleted key=k cmd=md clsid=1 size=2",
            "type=conn_new rip=127.0.0.1 rport=43210 transport=tcp cfd=30",
            "type=conn_close rip=::1 rport=1 transport=udp reason=error cfd=30",
            "type=conn_close rip=unix rport=0 transport=local reason=idle_timeout cfd=30",
            "type=slab_move src=1 dst=2 state=done",
        ];
        Assert.Equal(expected.Select((line, i) => $"ts=1700000000.45 gid={i + 1} {line}"), ReadAll(feed));
    }

    [Fact]
    public void ASilosNameEndsEachLine()
    {
        var log = new RingEventLog(time: new FixedTime()) { Silo = "east-1" };
        using IEventFeed feed = log.Watch(EventKinds.Fetchers, 4096, static () => { })!;
        log.ItemGet("k"u8, ItemGetStatus.Found, 1, 2, 3);
        Assert.Equal(["ts=1700000000.45 gid=1 type=item_get key=k status=found clsid=1 cfd=2 size=3 silo=east-1"], ReadAll(feed));
        Assert.Equal("east-1", log.Silo);
        Assert.Throws<ArgumentException>(() => log.Silo = "two words");
    }

    [Fact]
    public void TheLongestKeyFits()
    {
        var log = new RingEventLog { Silo = new string('s', 90) };
        using IEventFeed feed = log.Watch(EventKinds.Mutations, 4096, static () => { })!;
        byte[] key = new byte[Limits.KeyBytesMax];
        log.ItemStore(key, ItemStoreStatus.NotStored, ItemStoreCommand.Replace, uint.MaxValue, 255, int.MaxValue, int.MaxValue);
        Assert.Contains(string.Concat(Enumerable.Repeat("%00", Limits.KeyBytesMax)), Assert.Single(ReadAll(feed)));
    }

    [Fact]
    public void WatchersGetTheirKindsOnlyAndOnlyWhatComesAfterThem()
    {
        var log = new RingEventLog();
        Assert.Equal(EventKinds.None, log.Watched);
        log.ItemGet("early"u8, ItemGetStatus.Found, 1, 2, 3);
        IEventFeed gets = log.Watch(EventKinds.Fetchers, 4096, static () => { })!;
        log.ItemGet("both"u8, ItemGetStatus.Found, 1, 2, 3);
        IEventFeed all = log.Watch(EventKinds.Fetchers | EventKinds.Deletions, 4096, static () => { })!;
        Assert.Equal(EventKinds.Fetchers | EventKinds.Deletions, log.Watched);
        log.ItemGet("late"u8, ItemGetStatus.Found, 1, 2, 3);
        log.ItemDeleted("gone"u8, ItemDeleteCommand.Delete, 1, 2);
        log.ItemStore("unwatched"u8, ItemStoreStatus.Stored, ItemStoreCommand.Set, 0, 1, 2, 3);
        Assert.Equal(["both", "late"], ReadAll(gets).Select(KeyOf));
        Assert.Equal(["late", "gone"], ReadAll(all).Select(KeyOf));
        all.Dispose();
        Assert.Equal(EventKinds.Fetchers, log.Watched);
        gets.Dispose();
        gets.Dispose();
        Assert.Equal(EventKinds.None, log.Watched);
        log.ItemGet("nobody"u8, ItemGetStatus.Found, 1, 2, 3);
        using IEventFeed again = log.Watch(EventKinds.Fetchers, 4096, static () => { })!;
        log.ItemGet("again"u8, ItemGetStatus.Found, 1, 2, 3);
        Assert.Equal(["again"], ReadAll(again).Select(KeyOf));
        Assert.Equal(new EventLogStatistics(0, 4, 0, 5, 1), log.ReadStatistics());
        log.ResetStatistics();
        Assert.Equal(new EventLogStatistics(0, 0, 0, 0, 1), log.ReadStatistics());
    }

    [Fact]
    public void TooManyWatchersAreRefused()
    {
        var log = new RingEventLog();
        var feeds = new List<IEventFeed>();
        for (int i = 0; i < Limits.EventFeedsMax; i++)
            feeds.Add(log.Watch(EventKinds.Fetchers, 4096, static () => { })!);
        Assert.Null(log.Watch(EventKinds.Fetchers, 4096, static () => { }));
        feeds[7].Dispose();
        feeds[7] = log.Watch(EventKinds.Fetchers, 4096, static () => { })!;
        Assert.NotNull(feeds[7]);
        feeds.ForEach(static feed => feed.Dispose());
    }

    /// <summary>
    /// A ring much smaller than what is written wraps many times; a reader that keeps up with it sees every event, in each writer's order, gids rising by
    /// one.
    /// </summary>
    [Fact]
    public async Task ManyWritersLoseNothingWhenTheReaderKeepsUp()
    {
        int seed = TestSeed.Next(output);
        const int Writers = 4, Events = 20_000;
        var log = new RingEventLog(Limits.EventRingBytesMin);
        using IEventFeed feed = log.Watch(EventKinds.Fetchers, Limits.EventFeedBytesDefault, static () => { })!;
        long inFlight = 0;
        Task[] writers = [.. Enumerable.Range(0, Writers).Select(writer => Task.Run(() =>
        {
            var random = new Random(seed + writer);
            for (int i = 0; i < Events; i++)
            {
                // No more than fits at once: what is asked here is order, not loss.
                while (Interlocked.Increment(ref inFlight) > 40)
                {
                    Interlocked.Decrement(ref inFlight);
                    Thread.Yield();
                }

                byte[] key = Encoding.ASCII.GetBytes($"{writer}-{i}-{new string('x', random.Next(200))}");
                log.ItemGet(key, ItemGetStatus.Found, writer, writer, i);
            }
        }))];
        int[] next = new int[Writers];
        long gid = 0;
        byte[] buffer = new byte[16 * 1024];
        while (gid < Writers * Events)
        {
            string[] lines = Lines(buffer, feed.Read(buffer));
            foreach (string line in lines)
            {
                Assert.Equal(++gid, long.Parse(Field(line, "gid"), CultureInfo.InvariantCulture));
                string[] parts = KeyOf(line).Split('-');
                int writer = int.Parse(parts[0], CultureInfo.InvariantCulture);
                Assert.Equal(next[writer]++, int.Parse(parts[1], CultureInfo.InvariantCulture));
                Assert.Equal(parts[1], Field(line, "size"));
            }

            Interlocked.Add(ref inFlight, -lines.Length);
        }

        await Task.WhenAll(writers);
        Assert.Equal(new EventLogStatistics(0, Writers * Events, 0, Writers * Events, 1), log.ReadStatistics());
    }

    /// <summary>What is lost between two lines is what the line between them says; dropped and skipped events add up to what is missing.</summary>
    [Fact]
    public void ASlowWatcherIsToldWhatItLost()
    {
        int seed = TestSeed.Next(output);
        var random = new Random(seed);
        var log = new RingEventLog(Limits.EventRingBytesMin);
        using IEventFeed slow = log.Watch(EventKinds.Fetchers, Limits.EventFeedBytesMin, static () => { })!;
        using IEventFeed fast = log.Watch(EventKinds.Fetchers, Limits.EventFeedBytesDefault, static () => { })!;
        byte[] buffer = new byte[Limits.EventLineBytesMax];
        long written = 0, told = 0, expected = 1, fastLines = 0;
        for (int round = 0; round < 500; round++)
        {
            for (int i = random.Next(60); i > 0; i--, written++)
                log.ItemGet(Encoding.ASCII.GetBytes(new string('k', 1 + random.Next(100))), ItemGetStatus.Found, 1, 2, (int)written);
            fastLines += ReadAll(fast).Length;
            for (int i = random.Next(3); i > 0; i--)
                Follow(Lines(buffer, slow.Read(buffer)));
        }

        log.ItemGet("last"u8, ItemGetStatus.Found, 1, 2, 0);
        Follow(ReadAll(slow));
        log.ItemGet("very last"u8, ItemGetStatus.Found, 1, 2, 0);
        Follow(ReadAll(slow));
        fastLines += ReadAll(fast).Length;
        written += 2;
        EventLogStatistics statistics = log.ReadStatistics();
        Assert.Equal(written, fastLines);
        Assert.Equal(written + 1, expected);
        Assert.True(told > 0);
        Assert.Equal(told, slow.Skipped);
        Assert.Equal(0, fast.Skipped);
        Assert.Equal((0, told), (statistics.Dropped, statistics.Skipped));
        Assert.Equal(2 * written - told, statistics.Sent);

        void Follow(string[] lines)
        {
            foreach (string line in lines)
            {
                if (line.StartsWith("skipped=", StringComparison.Ordinal))
                {
                    long skipped = long.Parse(line[8..], CultureInfo.InvariantCulture);
                    told += skipped;
                    expected += skipped;
                }
                else
                {
                    Assert.Equal(expected++, long.Parse(Field(line, "gid"), CultureInfo.InvariantCulture));
                }
            }
        }
    }

    [Fact]
    public void AFullRingDropsAndCounts()
    {
        var ring = new EventRing(Limits.EventRingBytesMin);
        int seed = TestSeed.Next(output);
        var random = new Random(seed);
        var held = new Queue<string>();
        Span<byte> text = stackalloc byte[Limits.EventTextBytesMax];
        for (int step = 0; step < 20_000; step++)
        {
            if (random.Next(100) < 55)
            {
                string key = new((char)('a' + (step % 26)), random.Next(251));
                var record = new EventRecord { Size = key.Length };
                if (ring.TryWrite(ref record, Encoding.ASCII.GetBytes(key)))
                    held.Enqueue(key);
                else
                    Assert.True(held.Sum(static k => k.Length + EventRecord.Bytes + 8) + 600 > Limits.EventRingBytesMin);
            }
            else
            {
                bool read = ring.TryRead(ring.Tail, out EventRecord record, text);
                Assert.Equal(held.Count > 0, read);
                if (read)
                    Assert.Equal(held.Dequeue(), Encoding.ASCII.GetString(text[..record.TextLength]));
            }
        }
    }

    [Fact]
    public async Task AWatcherThatHasReadAllIsWokenOnce()
    {
        var log = new RingEventLog();
        var woken = new SemaphoreSlim(0);
        using IEventFeed feed = log.Watch(EventKinds.Fetchers, 4096, () => woken.Release())!;
        log.ItemGet("a"u8, ItemGetStatus.Found, 1, 2, 3);
        Assert.True(await woken.WaitAsync(TimeSpan.FromSeconds(30)));
        log.ItemGet("b"u8, ItemGetStatus.Found, 1, 2, 3);
        Assert.Equal(["a", "b"], ReadAll(feed).Select(KeyOf)); // reads until there is nothing: hungry again
        Assert.Equal(0, woken.CurrentCount);
        log.ItemGet("c"u8, ItemGetStatus.Found, 1, 2, 3);
        Assert.True(await woken.WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.Equal(["c"], ReadAll(feed).Select(KeyOf));
    }

    [Fact]
    public void TellingAllocatesNothing()
    {
        var log = new RingEventLog();
        using IEventFeed feed = log.Watch(Everything, 4096, static () => { })!;
        byte[] key = [.. "some-key"u8];
        Tell(100);

        // A collection on behalf of another test may charge this thread for what it has set aside: what telling allocates shows every time.
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 3 && least > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Tell(1000);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);

        void Tell(int count)
        {
            for (int i = 0; i < count; i++)
            {
                log.ItemGet(key, ItemGetStatus.Found, 1, 2, 3);
                log.ItemEvicted(key, fetched: false, -1, 2, 3, 4);
            }
        }
    }

    private static string KeyOf(string line) => Field(line, "key");

    private static string Field(string line, string name) =>
        line.Split(' ').Single(word => word.StartsWith(name + "=", StringComparison.Ordinal))[(name.Length + 1)..];

    private static string[] ReadAll(IEventFeed feed)
    {
        byte[] buffer = new byte[Limits.EventLineBytesMax];
        var lines = new List<string>();
        for (int bytes = feed.Read(buffer); bytes > 0; bytes = feed.Read(buffer))
            lines.AddRange(Lines(buffer, bytes));
        return [.. lines];
    }

    private static string[] Lines(byte[] buffer, int bytes)
    {
        if (bytes == 0)
            return [];
        Assert.Equal((byte)'\n', buffer[bytes - 1]);
        return Encoding.ASCII.GetString(buffer, 0, bytes - 1).Split('\n');
    }

    private sealed class FixedTime : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeSeconds(1_700_000_000).AddMicroseconds(45);
    }
}
