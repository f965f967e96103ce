using System.Globalization;
using System.Text;
using OrleansCache.Events;

namespace OrleansCache.Storage.Tests.Replication;

/// <summary>
/// An owner that logs, a replica that may be fed with its effects, and seeded clients. What the clients were told is kept where it binds a replica: the keys
/// that were said to be gone.
/// </summary>
internal sealed class ReplicatedPair : IDisposable
{
    public const long Epoch = 7;
    public const int ItemBytesMax = 256 * 1024;
    public const int KeyCount = 150;

    private static readonly byte[] s_noise = StoreHarness.Bytes(512 * 1024);

    private readonly Random _random;
    private readonly ulong[] _cas = new ulong[KeyCount];
    private readonly byte[][] _keys = [.. Enumerable.Range(0, KeyCount).Select(MakeKey)];
    private readonly IEventFeed? _feed;
    private uint _flushAt = uint.MaxValue;
    private long _flushNumber;

    public ReplicatedPair(Random random, StoreOptions? owner = null, StoreOptions? replica = null, bool isWatched = false)
    {
        _random = random;
        OwnerSet = new PartitionSet(With(owner), new RingEventLog());
        ReplicaSet = new PartitionSet(With(replica));
        if (isWatched)
        {
            _feed = OwnerSet.Events.Watch(
                EventKinds.Fetchers | EventKinds.Mutations | EventKinds.Deletions, Limits.EventFeedBytesDefault, static () => { });
        }

        Owner = OwnerSet.Open(new PartitionId(0), Epoch);
        Owner.Effects = Log;
        Replica = ReplicaSet.Open(new PartitionId(0), Epoch, PartitionState.Sealed, isReplica: true);

        static StoreOptions With(StoreOptions? options) => (options ?? new StoreOptions()) with
        {
            PartitionCount = 1, HashSeed = StoreHarness.HashSeed, ItemBytesMax = ItemBytesMax,
        };
    }

    public PartitionSet OwnerSet { get; }
    public PartitionSet ReplicaSet { get; }
    public Partition Owner { get; }
    public Partition Replica { get; }
    public ListEffectLog Log { get; } = new();
    public RecordingSink Sink { get; } = new();
    public uint Now { get; set; } = StoreHarness.Start;

    /// <summary>Keys of which the owner has said that they are absent, or that it has flushed, and that were not stored since.</summary>
    public HashSet<int> Gone { get; } = [];

    /// <summary>Keys that were live at both in the comparison.</summary>
    public int LiveCompared { get; private set; }

    /// <summary>The replica's clock is not the owner's.</summary>
    public uint ReplicaNow => (uint)(Now + _random.Next(-5, 6));

    /// <summary>One request, now and then a flush or the keeper's work.</summary>
    public void Step()
    {
        if (_random.Next(10) == 0)
            Now += (uint)_random.Next(3);
        switch (_random.Next(3000))
        {
            case 0:
                Flush(0);
                break;
            case 1:
                Flush(Now + (uint)_random.Next(1, 30));
                break;
            case 2:
                // Takes the place of whatever was scheduled, also of one whose time has come that nobody has carried out yet.
                _flushAt = _random.Next(2) == 0 ? uint.MaxValue : Now + (uint)_random.Next(1, 30);
                Owner.RescheduleFlush(_flushAt);
                break;
            case < 60:
                FireInModel();
                Owner.Reclaim(Now, 8);
                break;
            case < 120:
                Replica.Reclaim(ReplicaNow, 8);
                OwnerSet.DrainSlice(8);
                ReplicaSet.DrainSlice(8);
                break;
            default:
                RunRandom();
                break;
        }
    }

    public void Flush(uint at)
    {
        FireInModel();
        _flushNumber += _random.Next(3);
        Owner.FlushAll(at, Now, _flushNumber);
        _flushAt = at > Now ? at : uint.MaxValue;
        if (at <= Now)
            AllGone();

        // A flush of the cluster reaches the replica's silo as well; it must leave the replica to its owner.
        Assert.True(Replica.FlushAll(at, Now, _flushNumber));
    }

