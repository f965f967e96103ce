using System.Buffers.Binary;
using System.Text;
using OrleansCache.Storage;

namespace OrleansCache.Fuzz.Stores;

/// <summary>
/// Seeded fuzzing of the memory file (-e): the file of a small store, with some of its bytes changed. Whatever they are, the store that opens it
/// either refuses it and begins empty, or is whole; and an item that is there is the one that was stored.
/// </summary>
internal sealed class MemoryFileFuzzer : IDisposable
{
    private const uint Now = 1_000_000_000;
    private const int Partitions = 3;
    private const int HeadBytes = 4096;

    private readonly Random _random;
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-fuzz-").FullName;
    private readonly byte[] _original;
    private readonly int _usedBytes;

    public MemoryFileFuzzer(int seed)
    {
        _random = new Random(seed);
        using (PartitionSet set = Open())
        {
            for (int i = 0; i < 150; i++)
                Run(set, CacheOperation.Set, i, Value(i));
            for (int i = 0; i < 150; i += 3)
                Run(set, CacheOperation.Get, i, []);
            for (int i = 0; i < 150; i += 7)
                Run(set, CacheOperation.Delete, i, []);
        }

        _original = File.ReadAllBytes(FilePath);
        _usedBytes = _original.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
    }

    private string FilePath => Path.Combine(_folder, "memory");

    /// <summary>Makes and checks one file; the input is what of it differs: place and byte, 5 bytes each.</summary>
    public string? Step(out byte[] input)
    {
        input = new byte[5 * (1 + _random.Next(12))];
        for (int i = 0; i < input.Length; i += 5)
        {
            int at = _random.Next(4) == 0 ? HeadBytes + _random.Next(2048) : _random.Next(20) == 0 ? _random.Next(HeadBytes) : _random.Next(_usedBytes);
            BinaryPrimitives.WriteInt32LittleEndian(input.AsSpan(i), at);
            input[i + 4] = _random.Next(2) == 0 ? (byte)_random.Next(256) : (byte)(_original[at] ^ (1 << _random.Next(8)));
        }

        return Check(input);
    }

    /// <summary>Checks the file with these changes. Returns what is wrong, or null.</summary>
    public string? Check(byte[] input)
    {
        byte[] file = [.. _original];
        for (int i = 0; i + 5 <= input.Length; i += 5)
        {
            int at = (int)(BinaryPrimitives.ReadUInt32LittleEndian(input.AsSpan(i)) % (uint)file.Length);
            file[at] = input[i + 4];
        }

        try
        {
            File.WriteAllBytes(FilePath, file);
            using PartitionSet set = Open();
            set.CheckIntegrity();
            if (set.MemoryFileSeed is { } seed && seed != StoreWorld.Seed)
                return "the seed of the key hash has changed, and nobody has noticed";
            for (int i = 0; i < 150; i++)
            {
                if (Run(set, CacheOperation.Get, i, []) == CacheStatus.Ok && !_sink.Value.SequenceEqual(Value(i)))
                    return $"item {i} has other bytes";
            }

            for (int i = 0; i < 300; i++)
                Run(set, CacheOperation.Set, _random.Next(1000), Value(i));
            set.CheckIntegrity();
            return null;
        }
        catch (MemoryFileException)
        {
            return null; // not taken for one of ours
        }
        catch (Exception exception)
        {
            return exception.ToString();
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private readonly RecordingSink _sink = new();

    private PartitionSet Open()
    {
        var set = new PartitionSet(new StoreOptions { PartitionCount = Partitions, ShardCount = 2, MemoryBytes = 300_000, MemoryFilePath = FilePath });
        set.UseHashSeed(set.MemoryFileSeed ?? StoreWorld.Seed);
        for (int i = 0; i < Partitions; i++)
            set.Open(new PartitionId(i), 1);
        set.ReadMemoryFile(Now, TimeSpan.FromMinutes(1));
        return set;
    }

    private CacheStatus Run(PartitionSet set, CacheOperation operation, int number, byte[] value)
    {
        byte[] key = Encoding.ASCII.GetBytes($"key{number}");
        var request = new CacheRequest
        {
            Operation = operation, Key = key, KeyHash = set.Hasher!.Compute(key), Value = value,
            Flags = operation == CacheOperation.Get ? RequestFlags.ReturnValue : 0,
            ClientFlags = (uint)(number % 3),
        };
        set.TryGet(PartitionId.OfHash(request.KeyHash, Partitions))!.TryExecute(in request, Now, _sink);
        return _sink.Status;
    }

    private static byte[] Value(int number)
    {
        byte[] value = new byte[number % 10 == 0 ? 5000 + (number * 20) : number * 3];
        new Random(number).NextBytes(value);
        return value;
    }
}
