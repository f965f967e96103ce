using System.Buffers;
using System.Text;
using OrleansCache.Events;
using OrleansCache.Storage;

namespace OrleansCache.Fuzz.Stores;

/// <summary>What a run has found wrong.</summary>
public sealed class ModelException(string message) : Exception(message);

/// <summary>
/// Two processes' stores, the partitions that lie in the one or the other, and a <see cref="StoreModel"/> of each partition. Every step does
/// something that clients, operators, the clock or the cluster might do, to a store and to its model, and compares what can be seen.
/// What a store may forget (it evicts, pages move, -m shrinks) it may forget only if it counts it; nothing may come back, and nothing may be another's.
/// </summary>
internal sealed partial class StoreWorld : IDisposable
{
    public static readonly HashSeed Seed = new(0x0123456789ABCDEF, 0xFEDCBA9876543210);
    private const uint Start = 1_000_000_000;

    /// <summary>What values are cut from: letters, so that none is a number by chance.</summary>
    private static readonly byte[] s_noise = Noise();

    private readonly Choices _choices;
    private readonly string? _folder;
    private readonly Side[] _sides;
    private readonly StoreModel[] _models;
    private readonly int[] _home;
    private readonly bool[] _isSealed;
    private readonly ulong[] _lastCas;
    private readonly Key[] _keys;
    private readonly HashSet<string> _everPinned = [];
    private readonly RecordingSink _sink = new();
    private readonly PinHolder _pins;
    private readonly WorldTime _time = new();
    private long _epoch;
    private uint _latestNow = Start;

    /// <param name="choices">Decides everything, the stores' options included.</param>
    /// <param name="plenty">Whether the stores have more memory than they need, so that nothing is ever evicted for want of it.</param>
    /// <param name="ownThread">Whether pins are released on a thread of their own.</param>
    /// <param name="folder">Where a memory file may lie; null: none.</param>
    public StoreWorld(Choices choices, bool plenty, bool ownThread, string? folder = null)
    {
        _choices = choices;
        _folder = folder;
        _time.Now = Start;
        int partitions = choices.Pick(1, 2, 3, 5);
        StoreOptions common = new()
        {
            PartitionCount = partitions,
            HashSeed = Seed,
            NoCas = choices.OneIn(8),
            ItemBytesMax = choices.Pick(Limits.ItemBytesDefault, 4096, 200_000),
        };
        _sides = [new Side(OptionsOf(common, plenty, 0), _time), new Side(OptionsOf(common, plenty, 1), _time)];
        _models = new StoreModel[partitions];
        _home = new int[partitions];
        _isSealed = new bool[partitions];
        _lastCas = new ulong[partitions];
        for (int i = 0; i < partitions; i++)
        {
            _models[i] = new StoreModel(common.ItemBytesMax, common.NoCas);
            _home[i] = choices.Next(2);
            _sides[_home[i]].Set.Open(new PartitionId(i), ++_epoch);
        }

        _keys = [.. Enumerable.Range(0, choices.Pick(60, 600, 3000, 12_000)).Select(i => new Key(KeyBytes(i), partitions))];
        _pins = new PinHolder(ownThread);
    }

    public long Steps { get; private set; }

    private uint Now => _time.Now;

    /// <summary>For a report: what this world is like.</summary>
    public override string ToString() => $"{_sides[0]} and {_sides[1]}, {_models.Length} partitions, {_keys.Length} keys";

    /// <summary>Does one thing.</summary>
    public void Step()
    {
        Steps++;
        switch (_choices.Next(1000))
        {
            case < 870:
                Request();
                break;
            case < 900:
                _pins.Release(1 + _choices.Next(4));
                break;
            case < 915:
                JumpInTime();
                break;
            case < 930:
                Reclaim();
                break;
            case < 945:
                _sides[_choices.Next(2)].Set.DrainSlice(1 + _choices.Next(PartitionSet.DrainBucketsMax));
                break;
            case < 957:
                MovePage();
                break;
            case < 962:
                Flush();
                break;
            case < 968:
                ChangeLimit();
                break;
            case < 972:
                ChangeSettings();
                break;
            case < 978:
                OpenOrClose();
                break;
            case < 984:
                SealOrUnseal();
                break;
            case < 990:
                MovePartition();
                break;
            case < 993:
                ScanAll(_choices.Next(_models.Length));
                break;
            case < 996:
                ReadAsOperator();
                break;
            case 996:
                Restart();
                break;
            case 997:
                if (_choices.OneIn(4))
                    FlushAgainAndAgain();
                else
                    StoreMany();
                break;
            default:
                WatchOrNot();
                break;
        }

        if (_pins.Complaint is { } complaint)
            throw new ModelException(complaint);
    }

