using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>Random operations against a dictionary that knows the same rules.</summary>
public class ModelTests
{
    private sealed record Entry(byte[] Value, uint Flags, uint ExpiresAt, ulong Cas);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void WithPlentyOfMemoryTheStoreIsTheModel(int round) => Run(TestSeed.Next() + round, memoryBytes: 256L * 1024 * 1024, mayLose: false, operations: 60_000);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void UnderTightMemoryAHitIsTheModelsValue(int round) => Run(TestSeed.Next() + round, memoryBytes: 2L * 1024 * 1024, mayLose: true, operations: 60_000);

    private static void Run(int seed, long memoryBytes, bool mayLose, int operations)
    {
        var random = new Random(seed);
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = memoryBytes, Seed = (ulong)seed });
        var model = new Dictionary<string, Entry>();
        uint flushAt = uint.MaxValue;
        for (int i = 0; i < operations; i++)
        {
            string where = $"seed {seed}, operation {i}";
            if (random.Next(50) == 0)
                store.Now += (uint)random.Next(1, 4);
            if (random.Next(5000) == 0)
            {
                uint at = random.Next(2) == 0 ? 0 : store.Now + (uint)random.Next(1, 5);
                store.Store.FlushAll(at, store.Now);
                if (at == 0 || store.Now >= flushAt)
                    model.Clear();
                flushAt = at == 0 ? uint.MaxValue : at;
            }

            if (store.Now >= flushAt)
            {
                model.Clear();
                flushAt = uint.MaxValue;
            }

            if (random.Next(20) == 0)
                store.Store.Reclaim(store.Now, 4);
            Step(store, model, random, mayLose, where);
            if (i % 10_000 == 0)
                store.CheckIntegrity();
        }

        store.CheckIntegrity();
        if (!mayLose)
        {
            foreach (string key in model.Keys.ToArray())
            {
                if (Expiry.IsExpired(model[key].ExpiresAt, store.Now))
                    model.Remove(key);
            }

            while (store.Store.Reclaim(store.Now, int.MaxValue) > 0)
            {
            }

            Assert.True(model.Count == store.Store.ItemCount, $"seed {seed}: {model.Count} in the model, {store.Store.ItemCount} in the store");
        }
    }

    private static void Step(StoreHarness store, Dictionary<string, Entry> model, Random random, bool mayLose, string where)
    {
        string key = $"key{Skewed(random, 3000)}";
        model.TryGetValue(key, out Entry? old);
        if (old is not null && Expiry.IsExpired(old.ExpiresAt, store.Now))
        {
            model.Remove(key);
            old = null;
        }

        CacheOperation operation = (CacheOperation)random.Next(1, 11);
        byte[] value = operation == CacheOperation.Set && random.Next(3) == 0 ? Encoding.ASCII.GetBytes(random.Next(1_000_000).ToString()) : RandomValue(random);
        CacheRequest request = StoreHarness.Request(operation, Encoding.ASCII.GetBytes(key), value);
        request.ClientFlags = (uint)random.Next(3);
        request.ExpiresAt = random.Next(3) == 0 ? store.Now + (uint)random.Next(0, 20) : 0;
        request.Delta = (ulong)random.Next(1000);
        if (operation is CacheOperation.Get)
            request.Flags |= RequestFlags.ReturnValue | (random.Next(5) == 0 ? RequestFlags.Touch : 0);
        if (operation is CacheOperation.Set or CacheOperation.Delete && random.Next(4) == 0)
        {
            request.Flags |= RequestFlags.CompareCas;
            request.CompareCas = old is not null && random.Next(2) == 0 ? old.Cas : 12345678;
        }

        CacheStatus status = store.Run(in request);
        Assert.True(status is not (CacheStatus.OutOfMemory or CacheStatus.TooLarge), $"{where}: {operation} of {value.Length} bytes answered {status}");

        // What the model holds and the store has lost is lost: then the model follows, if that may happen here.
        if (mayLose && old is not null && IsMiss(operation, request.Flags, status))
        {
            model.Remove(key);
            old = null;
        }

        (CacheStatus expected, Entry? next) = Apply(operation, in request, old, store.Reply.Cas);
        Assert.True(expected == status, $"{where}: {operation} {key} answered {status}, not {expected}");
        if (status == CacheStatus.Ok && operation == CacheOperation.Get)
        {
            Assert.True(store.Reply.Value.SequenceEqual(old!.Value), $"{where}: wrong value");
            Assert.True((store.Reply.ClientFlags, store.Reply.Cas) == (old.Flags, old.Cas), $"{where}: wrong flags or CAS");
            Assert.True(store.Reply.ExpiresAt == next!.ExpiresAt, $"{where}: wrong expiry");
        }

        if (next is null)
            model.Remove(key);
        else
            model[key] = next;
    }

    private static bool IsMiss(CacheOperation operation, RequestFlags flags, CacheStatus status) => operation switch
    {
        CacheOperation.Get or CacheOperation.Touch or CacheOperation.Delete or CacheOperation.Increment or CacheOperation.Decrement => status == CacheStatus.NotFound,
        CacheOperation.Set => (flags & RequestFlags.CompareCas) == 0 || status == CacheStatus.NotFound,
        CacheOperation.Add => status == CacheStatus.Ok,
        _ => status == CacheStatus.NotStored,
    };

    private static (CacheStatus Status, Entry? Next) Apply(CacheOperation operation, in CacheRequest request, Entry? old, ulong cas)
    {
        byte[] value = request.Value.ToArray();
        bool compares = (request.Flags & RequestFlags.CompareCas) != 0;
        switch (operation)
        {
            case CacheOperation.Get:
                if (old is null)
                    return (CacheStatus.NotFound, null);
                return (CacheStatus.Ok, (request.Flags & RequestFlags.Touch) != 0 ? old with { ExpiresAt = request.ExpiresAt } : old);
            case CacheOperation.Touch:
                return old is null ? (CacheStatus.NotFound, null) : (CacheStatus.Ok, old with { ExpiresAt = request.ExpiresAt });
            case CacheOperation.Set:
                if (compares && old is null)
                    return (CacheStatus.NotFound, null);
                if (compares && old!.Cas != request.CompareCas)
                    return (CacheStatus.Exists, old);
                return (CacheStatus.Ok, new Entry(value, request.ClientFlags, request.ExpiresAt, cas));
            case CacheOperation.Add:
                return old is not null ? (CacheStatus.NotStored, old) : (CacheStatus.Ok, new Entry(value, request.ClientFlags, request.ExpiresAt, cas));
            case CacheOperation.Replace:
                return old is null ? (CacheStatus.NotStored, null) : (CacheStatus.Ok, new Entry(value, request.ClientFlags, request.ExpiresAt, cas));
            case CacheOperation.Append:
            case CacheOperation.Prepend:
                if (old is null)
                    return (CacheStatus.NotStored, null);
                byte[] both = operation == CacheOperation.Append ? [.. old.Value, .. value] : [.. value, .. old.Value];
                return Limits.IsItemTooLarge(request.Key.Length, both.Length, old.Flags, Limits.ItemBytesDefault)
                    ? (CacheStatus.NotStored, old)
                    : (CacheStatus.Ok, old with { Value = both, Cas = cas });
            case CacheOperation.Delete:
                if (old is null)
                    return (CacheStatus.NotFound, null);
                return compares && old.Cas != request.CompareCas ? (CacheStatus.Exists, old) : (CacheStatus.Ok, null);
            default:
                if (old is null)
                    return (CacheStatus.NotFound, null);
                // A shortened number is padded with spaces; what was appended behind them is not looked at.
                if (!ulong.TryParse(Encoding.ASCII.GetString(old.Value).Split(' ')[0], System.Globalization.NumberStyles.None, null, out ulong number))
                    return (CacheStatus.NotNumeric, old);
                number = operation == CacheOperation.Increment ? number + request.Delta : number - Math.Min(number, request.Delta);
                return (CacheStatus.Ok, old with { Value = Encoding.ASCII.GetBytes(number.ToString().PadRight(old.Value.Length)), Cas = cas });
        }
    }

    private static int Skewed(Random random, int count) => (int)(count * Math.Pow(random.NextDouble(), 3));

    /// <summary>No digits, so that the model's reading of numbers may be simple; rarely large.</summary>
    private static byte[] RandomValue(Random random)
    {
        int length = random.Next(100) switch
        {
            0 => random.Next(200_000),
            < 10 => random.Next(20_000),
            _ => random.Next(300),
        };
        byte[] value = new byte[length];
        for (int i = 0; i < length; i++)
            value[i] = (byte)('a' + ((i * 7) + length) % 26);
        return value;
    }
}
