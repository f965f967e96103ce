using System.Text;

namespace OrleansCache.Storage.Tests;

public sealed class OperationTests : IDisposable
{
    private readonly StoreHarness _store = new();

    public void Dispose() => _store.Dispose();

    [Fact]
    public void SetThenGetReturnsValueFlagsAndCas()
    {
        Assert.Equal(CacheStatus.Ok, _store.Set("k", "value", flags: 7, expiresAt: StoreHarness.Start + 10));
        ulong cas = _store.Reply.Cas;
        Assert.Equal("value", _store.Get("k"));
        Assert.Equal(7u, _store.Reply.ClientFlags);
        Assert.Equal(StoreHarness.Start + 10, _store.Reply.ExpiresAt);
        Assert.Equal(cas, _store.Reply.Cas);
        Assert.Equal(cas, _store.Store.LastCas);
        Assert.Null(_store.Get("other"));
    }

    [Fact]
    public void GetWithoutReturnValueKnowsTheLengthOnly()
    {
        _store.Set("k", "value");
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "k");
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal(5, _store.Reply.ValueLength);
        Assert.False(_store.Reply.HasValue);
    }

    [Fact]
    public void EmptyValueIsAHit()
    {
        _store.Set("k", "");
        Assert.Equal("", _store.Get("k"));
    }

    [Fact]
    public void EverySetTakesANewCas()
    {
        _store.Set("k", "a");
        ulong first = _store.Reply.Cas;
        _store.Set("k", "b");
        Assert.True(_store.Reply.Cas > first);
        Assert.Equal("b", _store.Get("k"));
        Assert.Equal(1, _store.Store.ItemCount);
    }

    [Theory]
    [InlineData(10, 11)]
    [InlineData(10, 500)]
    [InlineData(9000, 10)]
    [InlineData(10, 9000)]
    [InlineData(100_000, 100_001)]
    public void OverwritingChangesTheSize(int before, int after)
    {
        byte[] second = StoreHarness.Bytes(after, 2);
        _store.Set("k", StoreHarness.Bytes(before));
        Assert.Equal(CacheStatus.Ok, _store.Set("k", second));
        _store.Get("k");
        Assert.Equal(second, _store.Reply.Value.ToArray());
    }

    [Fact]
    public void EveryLengthUpToSomePagesComesBack()
    {
        int[] around = [0, 1, 100, 8000, 8100, 8147, 8148, 8149, 8192, 16000, 16300, 16335, 16336, 16337, 16384, 24000, 32700, 32768, 49000, 65536, 1_000_000];
        foreach (int length in around.SelectMany(a => Enumerable.Range(Math.Max(0, a - 40), 80)))
        {
            byte[] value = StoreHarness.Bytes(length, length);
            Assert.Equal(CacheStatus.Ok, _store.Set("k", value));
            _store.Get("k");
            Assert.True(_store.Reply.Value.SequenceEqual(value), $"length {length}");
        }
    }

    [Fact]
    public void AddStoresOnlyWhatIsAbsent()
    {
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Add, "k", "a"));
        Assert.Equal(CacheStatus.NotStored, _store.Store2(CacheOperation.Add, "k", "b"));
        Assert.Equal("a", _store.Get("k"));
    }

    [Fact]
    public void ReplaceStoresOnlyWhatIsPresent()
    {
        Assert.Equal(CacheStatus.NotStored, _store.Store2(CacheOperation.Replace, "k", "a"));
        _store.Set("k", "a");
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Replace, "k", "b"));
        Assert.Equal("b", _store.Get("k"));
    }

    [Fact]
    public void AppendAndPrependKeepFlagsAndExpiry()
    {
        Assert.Equal(CacheStatus.NotStored, _store.Store2(CacheOperation.Append, "k", "x"));
        Assert.Equal(CacheStatus.NotStored, _store.Store2(CacheOperation.Prepend, "k", "x"));
        _store.Set("k", "mid", flags: 5, expiresAt: StoreHarness.Start + 50);
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Append, "k", "-end"));
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Prepend, "k", "start-"));
        Assert.Equal(13, _store.Reply.ValueLength);
        Assert.Equal("start-mid-end", _store.Get("k"));
        Assert.Equal(5u, _store.Reply.ClientFlags);
        Assert.Equal(StoreHarness.Start + 50, _store.Reply.ExpiresAt);
    }

    [Fact]
    public void AppendGrowsThroughChains()
    {
        byte[] expected = [];
        _store.Set("k", "");
        for (int i = 0; i < 60; i++)
        {
            byte[] part = StoreHarness.Bytes(997 * (i % 7), i);
            bool append = i % 3 != 0;
            CacheRequest request = StoreHarness.Request(append ? CacheOperation.Append : CacheOperation.Prepend, "k"u8, part);
            Assert.Equal(CacheStatus.Ok, _store.Run(in request));
            expected = append ? [.. expected, .. part] : [.. part, .. expected];
            _store.Get("k");
            Assert.True(_store.Reply.Value.SequenceEqual(expected), $"step {i}");
        }
    }

    [Fact]
    public void WhatDoesNotFitTogetherIsNotAppendedAndTheOldValueStays()
    {
        byte[] half = StoreHarness.Bytes(600_000);
        _store.Set("k", half);
        CacheRequest request = StoreHarness.Request(CacheOperation.Append, "k"u8, half);
        Assert.Equal(CacheStatus.NotStored, _store.Run(in request));
        _store.Get("k");
        Assert.True(_store.Reply.Value.SequenceEqual(half));
    }

    [Fact]
    public void AFailedOversizedSetDeletesTheOldValue()
    {
        _store.Set("k", "old");
        Assert.Equal(CacheStatus.TooLarge, _store.Set("k", new byte[1024 * 1024]));
        Assert.Null(_store.Get("k"));
        Assert.Equal(1, _store.Statistics().StoreTooLarge);
    }

    [Theory]
    [InlineData(CacheOperation.Add)]
    [InlineData(CacheOperation.Replace)]
    [InlineData(CacheOperation.Append)]
    public void OtherOversizedStoresLeaveTheOldValue(CacheOperation operation)
    {
        _store.Set("k", "old");
        CacheRequest request = StoreHarness.Request(operation, "k"u8, new byte[1024 * 1024]);
        Assert.Equal(CacheStatus.TooLarge, _store.Run(in request));
        Assert.Equal("old", _store.Get("k"));
    }

    [Fact]
    public void CompareAndSet()
    {
        Assert.Equal(CacheStatus.NotFound, _store.Store2(CacheOperation.Set, "k", "x", RequestFlags.CompareCas, 1));
        _store.Set("k", "a");
        ulong cas = _store.Reply.Cas;
        Assert.Equal(CacheStatus.Exists, _store.Store2(CacheOperation.Set, "k", "x", RequestFlags.CompareCas, cas + 1));
        Assert.Equal(CacheStatus.Exists, _store.Store2(CacheOperation.Set, "k", "x", RequestFlags.CompareCas, 0));
        Assert.Equal("a", _store.Get("k"));
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Set, "k", "b", RequestFlags.CompareCas, cas));
        Assert.Equal("b", _store.Get("k"));
        Assert.Equal(CacheStatus.Exists, _store.Store2(CacheOperation.Set, "k", "c", RequestFlags.CompareCas, cas));
        StoreStatistics statistics = _store.Statistics();
        Assert.Equal((1, 1, 3), (statistics.CasMisses, statistics.CasHits, statistics.CasBadValue));
    }

    [Fact]
    public void WithoutCasNumbersGetsShowsZeroAndCasAnswersExists()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, NoCas = true });
        store.Set("k", "a");
        store.Get("k");
        Assert.Equal(0ul, store.Reply.Cas);
        Assert.Equal(CacheStatus.Exists, store.Store2(CacheOperation.Set, "k", "b", RequestFlags.CompareCas, 0));
        Assert.Equal(CacheStatus.NotFound, store.Store2(CacheOperation.Set, "other", "b", RequestFlags.CompareCas, 5));
        Assert.Equal(CacheStatus.Ok, store.Store2(CacheOperation.Append, "k", "b", RequestFlags.CompareCas, 5));
    }

    [Fact]
    public void DeleteWithAndWithoutCas()
    {
        Assert.Equal(CacheStatus.NotFound, _store.Delete("k"));
        _store.Set("k", "a");
        ulong cas = _store.Reply.Cas;
        CacheRequest request = StoreHarness.Request(CacheOperation.Delete, "k");
        request.Flags = RequestFlags.CompareCas;
        request.CompareCas = cas + 1;
        Assert.Equal(CacheStatus.Exists, _store.Run(in request));
        request.CompareCas = cas;
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Null(_store.Get("k"));
        Assert.Equal(0, _store.Store.ItemCount);
    }

    // Each line was answered like this by memcached 1.6.45.
    [Theory]
    [InlineData("5", 1, 6ul, "6")]
    [InlineData("9", 1, 10ul, "10")]
    [InlineData("99999", 1, 100000ul, "100000")]
    [InlineData(" 8", 1, 9ul, "9 ")]
    [InlineData("\t 8", 1, 9ul, "9  ")]
    [InlineData("+4", 7, 11ul, "11")]
    [InlineData("-0", 7, 7ul, "7 ")]
    [InlineData("5 x", 1, 6ul, "6  ")]
    [InlineData("000000000000000000005", 7, 12ul, "12                   ")]
    [InlineData("-18446744073709551615", 1, 2ul, "2                    ")]
    [InlineData("18446744073709551615", 1, 0ul, "0                   ")]
    [InlineData("18446744073709551614", 1, 18446744073709551615ul, "18446744073709551615")]
    public void Increment(string before, ulong delta, ulong number, string after)
    {
        _store.Set("k", before, flags: 3, expiresAt: StoreHarness.Start + 9);
        ulong cas = _store.Reply.Cas;
        Assert.Equal(CacheStatus.Ok, _store.Increment("k", delta));
        Assert.Equal(number, _store.Reply.Number);
        Assert.True(_store.Reply.Cas > cas);
        Assert.Equal(after, _store.Get("k"));
        Assert.Equal(3u, _store.Reply.ClientFlags);
        Assert.Equal(StoreHarness.Start + 9, _store.Reply.ExpiresAt);
    }

    [Theory]
    [InlineData("10", 1, 9ul, "9 ")]
    [InlineData("10", 11, 0ul, "0 ")]
    [InlineData("100", 1, 99ul, "99 ")]
    public void Decrement(string before, ulong delta, ulong number, string after)
    {
        _store.Set("k", before);
        Assert.Equal(CacheStatus.Ok, _store.Decrement("k", delta));
        Assert.Equal(number, _store.Reply.Number);
        Assert.Equal(after, _store.Get("k"));
    }

    [Theory]
    [InlineData(2_000)]
    [InlineData(5_000)]
    [InlineData(100_000)]
    [InlineData(524_000)]
    public void ALongTextThatBeginsWithANumberIsCountedWhereItLies(int length)
    {
        _store.Set("k", "99 " + new string('x', length - 3));
        Assert.Equal(CacheStatus.Ok, _store.Increment("k", 2));
        Assert.Equal("101".PadRight(length), _store.Get("k"));
        Assert.Equal(CacheStatus.Ok, _store.Decrement("k", 99));
        Assert.Equal("2".PadRight(length), _store.Get("k"));
    }

    [Fact]
    public void WhatIsLargerThanHalfAMebibyteIsNoCounter()
    {
        string value = "99 " + new string('x', Limits.CounterItemBytesMax);
        _store.Set("k", value);
        Assert.Equal(CacheStatus.NotNumeric, _store.Increment("k", 2));
        Assert.Equal(value, _store.Get("k"));
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("x")]
    [InlineData("5x")]
    [InlineData("-5")]
    [InlineData("184467440737095516150")]
    [InlineData("18446744073709551616")]
    public void WhatIsNoNumberIsNotCounted(string value)
    {
        _store.Set("k", value);
        Assert.Equal(CacheStatus.NotNumeric, _store.Increment("k", 1));
        Assert.Equal(CacheStatus.NotNumeric, _store.Decrement("k", 1));
        Assert.Equal(value, _store.Get("k"));
    }

    [Fact]
    public void CountersAreCreatedWhenAsked()
    {
        Assert.Equal(CacheStatus.NotFound, _store.Increment("k", 1));
        CacheRequest request = StoreHarness.Request(CacheOperation.Increment, "k");
        request.Flags = RequestFlags.CreateOnMiss;
        request.Delta = 5;
        request.InitialValue = 41;
        request.CreateExpiresAt = StoreHarness.Start + 3;
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal(41ul, _store.Reply.Number);
        Assert.Equal(ItemFlags.Created, _store.Reply.ItemFlags);
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal(46ul, _store.Reply.Number);
        Assert.Equal(StoreHarness.Start + 3, _store.Reply.ExpiresAt);
    }

    [Fact]
    public void CounterComparesCas()
    {
        _store.Set("k", "1");
        CacheRequest request = StoreHarness.Request(CacheOperation.Increment, "k");
        request.Flags = RequestFlags.CompareCas;
        request.CompareCas = _store.Reply.Cas + 1;
        request.Delta = 1;
        Assert.Equal(CacheStatus.Exists, _store.Run(in request));
        request.CompareCas--;
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
    }

    // As memcached does; and whether the value lies in one chunk or in several must not show.
    [Theory]
    [InlineData(10)]
    [InlineData(100_000)]
    public void CounterComparesCasBeforeItLooksAtTheValue(int length)
    {
        _store.Set("k", new string('x', length));
        CacheRequest request = StoreHarness.Request(CacheOperation.Increment, "k");
        request.Flags = RequestFlags.CompareCas;
        request.CompareCas = _store.Reply.Cas + 1;
        Assert.Equal(CacheStatus.Exists, _store.Run(in request));
        request.CompareCas--;
        Assert.Equal(CacheStatus.NotNumeric, _store.Run(in request));
    }

    [Fact]
    public void TouchAndGetAndTouch()
    {
        CacheRequest touch = StoreHarness.Request(CacheOperation.Touch, "k");
        touch.ExpiresAt = StoreHarness.Start + 100;
        Assert.Equal(CacheStatus.NotFound, _store.Run(in touch));
        _store.Set("k", "v", expiresAt: StoreHarness.Start + 5);
        ulong cas = _store.Reply.Cas;
        Assert.Equal(CacheStatus.Ok, _store.Run(in touch));
        _store.Now += 50;
        Assert.Equal("v", _store.Get("k"));
        Assert.Equal(cas, _store.Reply.Cas);
        CacheRequest gat = StoreHarness.Request(CacheOperation.Get, "k");
        gat.Flags = RequestFlags.ReturnValue | RequestFlags.Touch;
        gat.ExpiresAt = StoreHarness.Start + 200;
        Assert.Equal(CacheStatus.Ok, _store.Run(in gat));
        Assert.Equal(StoreHarness.Start + 200, _store.Reply.ExpiresAt);
        _store.Now = StoreHarness.Start + 200;
        Assert.Null(_store.Get("k"));
    }

    [Fact]
    public void ItemsExpireOnAccess()
    {
        _store.Set("a", "v", expiresAt: StoreHarness.Start + 1);
        _store.Set("b", "v", expiresAt: Expiry.Immediately);
        Assert.Null(_store.Get("b"));
        Assert.Equal("v", _store.Get("a"));
        _store.Now++;
        Assert.Null(_store.Get("a"));
        Assert.Equal(0, _store.Store.ItemCount);
        Assert.Equal(2, _store.Statistics().GetExpired);
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Add, "a", "again"));
    }

    [Fact]
    public void ExpiredItemsGiveTheirMemoryBackUnasked()
    {
        for (int i = 0; i < 20_000; i++)
            _store.Set($"key{i}", "value", expiresAt: StoreHarness.Start + 10);
        int free = _store.Arena.FreePageCount;
        _store.Now += 10;
        int reclaimed = 0;
        for (int step = 0; reclaimed < 20_000 && step < 1000; step++)
            reclaimed += _store.Store.Reclaim(_store.Now, 16);
        Assert.Equal(20_000, reclaimed);
        Assert.Equal(0, _store.Store.ItemCount);
        Assert.True(_store.Arena.FreePageCount > free + 20, $"{free} pages before, {_store.Arena.FreePageCount} after");
        Assert.Equal(20_000, _store.Statistics().ExpiredUnfetched);
    }

    [Fact]
    public void FlushDropsWhatWasStoredAndNothingAfter()
    {
        for (int i = 0; i < 1000; i++)
            _store.Set($"a{i}", new string('x', i * 10));
        ulong cas = _store.Store.LastCas;
        _store.Store.FlushAll(0, _store.Now);
        Assert.Equal(0, _store.Store.ItemCount);
        _store.CheckIntegrity();
        _store.Settle();
        Assert.Equal(_store.Arena.PageCount, _store.Arena.FreePageCount);
        _store.Set("b", "after");
        Assert.True(_store.Reply.Cas > cas);
        Assert.Null(_store.Get("a1"));
        Assert.Equal("after", _store.Get("b"));
    }

    [Fact]
    public void AScheduledFlushKillsWhatIsStoredUntilItFires()
    {
        _store.Set("a", "before");
        _store.Store.FlushAll(_store.Now + 5, _store.Now);
        _store.Now += 4;
        _store.Set("b", "waiting");
        Assert.Equal("before", _store.Get("a"));
        _store.Now++;
        Assert.Null(_store.Get("a"));
        Assert.Null(_store.Get("b"));
        _store.Set("c", "after");
        _store.Now += 100;
        Assert.Equal("after", _store.Get("c"));
    }

    [Fact]
    public void AFlushNowReplacesAScheduledOne()
    {
        _store.Store.FlushAll(_store.Now + 5, _store.Now);
        _store.Store.FlushAll(0, _store.Now);
        _store.Set("a", "v");
        _store.Now += 10;
        Assert.Equal("v", _store.Get("a"));
    }

    [Fact]
    public void AScheduledFlushThatIsDueIsNotReplaced()
    {
        _store.Set("a", "v");
        _store.Store.FlushAll(_store.Now + 5, _store.Now);
        _store.Now += 6;
        _store.Store.FlushAll(_store.Now + 100, _store.Now);
        Assert.Null(_store.Get("a"));
    }

    // ---- what the meta commands ask for ----

    [Fact]
    public void VivifyGivesOneWinnerUntilTheValueIsSet()
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "k");
        request.Flags = RequestFlags.ReturnValue | RequestFlags.CreateOnMiss | RequestFlags.TakeToken;
        request.CreateExpiresAt = StoreHarness.Start + 30;
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal(ItemFlags.Won | ItemFlags.Created, _store.Reply.ItemFlags & (ItemFlags.Won | ItemFlags.Created));
        Assert.Equal(StoreHarness.Start + 30, _store.Reply.ExpiresAt);
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal(ItemFlags.AlreadyWon, _store.Reply.ItemFlags & (ItemFlags.Won | ItemFlags.AlreadyWon));
        Assert.Equal("", _store.Get("k"));
        _store.Set("k", "v");
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal(ItemFlags.None, _store.Reply.ItemFlags & (ItemFlags.Won | ItemFlags.AlreadyWon));
    }

    [Fact]
    public void InvalidatedItemsAreStaleAndHandOutOneToken()
    {
        _store.Set("k", "v", flags: 4);
        ulong cas = _store.Reply.Cas;
        CacheRequest invalidate = StoreHarness.Request(CacheOperation.Delete, "k");
        invalidate.Flags = RequestFlags.Invalidate | RequestFlags.Touch;
        invalidate.ExpiresAt = StoreHarness.Start + 30;
        Assert.Equal(CacheStatus.Ok, _store.Run(in invalidate));
        Assert.True(_store.Reply.Cas > cas);
        Assert.Equal("v", _store.Get("k"));
        Assert.Equal("v", _store.Get("k", RequestFlags.TakeToken));
        Assert.Equal(ItemFlags.Stale | ItemFlags.Won, _store.Reply.ItemFlags & (ItemFlags.Stale | ItemFlags.Won | ItemFlags.AlreadyWon));
        Assert.Equal("v", _store.Get("k", RequestFlags.TakeToken));
        Assert.Equal(ItemFlags.Stale | ItemFlags.AlreadyWon, _store.Reply.ItemFlags & (ItemFlags.Stale | ItemFlags.Won | ItemFlags.AlreadyWon));

        // The winner saw an old CAS: it may store, the item stays stale.
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Set, "k", "new", RequestFlags.CompareCas | RequestFlags.Invalidate, cas));
        Assert.Equal("new", _store.Get("k", RequestFlags.TakeToken));
        Assert.Equal(ItemFlags.Stale | ItemFlags.AlreadyWon, _store.Reply.ItemFlags & (ItemFlags.Stale | ItemFlags.Won | ItemFlags.AlreadyWon));
        Assert.Equal(StoreHarness.Start + 30, _store.Reply.ExpiresAt);
        Assert.Equal(CacheStatus.Exists, _store.Store2(CacheOperation.Set, "k", "x", RequestFlags.CompareCas | RequestFlags.Invalidate, ulong.MaxValue));
    }

    [Fact]
    public void RecacheHandsATokenOutShortlyBeforeExpiry()
    {
        _store.Set("k", "v", expiresAt: StoreHarness.Start + 100);
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "k");
        request.Flags = RequestFlags.Recache;
        request.RecacheBefore = StoreHarness.Start + 30;
        _store.Run(in request);
        Assert.Equal(ItemFlags.None, _store.Reply.ItemFlags & ItemFlags.Won);
        _store.Now += 80;
        request.RecacheBefore = _store.Now + 30;
        _store.Run(in request);
        Assert.Equal(ItemFlags.Won, _store.Reply.ItemFlags & ItemFlags.Won);
        _store.Run(in request);
        Assert.Equal(ItemFlags.AlreadyWon, _store.Reply.ItemFlags & (ItemFlags.Won | ItemFlags.AlreadyWon));
    }

    /// <summary>Meta: T, t and R take effect in the order of the line, so a request can ask for what held before its own touch.</summary>
    [Fact]
    public void TouchCanShowAndJudgeTheFormerExpiry()
    {
        _store.Set("k", "v", expiresAt: StoreHarness.Start + 100);
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "k");
        request.Flags = RequestFlags.Touch | RequestFlags.Recache | RequestFlags.TakeToken | RequestFlags.FormerExpiry;
        request.ExpiresAt = StoreHarness.Start + 50;
        request.RecacheBefore = StoreHarness.Start + 60;
        request.Flags |= RequestFlags.RecacheBeforeTouch;
        _store.Run(in request);
        Assert.Equal(StoreHarness.Start + 100, _store.Reply.ExpiresAt);
        Assert.Equal(ItemFlags.None, _store.Reply.ItemFlags & ItemFlags.Won);
        request.Flags &= ~(RequestFlags.RecacheBeforeTouch | RequestFlags.FormerExpiry);
        _store.Run(in request);
        Assert.Equal(StoreHarness.Start + 50, _store.Reply.ExpiresAt);
        Assert.Equal(ItemFlags.Won, _store.Reply.ItemFlags & ItemFlags.Won);

        _store.Set("n", "5", expiresAt: StoreHarness.Start + 100);
        CacheRequest count = StoreHarness.Request(CacheOperation.Increment, "n");
        count.Flags = RequestFlags.Touch | RequestFlags.FormerExpiry;
        count.ExpiresAt = StoreHarness.Start + 50;
        _store.Run(in count);
        Assert.Equal(StoreHarness.Start + 100, _store.Reply.ExpiresAt);
        count.Flags = RequestFlags.Touch;
        _store.Run(in count);
        Assert.Equal(StoreHarness.Start + 50, _store.Reply.ExpiresAt);
    }

    [Fact]
    public void CreatedItemCountsAsReadUnlessThatIsToLeaveNoTrace()
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "k");
        request.Flags = RequestFlags.CreateOnMiss | RequestFlags.TakeToken;
        _store.Run(in request);
        Assert.Equal(ItemFlags.Won | ItemFlags.Created, _store.Reply.ItemFlags);
        _store.Get("k");
        Assert.Equal(ItemFlags.Fetched, _store.Reply.ItemFlags & ItemFlags.Fetched);

        request = StoreHarness.Request(CacheOperation.Get, "other");
        request.Flags = RequestFlags.CreateOnMiss | RequestFlags.TakeToken | RequestFlags.Peek;
        _store.Run(in request);
        _store.Get("other");
        Assert.Equal(ItemFlags.None, _store.Reply.ItemFlags & ItemFlags.Fetched);
    }

    [Fact]
    public void BinaryKeyIsRememberedUntilTheItemIsStoredWithoutIt()
    {
        Assert.Equal(CacheStatus.Ok, _store.Store2(CacheOperation.Set, "k", "1", RequestFlags.BinaryKey));
        _store.Get("k");
        Assert.Equal(ItemFlags.BinaryKey, _store.Reply.ItemFlags & ItemFlags.BinaryKey);
        _store.Increment("k", 1);
        _store.Get("k");
        Assert.Equal(ItemFlags.BinaryKey, _store.Reply.ItemFlags & ItemFlags.BinaryKey);
        _store.Store2(CacheOperation.Append, "k", "1", RequestFlags.BinaryKey);
        _store.Get("k");
        Assert.Equal(ItemFlags.None, _store.Reply.ItemFlags & ItemFlags.BinaryKey);
        _store.Store2(CacheOperation.Add, "other", new string('v', 30_000), RequestFlags.BinaryKey);
        _store.Get("other");
        Assert.Equal(ItemFlags.BinaryKey, _store.Reply.ItemFlags & ItemFlags.BinaryKey);
        _store.Set("other", "x");
        _store.Get("other");
        Assert.Equal(ItemFlags.None, _store.Reply.ItemFlags & ItemFlags.BinaryKey);
    }

    [Fact]
    public void ReadsOfTheMetaProtocolAreCountedAsInMemcached()
    {
        _store.Set("k", "v");
        foreach (string key in new[] { "k", "none" })
        {
            foreach (RequestFlags flags in new[] { RequestFlags.TakeToken, RequestFlags.TakeToken | RequestFlags.Peek,
                RequestFlags.TakeToken | RequestFlags.Touch, RequestFlags.Peek })
                _store.Get(key, flags);
        }

        StoreStatistics s = _store.Statistics();
        Assert.Equal((5, 2, 3), (s.CmdGet, s.GetHits, s.GetMisses));
        Assert.Equal((1, 1, 0), (s.CmdTouch, s.TouchHits, s.TouchMisses));
    }

    [Fact]
    public void DropValueKeepsKeyAndCas()
    {
        _store.Set("k", StoreHarness.Bytes(20_000));
        ulong cas = _store.Reply.Cas;
        CacheRequest request = StoreHarness.Request(CacheOperation.Delete, "k");
        request.Flags = RequestFlags.DropValue;
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal("", _store.Get("k"));
        Assert.Equal(cas, _store.Reply.Cas);
    }

    [Fact]
    public void ExplicitCasIsTaken()
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "k", "v");
        request.Flags = RequestFlags.ExplicitCas;
        request.NewCas = 4711;
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        _store.Get("k");
        Assert.Equal(4711ul, _store.Reply.Cas);
    }

    [Fact]
    public void GetWithAMatchingCasLeavesTheValueOut()
    {
        _store.Set("k", "v");
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "k");
        request.Flags = RequestFlags.ReturnValue | RequestFlags.CompareCas;
        request.CompareCas = _store.Reply.Cas;
        _store.Run(in request);
        Assert.False(_store.Reply.HasValue);
        request.CompareCas++;
        _store.Run(in request);
        Assert.Equal("v", _store.Reply.Text);
    }

    [Fact]
    public void PeekLeavesNoTrace()
    {
        _store.Set("k", "v");
        _store.Now += 10;
        _store.Get("k", RequestFlags.Peek);
        _store.Get("k", RequestFlags.Peek);
        Assert.Equal(ItemFlags.None, _store.Reply.ItemFlags);
        Assert.Equal(StoreHarness.Start, _store.Reply.LastAccess);
        _store.Get("k");
        _store.Get("k");
        Assert.Equal(ItemFlags.Fetched, _store.Reply.ItemFlags);
        Assert.Equal(_store.Now, _store.Reply.LastAccess);
    }

    [Fact]
    public void AppendCreatesWhenAsked()
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Append, "k", "v");
        request.Flags = RequestFlags.CreateOnMiss;
        request.CreateExpiresAt = StoreHarness.Start + 7;
        Assert.Equal(CacheStatus.Ok, _store.Run(in request));
        Assert.Equal("v", _store.Get("k"));
        Assert.Equal(StoreHarness.Start + 7, _store.Reply.ExpiresAt);
    }

    [Fact]
    public void StatisticsCountAsMemcachedDoes()
    {
        _store.Set("a", "5");
        _store.Get("a");
        _store.Get("zz");
        CacheRequest gat = StoreHarness.Request(CacheOperation.Get, "a");
        gat.Flags = RequestFlags.Touch;
        _store.Run(in gat);
        CacheRequest gatMiss = StoreHarness.Request(CacheOperation.Get, "zz");
        gatMiss.Flags = RequestFlags.Touch;
        _store.Run(in gatMiss);
        _store.Increment("a", 1);
        _store.Increment("zz", 1);
        _store.Decrement("a", 1);
        _store.Store2(CacheOperation.Add, "a", "x");
        _store.Delete("a");
        _store.Delete("a");
        StoreStatistics s = _store.Statistics(perClass: true);
        Assert.Equal((2, 1, 1), (s.CmdGet, s.GetHits, s.GetMisses));
        Assert.Equal((2, 1, 1), (s.CmdTouch, s.TouchHits, s.TouchMisses));
        Assert.Equal((1, 1, 1, 0), (s.IncrHits, s.IncrMisses, s.DecrHits, s.DecrMisses));
        Assert.Equal((2, 1, 1, 1), (s.CmdSet, s.TotalItems, s.DeleteHits, s.DeleteMisses));
        Assert.Equal((0, 0), (s.CurrItems, s.Bytes));
        Assert.Equal(2, s.Classes.Sum(c => c.CmdSet));
        _store.Store.Shard.ResetStatistics();
        Assert.Equal(0, _store.Statistics().CmdGet);
    }

    [Fact]
    public void PerClassNumbersAddUp()
    {
        for (int i = 0; i < 500; i++)
            _store.Set($"k{i}", new string('v', i * 37));
        StoreStatistics s = _store.Statistics(perClass: true);
        Assert.Equal(500, s.CurrItems);
        Assert.Equal(s.Bytes, s.Classes.Sum(c => c.MemRequested));
        Assert.Equal(s.CurrItems, s.Classes.Sum(c => c.Items));
        Assert.Equal(s.PageBytesUsed - s.HashBytes, s.Classes.Sum(c => c.TotalPages) * _store.Arena.PageBytes);
        foreach (SlabClassStatistics c in s.Classes)
            Assert.Equal(c.TotalPages * c.ChunksPerPage, c.UsedChunks + c.FreeChunks);
    }

    [Fact]
    public void KeysMayHoldAnyBytesAndLengths()
    {
        for (int length = 1; length <= Limits.KeyBytesMax; length++)
        {
            byte[] key = StoreHarness.Bytes(length, length);
            CacheRequest set = StoreHarness.Request(CacheOperation.Set, key, Encoding.ASCII.GetBytes($"v{length}"));
            Assert.Equal(CacheStatus.Ok, _store.Run(in set));
        }

        for (int length = 1; length <= Limits.KeyBytesMax; length++)
        {
            CacheRequest get = StoreHarness.Request(CacheOperation.Get, StoreHarness.Bytes(length, length));
            get.Flags = RequestFlags.ReturnValue;
            Assert.Equal(CacheStatus.Ok, _store.Run(in get));
            Assert.Equal($"v{length}", _store.Reply.Text);
        }
    }

    [Fact]
    public void ARequestForWhatAFlushRemovedIsCountedOnce()
    {
        for (int i = 0; i < 100; i++)
            _store.Set($"k{i}", "v");
        Assert.Null(_store.Get("never"));
        _store.Store.FlushAll(0, _store.Now);
        for (int i = 0; i < 50; i++)
            Assert.Null(_store.Get($"k{i}"));
        _store.Set("k50", "again");
        Assert.Equal(CacheStatus.NotFound, _store.Delete("k51"));
        Assert.Equal((52, 51), (_store.Statistics().GetFlushed, _store.Statistics().GetMisses));
        Assert.Null(_store.Get("k0"));
        Assert.Equal(52, _store.Statistics().GetFlushed);
        _store.Store.FlushAll(_store.Now + 1, _store.Now);
        _store.Now++;
        Assert.Null(_store.Get("k50"));
        Assert.Equal(53, _store.Statistics().GetFlushed);
    }

    [Fact]
    public void AStoreInThePlaceOfAnExpiredOrFlushedItemCountsAsReclaimed()
    {
        using var store = new StoreHarness();
        store.Set("expiring", "1", expiresAt: store.Now + 1);
        store.Set("living", "1");
        store.Now += 2;
        Assert.Equal(0, store.Statistics().Reclaimed);
        store.Set("expiring", "2");
        store.Set("living", "2");
        store.Set("new", "1");
        Assert.Equal(1, store.Statistics().Reclaimed);

        store.Run(StoreHarness.Request(CacheOperation.Delete, "new"));
        store.Store.FlushAll(0, store.Now);
        store.Set("living", "3");
        Assert.Equal(2, store.Statistics().Reclaimed);
        store.Set("living", "4");
        store.Get("expiring");
        store.Set("expiring", "3");
        Assert.Equal(2, store.Statistics().Reclaimed);
        store.CheckIntegrity();
    }
}
