using System.Globalization;
using System.Text;
using OrleansCache.Storage;

namespace OrleansCache.Fuzz.Stores;

// Clients.
internal sealed partial class StoreWorld
{
    private void Request()
    {
        // A few keys are asked for often.
        Key key = _keys[_choices.OneIn(3) ? _choices.Next(_keys.Length) : _choices.Next(Math.Min(_keys.Length, 80))];
        int partition = key.Partition;
        StoreModel model = _models[partition];
        if (_home[partition] < 0)
            return;
        Side side = _sides[_home[partition]];
        if (!_isSealed[partition])
        {
            model.Visit(Now);
            LookWhetherItIsStillThere(HomeOf(partition), side, model, key);
        }

        model.Items.TryGetValue(key.Text, out ModelItem? item);
        var operation = (CacheOperation)_choices.Pick(1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10);
        CacheRequest request = new()
        {
            Operation = operation,
            Key = key.Bytes,
            KeyHash = key.Hash,
            Flags = FlagsOf(operation),
            ClientFlags = _choices.OneIn(3) ? (uint)_choices.Next(1 << 16) * 65_537 : 0,
            ExpiresAt = RandomExpiry(),
            CreateExpiresAt = RandomExpiry(),
            RecacheBefore = (uint)(Now + _choices.Next(40)),
            CompareCas = item is null || _choices.OneIn(4) ? (ulong)_choices.Next(100_000) : _choices.OneIn(4) ? item.Cas - 1 : item.Cas,
            NewCas = (ulong)_choices.Next(1 << 20),
            Delta = (ulong)(_choices.OneIn(5) ? _choices.Next(int.MaxValue) : _choices.Next(200)),
            InitialValue = (ulong)_choices.Next(1000),
        };
        if (operation is >= CacheOperation.Set and <= CacheOperation.Prepend)
            request.Value = RandomValue(side, key);
        Execute(in request, key, item);
    }

    /// <summary>Many items of one size, so that indexes grow, memory runs short, and a flush is not over at once.</summary>
    private void StoreMany()
    {
        StoreMany(_choices.Next(_keys.Length), _choices.Next(Math.Min(_keys.Length, 4000)), _choices.OneIn(2) ? 1 : _keys.Length - 1,
            _choices.Pick(10, 100, 1000));
    }

    /// <summary>
    /// Flushes that follow each other, with the same keys between them and page moves behind them, while the memory of the first is still coming
    /// back.
    /// </summary>
    private void FlushAgainAndAgain()
    {
        int first = _choices.Next(_keys.Length), count = Math.Min(_keys.Length, 2000 + _choices.Next(8000)), valueBytes = _choices.Pick(10, 100);
        for (int i = 2 + _choices.Next(2); i > 0; i--)
        {
            StoreMany(first, count, i % 2 == 0 ? 1 : _keys.Length - 1, valueBytes);
            foreach (Side side in _sides)
                FlushSide(side, 0);
            for (int slices = _choices.Next(8); slices > 0; slices--)
                _sides[_choices.Next(2)].Set.DrainSlice(1 + _choices.Next(PartitionSet.DrainBucketsMax));
            for (int pages = _choices.Next(10); pages > 0; pages--)
                MovePage();
        }
    }

    private void StoreMany(int at, int count, int step, int valueBytes)
    {
        for (int i = count; i > 0; i--)
        {
            at = (at + step) % _keys.Length;
            Key key = _keys[at];
            if (_home[key.Partition] < 0)
                continue;
            StoreModel model = _models[key.Partition];
            if (!_isSealed[key.Partition])
                model.Visit(Now);
            var request = new CacheRequest { Operation = CacheOperation.Set, Key = key.Bytes, KeyHash = key.Hash, Value = s_noise.AsSpan(at, valueBytes) };
            Execute(in request, key, model.Items.GetValueOrDefault(key.Text));
        }
    }

    private void Execute(in CacheRequest request, Key key, ModelItem? item)
    {
        int partition = key.Partition;
        StoreModel model = _models[partition];
        Side side = _sides[_home[partition]];
        Partition home = HomeOf(partition);
        CacheOperation operation = request.Operation;
        bool pins = operation == CacheOperation.Get && (request.Flags & RequestFlags.ReturnValue) != 0 && _pins.Count < 40 && _choices.OneIn(10);
        _sink.PinNext = pins;
        int calls = _sink.Calls;
        bool executed = home.TryExecute(in request, Now, _sink);
        _sink.PinNext = false;
        Require(executed != _isSealed[partition], "a sealed partition answers, or an open one does not");
        Require(_sink.Calls == calls + (executed ? 1 : 0), $"{_sink.Calls - calls} replies");
        if (!executed)
            return;

        bool isRefused = IsRefused(in request, side, item);
        int? keptLength = _everPinned.Contains(key.Text) ? _sink.ValueLength : null;
        ModelReply expected = model.Apply(in request, key.Text, Now, isRefused, _sink.Cas, keptLength);
        Compare(in request, expected, partition);
        if (model.Items.TryGetValue(key.Text, out ModelItem? now))
        {
            now.LossesSeen = side.Losses;
            now.MayBeGone = false;
            if (expected.GivesCas)
                now.IsExplicitCas = (request.Flags & RequestFlags.ExplicitCas) != 0;
        }

        if (!pins || !_sink.DidPin)
            return;
        _everPinned.Add(key.Text);
        _pins.Hold(_sink.Pinned, expected.Value ?? throw new ModelException("a value that was not asked for is pinned"));
    }

