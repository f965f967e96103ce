namespace OrleansCache.Storage.Tests.Slabs;

public class PinTableTests
{
    [Fact]
    public void AnItemIsPinnedUntilItsLastPinIsReleased()
    {
        var pins = new PinTable();
        Assert.False(pins.IsPinned(8));
        Assert.True(pins.Pin(8));
        Assert.False(pins.Pin(8));
        Assert.Equal(1, pins.Count);
        Assert.False(pins.Unpin(8));
        Assert.True(pins.IsPinned(8));
        Assert.True(pins.Unpin(8));
        Assert.False(pins.IsPinned(8));
        Assert.Equal(0, pins.Count);
        Assert.Throws<InvalidOperationException>(() => pins.Unpin(8));
    }

    [Fact]
    public void AnOrphanIsHandedOverOnceWithItsLastPin()
    {
        var pins = new PinTable();
        Assert.False(pins.TryOrphan(8));
        pins.Pin(8);
        pins.Pin(8);
        pins.Pin(16);
        Assert.False(pins.TryOrphan(24));
        Assert.True(pins.TryOrphan(8));
        Assert.False(pins.HasReleased);
        Assert.False(pins.Unpin(8));
        Assert.False(pins.TryTakeReleased(out _));
        Assert.True(pins.Unpin(8));
        Assert.True(pins.HasReleased);
        Assert.True(pins.TryTakeReleased(out uint handle));
        Assert.Equal(8u, handle);
        Assert.False(pins.HasReleased);
        Assert.True(pins.Unpin(16));
        Assert.False(pins.HasReleased);

        // The chunk holds another item now: nothing of the orphan sticks to it.
        pins.Pin(8);
        Assert.True(pins.Unpin(8));
        Assert.False(pins.HasReleased);
    }

    [Fact]
    public void ManyPinsAreKeptApart()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var pins = new PinTable();
        var model = new Dictionary<uint, int>();
        for (int i = 0; i < 200_000; i++)
        {
            // Near each other and far apart, as chunks of one page and pages of an arena are.
            uint handle = (uint)(random.Next(64) + 1 + (random.Next(300) << 16));
            int count = model.GetValueOrDefault(handle);
            if (random.Next(i < 100_000 ? 3 : 1) != 0 || (count == 0 && random.Next(i < 100_000 ? 2 : 10) == 0))
            {
                Assert.True(pins.Pin(handle) == (count == 0), $"seed {seed}, step {i}");
                model[handle] = count + 1;
            }
            else if (count > 0)
            {
                Assert.True(pins.Unpin(handle) == (count == 1), $"seed {seed}, step {i}");
                model[handle] = count - 1;
                if (count == 1)
                    model.Remove(handle);
            }

            Assert.Equal(model.Count, pins.Count);
        }

        foreach ((uint handle, int count) in model)
        {
            Assert.True(pins.IsPinned(handle), $"seed {seed}");
            for (int i = count; i > 0; i--)
                Assert.Equal(i == 1, pins.Unpin(handle));
        }

        Assert.Equal(0, pins.Count);
    }

    [Fact]
    public async Task EveryOrphanComesBackOnceWhicheverThreadReleasesIt()
    {
        const int Threads = 4;
        const int Items = 20_000;
        var pins = new PinTable();
        int[] handedOver = new int[Items + 1];
        int turn = 0;
        var shard = new Lock();

        // Who pins and who unlinks holds the shard's lock; who releases does not.
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
        {
            int mine;
            while ((mine = Interlocked.Increment(ref turn)) <= Items)
            {
                uint handle = (uint)mine;
                bool orphan = mine % 3 != 0;
                lock (shard)
                {
                    pins.Pin(handle);
                    pins.Pin(handle);
                }

                Task other = Task.Run(() => pins.Unpin(handle));
                lock (shard)
                {
                    if (orphan)
                        pins.TryOrphan(handle);
                }

                pins.Unpin(handle);
                other.Wait();
                lock (shard)
                {
                    while (pins.TryTakeReleased(out uint released))
                        handedOver[released]++;
                }
            }
        })));
        Assert.Equal(0, pins.Count);
        for (int i = 1; i <= Items; i++)
            Assert.Equal(i % 3 != 0 ? 1 : 0, handedOver[i]);
    }
}
