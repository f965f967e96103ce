using System.Buffers;

namespace OrleansCache.Storage.Tests.Replication;

/// <summary>What an owner logs, and what asks its log.</summary>
public sealed class CaptureTests : IDisposable
{
    private readonly ReplicatedPair _pair = new(new Random(1));

    public void Dispose() => _pair.Dispose();

    private Partition Owner => _pair.Owner;
    private ListEffectLog Log => _pair.Log;

    [Fact]
    public void EachChangeIsOneEffectAndReadsAreNone()
    {
        Expect(CacheOperation.Set, "a", "1", EffectKind.Put);
        Expect(CacheOperation.Get, "a", "");
        Expect(CacheOperation.Get, "a", "", RequestFlags.Touch, EffectKind.Touch);
        Expect(CacheOperation.Touch, "a", "", EffectKind.Touch);
        Expect(CacheOperation.Increment, "a", "", EffectKind.Put);
        Expect(CacheOperation.Append, "a", "x", EffectKind.Put);
        Expect(CacheOperation.Add, "a", "x");
        Expect(CacheOperation.Increment, "a", "");
        Expect(CacheOperation.Set, "a", "y", RequestFlags.CompareCas);
        Expect(CacheOperation.Delete, "a", "", RequestFlags.Invalidate, EffectKind.Touch);
        Expect(CacheOperation.Get, "a", "");
        Expect(CacheOperation.Get, "a", "", RequestFlags.TakeToken, EffectKind.Touch);
        Expect(CacheOperation.Get, "a", "", RequestFlags.TakeToken);
        Expect(CacheOperation.Delete, "a", "", RequestFlags.DropValue, EffectKind.Put);
        Expect(CacheOperation.Delete, "a", "", EffectKind.Remove);
        Expect(CacheOperation.Get, "a", "");
        Expect(CacheOperation.Get, "a", "", RequestFlags.CreateOnMiss, EffectKind.Put);
        Expect(CacheOperation.Replace, "b", "x");
        Expect(CacheOperation.Increment, "b", "", RequestFlags.CreateOnMiss, EffectKind.Put);
    }

    [Fact]
    public void WhatLeavesTheKeyAbsentIsLoggedAlsoIfItWasAbsent()
    {
        Expect(CacheOperation.Delete, "a", "", EffectKind.Remove);
        Expect(CacheOperation.Delete, "a", "", RequestFlags.Invalidate, EffectKind.Remove);
        string tooLarge = new('x', ReplicatedPair.ItemBytesMax);
        Expect(CacheOperation.Set, "a", tooLarge, EffectKind.Remove);
        Expect(CacheOperation.Set, "a", "x", EffectKind.Put);
        Expect(CacheOperation.Set, "a", tooLarge, EffectKind.Remove);
        Expect(CacheOperation.Add, "a", tooLarge);
        Expect(CacheOperation.Set, "a", "x", EffectKind.Put);
        Expect(CacheOperation.Replace, "a", tooLarge);
    }