    /// <summary>Throws if a store contradicts itself or has lost more than it has counted.</summary>
    public void Check()
    {
        foreach (Side side in _sides)
        {
            side.Set.CheckIntegrity();
            if (side.LostFound > side.Losses)
                throw new ModelException($"{side.LostFound} items are gone, but only {side.Losses} are counted as thrown away");
        }
    }

    /// <summary>Compares every item, then closes everything and looks whether all memory has come back.</summary>
    public void Finish()
    {
        _pins.ReleaseAll();
        if (_pins.Complaint is { } complaint)
            throw new ModelException(complaint);
        for (int partition = 0; partition < _models.Length; partition++)
        {
            if (_home[partition] >= 0 && _isSealed[partition])
                Unseal(partition);
            ScanAll(partition);
        }

        Check();
        foreach (Side side in _sides)
        {
            for (int partition = 0; partition < _models.Length; partition++)
                side.Set.Close(new PartitionId(partition));
            while (side.Set.DrainSlice(PartitionSet.DrainBucketsMax))
            {
            }

            side.Set.CheckIntegrityAtRest();
            foreach (StoreShard shard in side.Set.Arena.Shards)
            {
                if (shard.Heap.PageCount != 0)
                    throw new ModelException($"shard {shard.Number} holds {shard.Heap.PageCount} pages, but no item");
            }
        }
    }

    public void Dispose()
    {
        _pins.Dispose();
        foreach (Side side in _sides)
            side.Dispose();
    }

    private StoreOptions OptionsOf(StoreOptions common, bool plenty, int side)
    {
        long memoryBytes = plenty ? 96 << 20 : _choices.Pick<long>(300_000, 1 << 20, 3 << 20, 8 << 20);
        return common with
        {
            MemoryBytes = memoryBytes,
            MemoryBytesMax = memoryBytes * 2,
            ShardCount = 1 + _choices.Next(3),
            NoEviction = _choices.OneIn(10),
            ChunkBytesMin = _choices.Pick(48, 48, 1, 1024),
            GrowthFactor = _choices.Pick<double>(1.25, 1.25, 1.01, 2, 1000),
            MemoryFilePath = _folder is not null && !plenty && _choices.OneIn(3) ? Path.Combine(_folder, $"memory{side}") : null,
        };
    }

    private static byte[] Noise()
    {
        byte[] noise = new byte[2 << 20];
        var random = new Random(1);
        for (int i = 0; i < noise.Length; i++)
            noise[i] = (byte)('a' + random.Next(26));
        return noise;
    }

    private static byte[] KeyBytes(int number) => number switch
    {
        < 40 => CollidingKeys.Key(number, Seed),
        < 50 => Encoding.ASCII.GetBytes(new string('L', Limits.KeyBytesMax - 4) + number.ToString("D4", System.Globalization.CultureInfo.InvariantCulture)),
        _ => Encoding.ASCII.GetBytes($"key{number}"),
    };

    private void JumpInTime()
    {
        // Mostly on; now and then far on, or back.
        int seconds = _choices.Next(20) switch
        {
            0 => _choices.Next(5000),
            1 => -_choices.Next(5000),
            2 or 3 => -_choices.Next(5),
            _ => _choices.Next(6),
        };
        _time.Now = (uint)(Now + seconds);
        _latestNow = Math.Max(_latestNow, Now);
    }

    private void Reclaim()
    {
        Side side = _sides[_choices.Next(2)];
        VisitAll(side);
        side.Set.ReclaimSlice(Now, 1 + _choices.Next(60), 1 + _choices.Next(64));
    }

    private void MovePage()
    {
        Side side = _sides[_choices.Next(2)];
        int classes = side.Set.Arena.Classes.Count;
        side.Keeper.MovePage(_choices.Next(classes + 3) - 1, _choices.Next(classes + 2));
    }

    private void Flush()
    {
        uint at = _choices.OneIn(2) ? 0 : (uint)(Now + _choices.Next(8) - 1);
        if (_choices.OneIn(3))
        {
            FlushSide(_sides[_choices.Next(2)], at);
        }
        else
        {
            int partition = _choices.Next(_models.Length);
            if (_home[partition] < 0)
                return;
            HomeOf(partition).FlushAll(at, Now);
            _models[partition].Flush(at, Now);
        }
    }

    private void FlushSide(Side side, uint at)
    {
        side.Set.FlushAll(at, Now);
        for (int partition = 0; partition < _models.Length; partition++)
        {
            if (_home[partition] >= 0 && _sides[_home[partition]] == side)
                _models[partition].Flush(at, Now);
        }
    }

