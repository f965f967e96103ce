namespace OrleansCache.Storage;

/// <summary>
/// What happens to the partitions of a process beside requests. Once a second the ends of the eviction queues are freed of what has expired, and a slice of
/// every partition is searched for it, so that expired items give their memory back without being asked for; an operator may have all of them searched at once,
/// and read and move what `stats` and `slabs` show.
/// Goals: one driver for a single node and a silo; a partition's lock is held for a few dozen buckets at a time, never over a pause; one pass at a time.
/// Non-goal: to be quick. A pass yields between its steps.
/// </summary>
public sealed class StoreKeeper : IStoreAdmin, IDisposable
{
    private const int PeriodMilliseconds = 1000;

    /// <summary>A whole round over a partition takes about this many periods, so that no period takes long...</summary>
    private const int PeriodsPerRound = 60;

    /// <summary>...and at most this many buckets (of about 8 items) are looked at before a partition's lock is let go.</summary>
    private const int BucketsMax = 64;

    /// <summary>Items freed from the ends of a shard's queues before its lock is let go: as many as those buckets hold.</summary>
    private const int TailItemsMax = 512;

    /// <summary>memcached pauses after so many items.</summary>
    private const int ItemsPerSleep = 1000;

    private readonly PartitionSet _partitions;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly CancellationTokenSource _stop = new();
    private int _isReclaiming;
    private int _isCrawling;
    private int _periods;

    public StoreKeeper(PartitionSet partitions, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(partitions);
        ArgumentNullException.ThrowIfNull(time);
        _partitions = partitions;
        _time = time;
        var period = TimeSpan.FromMilliseconds(PeriodMilliseconds);
        _timer = time.CreateTimer(static state => ((StoreKeeper)state!).Reclaim(), this, period, period);
    }

    public int ClassCount => _partitions.Arena.Classes.Count;

    public bool CrawlerEnabled { get; set; } = true;

    public StoreTuning Tuning
    {
        get => _partitions.Arena.Tuning;
        set => _partitions.Arena.Tuning = value;
    }

    private uint NowUnixSeconds => (uint)_time.GetUtcNow().ToUnixTimeSeconds();

    public bool TryStartCrawl(CrawlRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (Interlocked.Exchange(ref _isCrawling, 1) != 0)
            return false;
        _partitions.CountCrawl();
        _partitions.SetCrawling(true);
        _ = Task.Run(() => CrawlAsync(request, _stop.Token));
        return true;
    }

    public IReadOnlyList<ClassItem> ReadClass(int classId, int itemsMax, int lineBytesMax)
    {
        var items = new List<ClassItem>();
        if (classId < 1 || classId > ClassCount)
            return items;
        foreach (StoreShard shard in _partitions.Arena.Shards)
        {
            if (items.Count >= itemsMax || lineBytesMax <= 0)
                break;
            lock (shard.Lock)
            {
                shard.ReadClass(classId - 1, items, itemsMax, ref lineBytesMax);
            }
        }

        return items;
    }

    public Task<IReadOnlyList<KeyValuePair<int, long>>> ReadSizesAsync(CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            var counts = new Dictionary<int, long>();
            for (int i = 0; i < _partitions.PartitionCount; i++)
            {
                ulong position = 0;
                while (position <= uint.MaxValue && _partitions.TryGet(new PartitionId(i)) is { } partition)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    position = partition.CountSizes(position, counts, NowUnixSeconds);
                }
            }

