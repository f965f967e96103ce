using System.Buffers;
using System.Text;
using Xunit.Abstractions;

namespace OrleansCache.Storage.Tests;

/// <summary>
/// Threads that use, evict, pin, flush, close, open, move and measure at once, over two shards with too little memory. Each value says whose it is,
/// so a read that shows another's bytes is seen; what remains at the end is checked from every side.
/// </summary>
public sealed class ConcurrencyTests(ITestOutputHelper output)
{
    private const int Threads = 4;
    private const int OperationsPerThread = 60_000;
    private const int Partitions = 6;
    private const int Keys = 4000;
    private const uint Now = StoreHarness.Start;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void ManyThreadsLeaveEverythingInOrder(int round) => Soak.Run(output, round, seed => Run(seed, round));

    private static void Run(int seed, int round)
    {
        long memoryBytes = round % 2 == 0 ? 1 << 20 : 6 << 20;
        using var set = new PartitionSet(new StoreOptions
        {
            PartitionCount = Partitions, ShardCount = 2, MemoryBytes = memoryBytes, MemoryBytesMax = memoryBytes * 2,
            HashSeed = StoreHarness.HashSeed, Seed = (ulong)seed,
        });
        set.Arena.Eviction.TempTtlSeconds = 100;
        using var keeper = new StoreKeeper(set, TimeProvider.System);
        for (int i = 0; i < Partitions; i++)
            set.Open(new PartitionId(i), 1);
        var complaints = new List<string>();
        var changes = new Lock();
        long refused = 0;
        var threads = Enumerable.Range(0, Threads).Select(number => new Thread(() =>
        {
            var worker = new Worker(set, keeper, memoryBytes, changes, new Random(seed + number));
            try
            {
                for (int i = 0; i < OperationsPerThread; i++)
                    worker.Step();
            }
            catch (Exception exception)
            {
                lock (changes)
                    complaints.Add($"seed {seed}, thread {number}: {exception}");
            }
            finally
            {
                worker.ReleaseAll();
                Interlocked.Add(ref refused, worker.Refused);
            }
        })).ToList();
        threads.ForEach(static thread => thread.Start());
        threads.ForEach(static thread => thread.Join());
        Assert.True(complaints.Count == 0, string.Join('\n', complaints));
        Assert.True(refused < Threads * OperationsPerThread / 100, $"seed {seed}: {refused} stores were refused");

        set.CheckIntegrity();
        set.ShrinkSlice(Now);
        while (set.DrainSlice(PartitionSet.DrainBucketsMax))
        {
        }

        set.CheckIntegrityAtRest();
        for (int i = 0; i < Partitions; i++)
            set.Close(new PartitionId(i));
        while (set.DrainSlice(PartitionSet.DrainBucketsMax))
        {
        }

        set.CheckIntegrityAtRest();
        Assert.Equal(set.Arena.PageCount, set.Arena.FreePageCount);
    }

    private sealed class Worker(PartitionSet set, StoreKeeper keeper, long memoryBytes, Lock changes, Random random)
    {
        private readonly RecordingSink _sink = new();
        private readonly Queue<(PinnedValue Pin, int Number)> _pins = new();
        private readonly byte[] _value = new byte[200_000];

        public long Refused { get; private set; }

        public void Step()
        {
            switch (random.Next(10_000))
            {
                case < 9700:
                    Use();
                    break;
                case < 9800:
                    Release();
                    break;
                case < 9830:
                    set.DrainSlice(1 + random.Next(64));
                    break;
                case < 9850:
                    set.ReclaimSlice(Now, 60, 64);
                    break;
                case < 9870:
                    keeper.MovePage(random.Next(keeper.ClassCount + 1) - 1, random.Next(keeper.ClassCount + 1));
                    break;
                case < 9890:
                    set.ShrinkSlice(Now, 1 + random.Next(50));
                    break;
                case < 9900:
                    set.Arena.TrySetMemoryLimit(memoryBytes * (2 + random.Next(6)) / 4);
                    break;
                case < 9910:
                    set.FlushAll(0, Now);
                    break;
                case < 9930:
                    set.TryGet(RandomPartition())?.FlushAll(0, Now);
                    break;
                case < 9950:
                    OpenOrClose();
                    break;
                case < 9970:
                    Export();
                    break;
                case < 9980:
                    set.CheckIntegrity();
                    break;
                default:
                    set.ReadStatistics(Now, perClass: true);
                    keeper.ReadClass(1 + random.Next(keeper.ClassCount), 10, 10_000);
                    break;
            }
        }