    /// <summary>The model follows what the store had to forget; everything else it remembers.</summary>
    private void LookWhetherItIsStillThere(Partition home, Side side, StoreModel model, Key key)
    {
        if (!model.Items.TryGetValue(key.Text, out ModelItem? item) || Expiry.IsExpired(item.ExpiresAt, Now) || !MayBeGone(item, side))
            return;
        var request = new CacheRequest { Operation = CacheOperation.Get, Flags = RequestFlags.Peek, Key = key.Bytes, KeyHash = key.Hash };
        home.TryExecute(in request, Now, _sink);
        if (_sink.Status == CacheStatus.Ok)
        {
            item.MayBeGone = false;
            item.LossesSeen = side.Losses;
            return;
        }

        if (!item.MayBeGone && !Expiry.IsExpired(item.ExpiresAt, _latestNow))
            side.LostFound++;
        model.Items.Remove(key.Text);
    }

    /// <summary>Whether the store had no memory for the request, and may say so.</summary>
    private bool IsRefused(in CacheRequest request, Side side, ModelItem? item)
    {
        bool isLive = item is not null && !Expiry.IsExpired(item.ExpiresAt, Now);
        bool extends = request.Operation is CacheOperation.Append or CacheOperation.Prepend && isLive;
        bool mayBe = _sink.Status == CacheStatus.OutOfMemory
            || (_sink.Status == CacheStatus.NotStored && extends)
            || (_sink.Status == CacheStatus.NotFound && request.Operation == CacheOperation.Get && !isLive
            && (request.Flags & RequestFlags.CreateOnMiss) != 0);
        if (!mayBe)
            return false;
        long valueBytes = request.Value.Length + (extends ? item!.Value.Length : 0);
        if (extends && Limits.IsItemTooLarge(request.Key.Length, valueBytes, item!.ClientFlags, side.Options.ItemBytesMax))
            return false;

        // With the old value beside the new one, and what readers hold, there must still be room.
        long heldBytes = valueBytes + (isLive ? item!.Value.Length : 0) + Limits.KeyBytesMax + 100;
        bool isAllowed = side.Options.NoEviction || _pins.Count != 0 || heldBytes * 3 > side.Set.Arena.MemoryBytes;
        Require(isAllowed, $"{request.Operation} of {request.Value.Length} bytes was refused ({_sink.Status})");
        return true;
    }

    private void Compare(in CacheRequest request, ModelReply expected, int partition)
    {
        CacheOperation operation = request.Operation;
        Require(_sink.Status == expected.Status, $"{operation} {request.Flags} answers {_sink.Status}, not {expected.Status}");
        if (expected.Status != CacheStatus.Ok
            || (operation == CacheOperation.Delete && (request.Flags & (RequestFlags.Invalidate | RequestFlags.DropValue)) == 0))
            return;
        Require(expected.AreFlagsUnknown || _sink.ItemFlags == expected.ItemFlags,
            $"{operation} {request.Flags} shows {_sink.ItemFlags}, not {expected.ItemFlags}");
        Require(_sink.ClientFlags == expected.ClientFlags, $"{operation} shows flags {_sink.ClientFlags}, not {expected.ClientFlags}");
        Require(_sink.ExpiresAt == expected.ExpiresAt, $"{operation} {request.Flags} shows expiry {_sink.ExpiresAt}, not {expected.ExpiresAt}");
        Require(expected.LastAccess is null || _sink.LastAccess == expected.LastAccess,
            $"{operation} shows access {_sink.LastAccess}, not {expected.LastAccess}, at {Now}");
        Require(_sink.Number == expected.Number, $"{operation} counts {_sink.Number}, not {expected.Number}");
        Require(_sink.ValueLength == expected.ValueLength, $"{operation} shows {_sink.ValueLength} bytes, not {expected.ValueLength}");
        Require(_sink.HasValue == (expected.Value is not null) || expected.Value is { Length: 0 } || _sink.ValueLength == 0,
            $"{operation} {request.Flags} shows a value, or none");
        if (expected.Value is not null)
            Require(_sink.Value.SequenceEqual(expected.Value), $"{operation} shows another value of {expected.Value.Length} bytes");
        if (expected.Cas is { } cas)
        {
            Require(_sink.Cas == cas, $"{operation} {request.Flags} shows CAS {_sink.Cas}, not {cas}");
            return;
        }

        if (_sides[0].Options.NoCas)
        {
            Require(_sink.Cas == 0, "a CAS where there are none");
        }
        else if ((request.Flags & RequestFlags.ExplicitCas) != 0)
        {
            Require(_sink.Cas == request.NewCas, $"{operation} gives CAS {_sink.Cas}, not the one asked for");
        }
        else
        {
            Require(_sink.Cas > _lastCas[partition] && _sink.Cas % (ulong)_models.Length == (ulong)partition,
                $"{operation} gives CAS {_sink.Cas} after {_lastCas[partition]}");
            _lastCas[partition] = _sink.Cas;
        }
    }