    private void ChangeLimit()
    {
        Side side = _sides[_choices.Next(2)];
        side.Set.Arena.TrySetMemoryLimit(side.Options.MemoryBytes * _choices.Pick(50, 75, 100, 100, 150, 200) / 100);
        for (int i = _choices.Next(4); i > 0; i--)
            side.Set.ShrinkSlice(Now, 1 + _choices.Next(200));
    }

    private void ChangeSettings() => _sides[_choices.Next(2)].Set.Arena.Tuning = new StoreTuning
    {
        SmallPercent = _choices.Pick(1, 5, 20, 90),
        TempTtlSeconds = _choices.Pick(0u, 5u, 1000u),
        IsFlat = _choices.OneIn(4),
        MovesPages = !_choices.OneIn(4),
    };

    private void WatchOrNot()
    {
        EventLog events = _sides[_choices.Next(2)].Set.Events;
        using IEventFeed? feed = events.Watch(EventKinds.Fetchers | EventKinds.Mutations | EventKinds.Evictions | EventKinds.Deletions,
            64 * 1024, static () => { });
        for (int i = _choices.Next(20); i > 0; i--)
            Request();
    }

    private void OpenOrClose()
    {
        int partition = _choices.Next(_models.Length);
        if (_home[partition] < 0)
        {
            _home[partition] = _choices.Next(2);
            _sides[_home[partition]].Set.Open(new PartitionId(partition), ++_epoch);
            return;
        }

        _sides[_home[partition]].Set.Close(new PartitionId(partition), Now);
        _home[partition] = -1;
        _isSealed[partition] = false;
        _lastCas[partition] = 0;
        _models[partition].Items.Clear();
        _models[partition].FlushAt = 0;
    }

    private void SealOrUnseal()
    {
        int partition = _choices.Next(_models.Length);
        if (_home[partition] < 0)
            return;
        if (_isSealed[partition])
        {
            Unseal(partition);
            return;
        }

        _isSealed[partition] = true;
        HomeOf(partition).Seal();
    }

    private void Unseal(int partition)
    {
        _isSealed[partition] = false;
        HomeOf(partition).Unseal();
    }

    /// <summary>To the other side, in blocks of whatever size.</summary>
    private void MovePartition()
    {
        int partition = _choices.Next(_models.Length);
        if (_home[partition] < 0)
            return;
        var id = new PartitionId(partition);
        Side from = _sides[_home[partition]], to = _sides[1 - _home[partition]];
        StoreModel model = _models[partition];
        Partition source = HomeOf(partition);
        source.Seal();
        model.Visit(Now);
        long losses = to.Losses;
        Partition target = to.Set.Open(id, ++_epoch, PartitionState.Sealed);
        int bytesMax = _choices.Pick(1, 1000, 65_536, int.MaxValue);
        var cursor = default(ExportCursor);
        bool isWhole = true;
        for (bool more = true; more;)
        {
            var block = new ArrayBufferWriter<byte>();
            more = source.Export(ref cursor, block, bytesMax, Now);
            ImportStatus status = target.Import(block.WrittenSpan, Now, out _);
            if (status is not (ImportStatus.Ok or ImportStatus.OutOfMemory))
                throw new ModelException($"a block of {block.WrittenCount} bytes was taken over with {status}");
            if (status == ImportStatus.OutOfMemory && _choices.OneIn(2))
                target.Import(block.WrittenSpan, Now, out _);
            isWhole &= status == ImportStatus.Ok;
        }

        foreach (string key in model.Items.Keys.ToArray())
        {
            if (model.FindLive(key, Now) is not { } item)
                continue;
            item.MayBeGone |= !isWhole || MayBeGone(item, from);
            item.LossesSeen = losses;
            item.LastAccess = Math.Min(item.LastAccess, Now);
        }

        target.Unseal();
        from.Set.Close(id, Now);
        _isSealed[partition] = false;
        _home[partition] = 1 - _home[partition];
    }

    /// <summary>The process ends and starts again, where its memory lies in a file.</summary>
    private void Restart()
    {
        Side side = _sides[_choices.Next(2)];
        if (side.Options.MemoryFilePath is null)
            return;
        _pins.ReleaseAll();
        side.Restart();
        for (int partition = 0; partition < _models.Length; partition++)
        {
            if (_home[partition] < 0 || _sides[_home[partition]] != side)
                continue;
            side.Set.Open(new PartitionId(partition), ++_epoch);
            _isSealed[partition] = false;
        }

        if (side.Set.ReadMemoryFile(Now, TimeSpan.FromMinutes(10)) is not { Damaged: 0, IsComplete: true })
            throw new ModelException("what was closed in order is damaged");
        for (int partition = 0; partition < _models.Length; partition++)
        {
            if (_home[partition] < 0 || _sides[_home[partition]] != side)
                continue;
            foreach (ModelItem item in _models[partition].Items.Values)
            {
                // What says nothing of its age goes with what was flushed shortly before.
                item.MayBeGone |= item.LossesSeen < side.LossesBefore || item.Cas == 0 || item.IsExplicitCas || Expiry.IsExpired(item.ExpiresAt, _latestNow);
                item.LossesSeen = 0;
            }
        }
    }