    [Fact]
    public void WhatIsStoredAsExpiredIsRemoved()
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "a", "x");
        request.ExpiresAt = Expiry.Immediately;
        Expect(in request, EffectKind.Remove);
    }

    [Fact]
    public void ACompareAndSetThatFindsNoMemoryAndTakesTheOldValueIsLogged()
    {
        var options = new StoreOptions { MemoryBytes = 256 * 1024, NoEviction = true };
        using var pair = new ReplicatedPair(new Random(1), options);
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "a", "x");
        Assert.True(pair.Owner.TryExecute(in request, pair.Now, pair.Sink));
        ulong cas = pair.Sink.Cas;
        byte[] value = new byte[200_000];
        request = StoreHarness.Request(CacheOperation.Set, "a"u8, value);
        request.Flags = RequestFlags.CompareCas;
        request.CompareCas = cas;
        Assert.True(pair.Owner.TryExecute(in request, pair.Now, pair.Sink));
        Assert.Equal(CacheStatus.OutOfMemory, pair.Sink.Status);
        Assert.Equal([EffectKind.Put, EffectKind.Remove], pair.Log.KindsFrom(0));
        pair.ShipRest();
        Assert.Equal(0, pair.Replica.ItemCount);
        pair.CheckIntegrity();
    }

    [Fact]
    public void TheDirectWayAsksTheLogAndTheOtherDoesNot()
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "a", "x");
        Log.AnswersNow = false;
        Assert.False(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
        Assert.Equal((1, 0, 0), (Log.Questions, _pair.Sink.Calls, Log.Entries.Count));
        Assert.Equal(0, Owner.ItemCount);
        Assert.True(Owner.TryExecuteLogged(in request, _pair.Now, _pair.Sink, out bool isLogged));
        Assert.True(isLogged);
        Assert.Equal((1, 1, 1), (Log.Questions, _pair.Sink.Calls, Log.Entries.Count));
        request = StoreHarness.Request(CacheOperation.Get, "a");
        Assert.True(Owner.TryExecuteLogged(in request, _pair.Now, _pair.Sink, out isLogged));
        Assert.False(isLogged);
        Assert.Equal(CacheStatus.Ok, _pair.Sink.Status);
        Owner.Seal();
        Assert.False(Owner.TryExecuteLogged(in request, _pair.Now, _pair.Sink, out isLogged));
        Assert.False(isLogged);
    }

    [Fact]
    public void WithoutALogNothingIsLogged()
    {
        Owner.Effects = null;
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "a", "x");
        Assert.True(Owner.TryExecuteLogged(in request, _pair.Now, _pair.Sink, out bool isLogged));
        Owner.FlushAll(0, _pair.Now);
        Assert.False(isLogged);
        Assert.Empty(Log.Entries);
        Assert.Equal(0, Log.Questions);
    }

    [Fact]
    public void FlushesAreLoggedWithTheirTimeAndNumber()
    {
        Owner.FlushAll(_pair.Now + 100, _pair.Now, 5);
        Owner.FlushAll(0, _pair.Now, 6);
        Owner.RescheduleFlush(_pair.Now + 10, 7);
        Owner.RescheduleFlush(_pair.Now + 20);
        _pair.Now += 20;
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "a");
        Assert.True(Owner.TryExecuteLogged(in request, _pair.Now, _pair.Sink, out bool isLogged));
        Assert.True(isLogged);
        Owner.FlushAll(_pair.Now + 1, _pair.Now);
        _pair.Now += 1;
        Assert.Equal(0, Owner.Reclaim(_pair.Now, 0));
        Assert.All(Log.Keys, static key => Assert.Null(key));
        uint start = StoreHarness.Start;
        Assert.Equal(
            [(false, start + 100, 5), (true, 0, 6), (false, start + 10, 7), (false, start + 20, 7), (true, 0, 7), (false, start + 21, 7), (true, 0, 7)],
            Log.Entries.Select(static entry =>
            {
                var reader = new EffectFormat.Reader(entry);
                Assert.True(reader.Read());
                return (reader.Clears, reader.FlushAt, reader.FlushNumber);
            }));
        Assert.Equal(7, Owner.FlushNumber);
    }

    [Fact]
    public void CapturingAllocatesNothing()
    {
        var log = new CountingLog();
        Owner.Effects = log;
        byte[][] keys = [.. Enumerable.Range(0, 500).Select(i => System.Text.Encoding.ASCII.GetBytes($"key{i}"))];
        byte[] value = new byte[40_000];
        Mixed(10_000);
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 3 && least > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Mixed(20_000);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
        Assert.True(log.Count > 10_000, $"{log.Count} effects");

        void Mixed(int count)
        {
            uint random = 1;
            for (int i = 0; i < count; i++)
            {
                random = (random * 1664525) + 1013904223;
                var operation = (CacheOperation)(1 + (i % 10));
                bool extends = operation is CacheOperation.Append or CacheOperation.Prepend;
                CacheRequest request = StoreHarness.Request(
                    operation, keys[(random >> 8) % (uint)keys.Length], value.AsSpan(0, extends ? 10 : i % 97 == 0 ? 40_000 : i % 200));
                Owner.TryExecute(in request, StoreHarness.Start, _pair.Sink);
            }
        }
    }

    private void Expect(CacheOperation operation, string key, string value, params EffectKind[] kinds) => Expect(operation, key, value, 0, kinds);

    private void Expect(CacheOperation operation, string key, string value, RequestFlags flags, params EffectKind[] kinds)
    {
        CacheRequest request = StoreHarness.Request(operation, key, value);
        request.Flags = flags;
        request.Delta = 1;
        Expect(in request, kinds);
    }

    private void Expect(in CacheRequest request, params EffectKind[] kinds)
    {
        int before = Log.Entries.Count;
        Assert.True(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
        Assert.Equal(kinds, Log.KindsFrom(before));
    }

    private sealed class CountingLog : EffectLog, IBufferWriter<byte>
    {
        private readonly byte[] _buffer = new byte[256 * 1024];
        private int _written;

        public int Count { get; private set; }

        public override bool MayAnswerNow(in CacheRequest request) => true;

        public override IBufferWriter<byte> Begin()
        {
            _written = 0;
            return this;
        }

        public override void Commit(ulong keyHash) => Count++;

        public override void CommitFlush() => Count++;

        public void Advance(int count) => _written += count;

        public Memory<byte> GetMemory(int sizeHint = 0) => _buffer.AsMemory(_written);

        public Span<byte> GetSpan(int sizeHint = 0) => _buffer.AsSpan(_written);
    }
}
