using System.Buffers;
using System.Text;
using OrleansCache.Storage;

namespace OrleansCache.Fuzz.Stores;

/// <summary>
/// Seeded fuzzing of the form in which items travel between silos: right, odd and damaged blocks. Checks that a store takes exactly what
/// <see cref="NaiveExport"/> reads in them, takes nothing of a malformed input, stays whole, and exports the same items again, in blocks of any size.
/// </summary>
internal sealed class ExportFuzzer(int seed)
{
    private const uint Now = 1_000_000_000;
    private const int Partitions = 2;

    private static readonly KeyHasher Hasher = new(StoreWorld.Seed);
    private readonly Random _random = new(seed);

    /// <summary>Makes and checks one input. Returns what is wrong, or null.</summary>
    public string? Step(out byte[] input)
    {
        input = [];
        for (int blocks = _random.Next(4); blocks > 0; blocks--)
        {
            ulong sequence = (ulong)_random.NextInt64(1L << 50);
            uint flush = _random.Next(4) == 0 ? Now + (uint)_random.Next(1, 100) : 0;
            input = [.. input, .. NaiveExport.Write(sequence, flush, Enumerable.Range(0, _random.Next(12)).Select(_ => RandomItem()))];
        }

        if (_random.Next(2) == 0)
            input = InputMutation.Of(input, input, _random);
        return Check(input);
    }

    /// <summary>Checks one input. Returns what is wrong, or null.</summary>
    public static string? Check(byte[] input)
    {
        try
        {
            using var set = new PartitionSet(new StoreOptions { PartitionCount = Partitions, MemoryBytes = 2 << 20, HashSeed = StoreWorld.Seed });
            var id = new PartitionId(0);
            Partition partition = set.Open(id, 1);
            NaiveExport? naive = NaiveExport.Read(input);
            bool isForeign = naive is not null
                && naive.Items.Exists(item => PartitionId.OfHash(Hasher.Compute(Encoding.Latin1.GetBytes(item.Key)), Partitions) != id);
            ImportStatus expected = naive is null || isForeign ? ImportStatus.Malformed : ImportStatus.Ok;
            ImportStatus status = partition.Import(input, Now, out int count);
            set.CheckIntegrity();
            if (status == ImportStatus.OutOfMemory && input.Length > (1 << 20))
                return null;
            if (status != expected)
                return $"{status}, expected {expected}";
            if (status == ImportStatus.Malformed)
                return partition.ItemCount == 0 && partition.LastCas == 0 ? null : $"{partition.ItemCount} items of a malformed input";
            return CompareAfter(set, partition, naive!, count);
        }
        catch (Exception exception)
        {
            return exception.ToString();
        }
    }

    private static string? CompareAfter(PartitionSet set, Partition partition, NaiveExport naive, int count)
    {
        // The later of two items of one key stays only if its CAS is higher.
        var kept = new Dictionary<string, TravelItem>();
        int taken = 0;
        foreach (TravelItem item in naive.Items)
        {
            if (Expiry.IsExpired(item.ExpiresAt, Now))
                continue;
            taken++;
            if (!kept.TryGetValue(item.Key, out TravelItem? old) || old.Cas < item.Cas)
                kept[item.Key] = item;
        }

        if ((count, partition.ItemCount, partition.LastCas) != (taken, kept.Count, naive.Sequence))
            return $"{count} taken over, {partition.ItemCount} here, sequence {partition.LastCas}; expected {taken}, {kept.Count}, {naive.Sequence}";

        // A flush whose time has come takes everything with it.
        bool isFlushed = naive.ScheduledFlush != 0 && naive.ScheduledFlush <= Now;
        if (isFlushed)
            kept.Clear();
        foreach (int bytesMax in (int[])[1, 500, int.MaxValue])
        {
            var output = new ArrayBufferWriter<byte>();
            var cursor = default(ExportCursor);
            while (partition.Export(ref cursor, output, bytesMax, Now))
            {
            }

            NaiveExport? again = NaiveExport.Read(output.WrittenSpan.ToArray());
            if (again is null)
                return $"an export in steps of {bytesMax} bytes is malformed";
            if (again.Items.Count != kept.Count)
                return $"{again.Items.Count} items come out, {kept.Count} went in";
            if (again.ScheduledFlush != (isFlushed ? 0 : naive.ScheduledFlush))
                return $"a flush at {again.ScheduledFlush} comes out, {naive.ScheduledFlush} went in";
            foreach (TravelItem item in again.Items)
            {
                if (!kept.TryGetValue(item.Key, out TravelItem? original))
                    return "an item comes out that never went in";
                if (!item.Value.AsSpan().SequenceEqual(original.Value)
                    || (item.ClientFlags, item.ExpiresAt, item.Cas) != (original.ClientFlags, original.ExpiresAt, original.Cas))
                    return $"an item comes out as another: {item} for {original}";

                // Where it stood in the queues may change on the way, and how often it was read.
                const byte Lasting = 0b1000_1111;
                if ((item.Marks & Lasting) != (original.Marks & Lasting))
                    return $"marks {item.Marks} come out, {original.Marks} went in";
            }
        }

        set.CheckIntegrity();
        return null;
    }

    private TravelItem RandomItem()
    {
        string key;
        do
        {
            key = _random.Next(10) == 0 ? new string((char)_random.Next(33, 256), _random.Next(1, Limits.KeyBytesMax + 1)) : $"key{_random.Next(30)}";
        }
        while (PartitionId.OfHash(Hasher.Compute(Encoding.Latin1.GetBytes(key)), Partitions).Value != 0);

        byte[] value = new byte[_random.Next(20) == 0 ? _random.Next(50_000) : _random.Next(300)];
        _random.NextBytes(value);
        uint expiresAt = _random.Next(4) switch
        {
            0 => Now + (uint)_random.Next(100),
            1 => (uint)_random.NextInt64(1L << 32),
            _ => Expiry.Never,
        };
        return new TravelItem(key, (byte)_random.Next(256), _random.Next(2) == 0 ? 0 : (uint)_random.Next(), expiresAt,
            Now - (uint)_random.Next(1000), (ulong)_random.NextInt64(1L << 40), value);
    }
}