    private void ReadAsOperator()
    {
        Side side = _sides[_choices.Next(2)];
        VisitAll(side);
        int classId = 1 + _choices.Next(side.Set.Arena.Classes.Count);
        foreach (ClassItem item in side.Keeper.ReadClass(classId, 50, 100_000))
        {
            if (item.Key.Length is 0 or > Limits.KeyBytesMax)
                throw new ModelException("a list of a class shows what is no key");
        }

        long count = 0;
        foreach (KeyValuePair<int, long> size in side.Keeper.ReadSizesAsync(CancellationToken.None).GetAwaiter().GetResult())
            count += size.Value;
        long open = Enumerable.Range(0, _models.Length).Where(p => _home[p] >= 0 && _sides[_home[p]] == side && !_isSealed[p]).Sum(p => HomeOf(p).ItemCount);
        if (count != open)
            throw new ModelException($"the sizes of {count} items are told, of {open}");
        side.Set.ReadStatistics(Now, perClass: true);
    }

    private void VisitAll(Side side)
    {
        for (int partition = 0; partition < _models.Length; partition++)
        {
            if (_home[partition] >= 0 && _sides[_home[partition]] == side && !_isSealed[partition])
                _models[partition].Visit(Now);
        }
    }

    private Partition HomeOf(int partition) => _sides[_home[partition]].Set.TryGet(new PartitionId(partition))!;

    private bool MayBeGone(ModelItem item, Side side) => item.MayBeGone || side.Losses > item.LossesSeen || Expiry.IsExpired(item.ExpiresAt, _latestNow);

    private sealed class Key
    {
        private static readonly KeyHasher s_hasher = new(Seed);

        public Key(byte[] bytes, int partitions)
        {
            Bytes = bytes;
            Text = Encoding.Latin1.GetString(bytes);
            Hash = s_hasher.Compute(bytes);
            Partition = PartitionId.OfHash(Hash, partitions).Value;
        }

        public byte[] Bytes { get; }
        public string Text { get; }
        public ulong Hash { get; }
        public int Partition { get; }
    }

    /// <summary>The stores of one process.</summary>
    private sealed class Side : IDisposable
    {
        private readonly TimeProvider _time;

        public Side(StoreOptions options, TimeProvider time)
        {
            Options = options;
            _time = time;
            Set = new PartitionSet(options, new RingEventLog());
            Keeper = new StoreKeeper(Set, time);
        }

        public StoreOptions Options { get; }
        public PartitionSet Set { get; private set; }
        public StoreKeeper Keeper { get; private set; }

        /// <summary>Items that were found to be gone because of the store's want of memory.</summary>
        public long LostFound { get; set; }

        /// <summary>Losses of the process that a restart has ended.</summary>
        public long LossesBefore { get; private set; }

        /// <summary>Items that the store has thrown away for want of memory.</summary>
        public long Losses
        {
            get
            {
                long losses = 0;
                foreach (StoreShard shard in Set.Arena.Shards)
                    losses += shard.Ledger.Lost(LossCause.Evicted) + shard.Ledger.Lost(LossCause.PageMoved) + shard.Ledger.Lost(LossCause.MemoryLimit);
                return losses;
            }
        }

        public override string ToString() =>
            $"m={Options.MemoryBytes} shards={Options.ShardCount} M={Options.NoEviction} n={Options.ChunkBytesMin} f={Options.GrowthFactor}"
            + (Options.MemoryFilePath is null ? "" : " file");

        public void Restart()
        {
            LossesBefore = Losses;
            LostFound = 0;
            Dispose();
            Set = new PartitionSet(Options, new RingEventLog());
            Keeper = new StoreKeeper(Set, _time);
        }

        public void Dispose()
        {
            Keeper.Dispose();
            Set.Dispose();
        }
    }

    /// <summary>A clock that is set by hand, and that wakes nobody.</summary>
    private sealed class WorldTime : TimeProvider
    {
        public uint Now { get; set; }

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeSeconds(Now);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new NoTimer();

        private sealed class NoTimer : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