    /// <summary>Sends the effects of these positions.</summary>
    public ApplyStatus Ship(long first, long last) => Replica.Apply(Epoch, first, last, Owner.LastCas, Log.Block(first, last), ReplicaNow);

    /// <summary>Sends what is missing, in batches.</summary>
    public void ShipRest(int batchMax = 40)
    {
        while (Replica.LogPosition < Log.Position)
            ShipNext(batchMax);
    }

    public void ShipNext(int batchMax)
    {
        long first = Replica.LogPosition + 1, last = Math.Min(Log.Position, first + _random.Next(batchMax));
        if (last >= first)
            Assert.Equal(ApplyStatus.Ok, Ship(first, last));
        Assert.Equal(Math.Max(last, first - 1), Replica.LogPosition);
    }

    /// <summary>
    /// The replica becomes the owner: what is live at the former one must be the same here, what was said to be gone must be.
    /// Each side may lack what it had to evict.
    /// </summary>
    public void CheckTakeOver(string seed, bool ownerEvicts, bool replicaEvicts)
    {
        Assert.Equal(Owner.LastCas, Replica.LastCas);
        Assert.Equal(Owner.FlushNumber, Replica.FlushNumber);
        Assert.True(Replica.Activate(Epoch + 1));
        Assert.False(Replica.IsReplica);
        FireInModel();
        var other = new RecordingSink();
        int live = 0;
        for (int i = 0; i < KeyCount; i++)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Get, _keys[i]);
            request.Flags = RequestFlags.Peek | RequestFlags.ReturnValue;
            Assert.True(Owner.TryExecute(in request, Now, Sink));
            Assert.True(Replica.TryExecute(in request, Now, other));
            string what = $"{seed}: key {i}, at the owner {Sink.Status}, at the replica {other.Status}";
            if (Gone.Contains(i))
                Assert.True(other.Status == CacheStatus.NotFound, what + ", though it was said to be gone");
            if (Sink.Status == CacheStatus.Ok && (!replicaEvicts || other.Status == CacheStatus.Ok))
            {
                live++;
                Assert.True(other.Status == CacheStatus.Ok, what);
                const ItemFlags Lasting = ~ItemFlags.Fetched;
                Assert.True(
                    (Sink.ClientFlags, Sink.ExpiresAt, Sink.Cas, Sink.ItemFlags & Lasting)
                    == (other.ClientFlags, other.ExpiresAt, other.Cas, other.ItemFlags & Lasting), what + ", with other numbers");
                Assert.True(Sink.Value.SequenceEqual(other.Value), what + ", with another value");
            }
            else if (Sink.Status == CacheStatus.NotFound && !ownerEvicts)
            {
                Assert.True(other.Status == CacheStatus.NotFound, what);
            }
        }

        LiveCompared = live;
        CheckIntegrity();
    }

    public void CheckIntegrity()
    {
        OwnerSet.CheckIntegrityAtRest();
        ReplicaSet.CheckIntegrityAtRest();
    }

    public void Dispose()
    {
        _feed?.Dispose();
        OwnerSet.Dispose();
        ReplicaSet.Dispose();
    }

    private static byte[] MakeKey(int number) => number % 17 == 0
        ? Encoding.ASCII.GetBytes(new string('k', Limits.KeyBytesMax - 3) + number.ToString("D3", CultureInfo.InvariantCulture))
        : Encoding.ASCII.GetBytes($"key{number}");

    private void FireInModel()
    {
        if (Now < _flushAt)
            return;
        _flushAt = uint.MaxValue;
        AllGone();
    }

    private void AllGone() => Gone.UnionWith(Enumerable.Range(0, KeyCount));

    private void RunRandom()
    {
        int key = _random.Next(3) == 0 ? _random.Next(KeyCount) : _random.Next(20);
        var operation = (CacheOperation)_random.GetItems((int[])[1, 1, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10], 1)[0];
        CacheRequest request = StoreHarness.Request(operation, _keys[key]);
        request.Flags = RandomFlags(operation);
        request.ClientFlags = _random.Next(3) == 0 ? (uint)_random.Next() : 0;
        request.ExpiresAt = RandomExpiry();
        request.CreateExpiresAt = RandomExpiry();
        request.RecacheBefore = Now + (uint)_random.Next(40);
        request.CompareCas = _random.Next(4) == 0 ? (ulong)_random.Next(1000) : _random.Next(6) == 0 ? _cas[key] - 1 : _cas[key];
        request.NewCas = (ulong)_random.NextInt64(1L << 40);
        request.Delta = (ulong)(_random.Next(4) == 0 ? _random.NextInt64() : _random.Next(100));
        request.InitialValue = (ulong)_random.Next(1000);
        if (operation is >= CacheOperation.Set and <= CacheOperation.Prepend)
            request.Value = RandomValue();
        Run(in request, key);
    }

    private void Run(in CacheRequest request, int key)
    {
        FireInModel();
        int calls = Sink.Calls, effects = Log.Entries.Count;
        bool isLogged = true;
        bool done = _random.Next(2) == 0 ? Owner.TryExecute(in request, Now, Sink) : Owner.TryExecuteLogged(in request, Now, Sink, out isLogged);
        Assert.True(done);
        Assert.Equal(calls + 1, Sink.Calls);
        Assert.True(isLogged || Log.Entries.Count == effects, "something was logged, and the caller does not know");
        Assert.InRange(Log.Entries.Count - effects, 0, 2); // a flush that was due, and the request's own
        for (int i = effects; i < Log.Entries.Count; i++)
            Assert.True(Log.Keys[i] == (Log.Entries[i][0] == (byte)EffectKind.Flush ? null : request.KeyHash));

        bool isPlainSet = request.Operation == CacheOperation.Set && (request.Flags & RequestFlags.CompareCas) == 0;
        bool isPlainDelete = request.Operation == CacheOperation.Delete && (request.Flags & (RequestFlags.DropValue | RequestFlags.Invalidate)) == 0;
        if ((isPlainSet && Sink.Status is CacheStatus.TooLarge or CacheStatus.OutOfMemory)
            || (isPlainDelete && Sink.Status == CacheStatus.Ok)
            || (request.Operation == CacheOperation.Delete && Sink.Status == CacheStatus.NotFound))
        {
            if (isPlainSet || request.Operation == CacheOperation.Delete)
                Gone.Add(key);
        }
        else if (Sink.Status == CacheStatus.Ok)
        {
            Gone.Remove(key);
            _cas[key] = Sink.Cas;
        }
    }

    private RequestFlags RandomFlags(CacheOperation operation)
    {
        RequestFlags flags = operation == CacheOperation.Get && _random.Next(2) == 0 ? RequestFlags.ReturnValue : 0;
        if (_random.Next(2) == 0)
            return flags;
        RequestFlags[] all = RequestFlagChoices.Of(operation);
        for (int i = _random.Next(1, 4); i > 0; i--)
            flags |= all[_random.Next(all.Length)];
        return flags;
    }

    private uint RandomExpiry() => _random.Next(8) switch
    {
        0 => Now + (uint)_random.Next(20),
        1 => Now + (uint)_random.Next(3000),
        2 => _random.Next(2) == 0 ? Expiry.Immediately : uint.MaxValue,
        _ => Expiry.Never,
    };

    private ReadOnlySpan<byte> RandomValue()
    {
        int length = _random.Next(200) switch
        {
            < 60 => -1,
            < 150 => _random.Next(300),
            < 185 => _random.Next(6000),
            < 198 => _random.Next(150_000),
            _ => ItemBytesMax - 400 + _random.Next(400),
        };
        return length < 0
            ? Encoding.ASCII.GetBytes(_random.NextInt64(1L << _random.Next(1, 60)).ToString(CultureInfo.InvariantCulture))
            : s_noise.AsSpan(_random.Next(1000), length);
    }
}