    /// <summary>Reads a whole partition: nothing is told that is not there, and whatever must be there is told.</summary>
    private void ScanAll(int partition)
    {
        if (_home[partition] < 0 || _isSealed[partition])
            return;
        Side side = _sides[_home[partition]];
        StoreModel model = _models[partition];
        model.Visit(Now);
        var told = new HashSet<string>();
        for (ulong position = 0; position <= uint.MaxValue;)
        {
            Require(HomeOf(partition).TryScan(position, Now, out ItemScanPage? page), "an open partition cannot be scanned");
            foreach (ItemRecord record in page!.Items)
            {
                string key = Encoding.Latin1.GetString(record.Key);
                Require(told.Add(key), "an item is told twice");
                if (!model.Items.TryGetValue(key, out ModelItem? item))
                    throw new ModelException($"step {Steps}: {key} is told, but was deleted or never stored");
                Require((record.Cas, record.ExpiresAt, record.ClientFlags) == (item.Cas, item.ExpiresAt, item.ClientFlags),
                    $"{key} is told with other numbers");
            }

            if (page.IsLast)
                break;
            position = page.NextPosition;
        }

        // What has expired is still there until somebody asks for it: the clock may go back.
        foreach ((string key, ModelItem item) in model.Items.ToArray())
        {
            if (told.Contains(key) || Expiry.IsExpired(item.ExpiresAt, Now))
                continue;
            Require(MayBeGone(item, side), $"{key} of {item.Value.Length} bytes is not told");
            if (!item.MayBeGone && !Expiry.IsExpired(item.ExpiresAt, _latestNow))
                side.LostFound++;
            model.Items.Remove(key);
        }
    }

    private RequestFlags FlagsOf(CacheOperation operation)
    {
        RequestFlags flags = operation == CacheOperation.Get && !_choices.OneIn(5) ? RequestFlags.ReturnValue : 0;
        if (_choices.OneIn(2))
            return flags;
        RequestFlags[] all = RequestFlagChoices.Of(operation);
        for (int i = 1 + _choices.Next(3); i > 0; i--)
            flags |= all[_choices.Next(all.Length)];
        return flags;
    }

    private uint RandomExpiry() => _choices.Next(6) switch
    {
        0 => (uint)(Now + _choices.Next(30)),
        1 => (uint)(Now + _choices.Next(3000)),
        2 => _choices.Pick<uint>(Expiry.Immediately, uint.MaxValue, (uint)(Now - _choices.Next(10))),
        _ => Expiry.Never,
    };

    /// <summary>Mostly small; often right at the end of a chunk; seldom several pages, or more than may be stored.</summary>
    private ReadOnlySpan<byte> RandomValue(Side side, Key key)
    {
        SlabClasses classes = side.Set.Arena.Classes;
        int pageBytes = classes.PageBytes;
        int length = _choices.Next(100) switch
        {
            < 15 => -1,
            < 55 => _choices.Next(300),
            < 70 => _choices.Next(3000),
            < 85 => LengthAtALimit(side, key),
            < 95 => _choices.Next(2 * pageBytes),
            < 98 => _choices.Next(6 * pageBytes),
            98 => side.Options.ItemBytesMax - 70 - key.Bytes.Length + _choices.Next(30),
            _ => (int)Math.Min(side.Options.MemoryBytes / 10 * (1 + _choices.Next(10)), 1 << 20),
        };
        if (length < 0)
            return Encoding.ASCII.GetBytes(((ulong)_choices.Next(1 << 24) * (ulong)_choices.Pick(0, 1, 1000, 1 << 30)).ToString(CultureInfo.InvariantCulture));
        return s_noise.AsSpan(_choices.Next(1 << 16), Math.Min(length, s_noise.Length - (1 << 16)));
    }

    private int LengthAtALimit(Side side, Key key)
    {
        SlabClasses classes = side.Set.Arena.Classes;
        int chunkBytes = classes.ChunkBytes(_choices.Next(classes.Count));
        int head = side.Set.Arena.Space.FixedBytes + key.Bytes.Length;
        int length = _choices.Next(4) switch
        {
            0 => chunkBytes - head,
            1 => chunkBytes - head - ItemHeader.FlagsBytes,
            2 => chunkBytes - head - ItemHeader.ChainBytes,
            _ => _choices.Pick(classes.SplitBytesMax, classes.PageBytes, (2 * classes.PageBytes) - ContinuationHeader.Bytes) - head - ItemHeader.ChainBytes
                + chunkBytes - ContinuationHeader.Bytes,
        };
        return Math.Max(0, length + _choices.Next(3) - 1);
    }

    private void Require(bool condition, string what)
    {
        if (!condition)
            throw new ModelException($"step {Steps}: {what}");
    }
}