        public void ReleaseAll()
        {
            while (_pins.Count > 0)
                Release();
        }

        private void Use()
        {
            int number = (int)(Keys * Math.Pow(random.NextDouble(), 2));
            byte[] key = Encoding.ASCII.GetBytes($"key{number}");
            CacheRequest request = StoreHarness.Request(CacheOperation.Get, key);
            request.Flags = RequestFlags.ReturnValue;
            switch (random.Next(10))
            {
                case < 4:
                    _sink.PinNext = _pins.Count < 4 && random.Next(20) == 0;
                    break;
                case 4:
                    request.Operation = CacheOperation.Delete;
                    request.Flags = 0;
                    break;
                case 5:
                    request.Operation = CacheOperation.Touch;
                    request.ExpiresAt = random.Next(3) == 0 ? Now - 1 : 0;
                    break;
                default:
                    request.Operation = random.Next(5) == 0 ? CacheOperation.Append : CacheOperation.Set;
                    request.Flags = 0;
                    request.ClientFlags = (uint)(random.Next(2) * number);
                    request.ExpiresAt = random.Next(4) == 0 ? Now + 50 : 0;
                    int length = random.Next(200) == 0 ? random.Next(100_000) : random.Next(10) == 0 ? random.Next(10_000) : random.Next(400);
                    Span<byte> value = _value.AsSpan(0, length);
                    value.Fill(MarkOf(number));
                    request.Value = value;
                    break;
            }

            if (random.Next(8) == 0)
                set.Prefetch([request.KeyHash, request.KeyHash + 1]);
            bool executed = set.TryGet(PartitionId.OfHash(request.KeyHash, Partitions))?.TryExecute(in request, Now, _sink) ?? false;
            _sink.PinNext = false;
            if (!executed)
                return;
            if (_sink.Status == CacheStatus.OutOfMemory)
                Refused++;
            if (request.Operation != CacheOperation.Get || _sink.Status != CacheStatus.Ok)
                return;
            if (_sink.Value.ContainsAnyExcept(MarkOf(number)))
                throw new InvalidOperationException($"key {number} has another's bytes");
            if (_sink.ClientFlags != 0 && _sink.ClientFlags != number)
                throw new InvalidOperationException($"key {number} has another's flags");
            if (_sink.DidPin)
                _pins.Enqueue((_sink.Pinned, number));
        }

        private void Release()
        {
            if (!_pins.TryDequeue(out (PinnedValue Pin, int Number) held))
                return;
            byte[] copy = new byte[held.Pin.Length];
            held.Pin.CopyTo(0, copy);
            held.Pin.Release();
            if (copy.AsSpan().ContainsAnyExcept(MarkOf(held.Number)))
                throw new InvalidOperationException($"the pinned value of key {held.Number} has changed");
        }

        private void OpenOrClose()
        {
            PartitionId id = RandomPartition();
            lock (changes)
            {
                if (!set.Close(id))
                    set.Open(id, 1);
            }
        }

        /// <summary>Out of a partition, and in again: nothing changes by that, unless it is flushed or closed meanwhile.</summary>
        private void Export()
        {
            if (set.TryGet(RandomPartition()) is not { } partition)
                return;
            var cursor = default(ExportCursor);
            var block = new ArrayBufferWriter<byte>();
            partition.Export(ref cursor, block, 20_000, Now);
            if (block.WrittenCount > 0 && partition.Import(block.WrittenSpan, Now, out _) == ImportStatus.Malformed)
                throw new InvalidOperationException("what was exported is malformed");
        }

        private PartitionId RandomPartition() => new(random.Next(Partitions));

        private static byte MarkOf(int number) => (byte)(1 + (number % 251));
    }
}