            return (IReadOnlyList<KeyValuePair<int, long>>)[.. counts.OrderBy(static c => c.Key)];
        },
        cancellationToken);

    public PageMoveStatus MovePage(int sourceClass, int targetClass)
    {
        if (sourceClass == targetClass)
            return PageMoveStatus.SameClass;
        if (sourceClass == -1)
            sourceClass = ClassToSpareFrom(targetClass);
        if (sourceClass < 0 || sourceClass > ClassCount || targetClass < 0 || targetClass > ClassCount)
            return PageMoveStatus.BadClass;
        return sourceClass == 0 ? MoveFreePage(targetClass) : MovePageOfClass(sourceClass, targetClass);
    }

    public void Dispose()
    {
        if (_stop.IsCancellationRequested)
            return;
        _stop.Cancel();
        _timer.Dispose();

        // The arena is freed next: what is under way must be out of it by then.
        SpinWait.SpinUntil(() => Volatile.Read(ref _isCrawling) == 0 && Volatile.Read(ref _isReclaiming) == 0);
        _stop.Dispose();
    }

    private PageMoveStatus MoveFreePage(int targetClass)
    {
        if (_partitions.Arena.FreePageCount < 2)
            return PageMoveStatus.NoSpare;

        // To the shard that has most of the class already; its traffic is the likeliest to want it.
        StoreShard shard = ByPageCount(targetClass)[0];
        lock (shard.Lock)
        {
            if (!_partitions.Arena.TryTake(out uint page))
                return PageMoveStatus.Busy;
            shard.AdoptReassigned(page, targetClass - 1);
            return PageMoveStatus.Moved;
        }
    }

    private PageMoveStatus MovePageOfClass(int sourceClass, int targetClass)
    {
        List<StoreShard> shards = ByPageCount(sourceClass);
        if (shards.Sum(shard => shard.Classes[sourceClass - 1].PageCount) < 2)
            return PageMoveStatus.NoSpare;
        foreach (StoreShard shard in shards)
        {
            lock (shard.Lock)
            {
                if (shard.TryReassignPage(sourceClass - 1, targetClass - 1, NowUnixSeconds))
                    return PageMoveStatus.Moved;
            }
        }

        return _partitions.Options.NoEviction ? PageMoveStatus.NoSpare : PageMoveStatus.Busy;
    }

    /// <summary>The class with the most pages, if it has two or more; else -1.</summary>
    private int ClassToSpareFrom(int targetClass)
    {
        SlabClassStatistics[] classes = _partitions.ReadStatistics(NowUnixSeconds, perClass: true).Classes;
        int best = -1;
        long pages = 1;
        foreach (SlabClassStatistics slab in classes)
        {
            if (slab.ClassId == targetClass || slab.TotalPages <= pages)
                continue;
            best = slab.ClassId;
            pages = slab.TotalPages;
        }

        return best;
    }

    private List<StoreShard> ByPageCount(int classId) =>
        [.. _partitions.Arena.Shards.ToArray().OrderByDescending(shard => shard.Classes[classId - 1].PageCount)];

    private async Task CrawlAsync(CrawlRequest request, CancellationToken stop)
    {
        try
        {
            var budget = new CrawlBudget(request, ClassCount);
            double owedMicroseconds = 0;
            for (int i = 0; i < _partitions.PartitionCount && !budget.IsSpent; i++)
            {
                ulong position = 0;
                while (position <= uint.MaxValue && !budget.IsSpent && _partitions.TryGet(new PartitionId(i)) is { } partition)
                {
                    stop.ThrowIfCancellationRequested();
                    long before = budget.Taken;
                    position = partition.Crawl(position, budget, NowUnixSeconds);
                    owedMicroseconds += (double)request.SleepMicroseconds * (budget.Taken - before) / ItemsPerSleep;
                    if (owedMicroseconds < 1000)
                        continue;
                    await Task.Delay(TimeSpan.FromMicroseconds(owedMicroseconds), _time, stop).ConfigureAwait(false);
                    owedMicroseconds = 0;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The process stops.
        }
        finally
        {
            _partitions.SetCrawling(false);
            Volatile.Write(ref _isCrawling, 0);
        }
    }

    /// <summary>
    /// Frees the memory of flushed and closed partitions: a few dozen buckets under one hold of a shard's lock, then the others' turn, until nothing is left.
    /// </summary>
    private void Drain()
    {
        while (!_stop.IsCancellationRequested && _partitions.DrainSlice(PartitionSet.DrainBucketsMax))
            Thread.Yield();
    }

    private void Reclaim()
    {
        if (!_stop.IsCancellationRequested)
            _partitions.NoteServing(NowUnixSeconds);

        // With very many items a slice may take longer than a period; the next one is left out then.
        if (Interlocked.Exchange(ref _isReclaiming, 1) != 0)
            return;
        if (!_stop.IsCancellationRequested)
        {
            _partitions.CountWake();
            Drain();
            if (CrawlerEnabled)
            {
                if (_periods++ % PeriodsPerRound == 0)
                    _partitions.CountCrawl();
                _partitions.ReclaimTails(NowUnixSeconds, TailItemsMax);
                _partitions.ReclaimSlice(NowUnixSeconds, PeriodsPerRound, BucketsMax);
            }
            else
            {
                // What is due is still done: a scheduled flush, memory that readers have let go, a limit that has shrunk.
                _partitions.Reclaim(NowUnixSeconds, bucketsMaxPerPartition: 0);
                _partitions.ShrinkSlice(NowUnixSeconds);
            }
        }

        Volatile.Write(ref _isReclaiming, 0);
    }
}
