using System.Diagnostics;
using System.Text;

namespace OrleansCache.Storage.Tests.Restart;

/// <summary>
/// Stores over a memory file: closed and opened again, and opened from a copy made while they were in use, which is what a killed process leaves.
/// </summary>
public sealed class MemoryFileTests : IDisposable
{
    private const long MiB = 1024 * 1024;
    private static readonly TimeSpan s_minute = TimeSpan.FromMinutes(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;
    private readonly RecordingSink _reply = new();
    private uint _now = StoreHarness.Start;

    private string FilePath => Path.Combine(_folder, "memory");

    private StoreOptions Options => new() { MemoryBytes = 16 * MiB, PartitionCount = 8, ShardCount = 2, MemoryFilePath = FilePath };

    [Fact]
    public void WhatWasStoredIsThereAfterACleanStop()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var model = new Dictionary<string, byte[]>();
        using (PartitionSet set = Open(Options, out MemoryFileReport? none))
        {
            Assert.Null(none);
            for (int i = 0; i < 3000; i++)
            {
                string key = $"key{random.Next(2000)}";
                byte[] value = StoreHarness.Bytes(random.Next(50) == 0 ? random.Next(200_000) : random.Next(900), i);
                Assert.Equal(CacheStatus.Ok, Run(set, CacheOperation.Set, key, value, flags: (uint)(i % 3)));
                model[key] = value;
                if (random.Next(10) == 0)
                {
                    key = $"key{random.Next(2000)}";
                    Run(set, CacheOperation.Delete, key);
                    model.Remove(key);
                }
            }

            foreach (string key in model.Keys.ToArray())
            {
                if (Get(set, key) is null)
                    model.Remove(key); // evicted
            }
        }

        using PartitionSet again = Open(Options, out MemoryFileReport? report);
        again.CheckIntegrity();
        Assert.True(report is { Damaged: 0, IsComplete: true }, $"seed {seed}: {report}");
        Assert.Equal(model.Count, report.Items);
        foreach ((string key, byte[] value) in model)
            Assert.True(Get(again, key).AsSpan().SequenceEqual(value), $"seed {seed}: {key}");
        Assert.Equal(model.Count, again.ReadStatistics(_now, false).CurrItems);
    }

    [Fact]
    public void AKilledProcessLeavesEverythingThatWasAnswered()
    {
        PartitionSet set = Open(Options, out _);
        for (int i = 0; i < 2000; i++)
            Run(set, CacheOperation.Set, $"key{i}", Encoding.ASCII.GetBytes($"value{i}"));
        for (int i = 0; i < 100; i++)
            Run(set, CacheOperation.Delete, $"key{i}");
        Run(set, CacheOperation.Set, "n", "41"u8.ToArray());
        Run(set, CacheOperation.Increment, "n", delta: 1);
        Run(set, CacheOperation.Append, "key500", "-more"u8.ToArray());
        ulong cas = _reply.Cas;
        StoreOptions copy = Kill(set);

        using PartitionSet again = Open(copy, out MemoryFileReport? report);
        again.CheckIntegrity();
        Assert.True(report is { Damaged: 0, Items: 1901 }, report?.ToString());
        Assert.Null(Get(again, "key99"));
        Assert.Equal("value100", Text(Get(again, "key100")));
        Assert.Equal("42", Text(Get(again, "n")));
        Assert.Equal("value500-more", Text(Get(again, "key500")));
        Assert.Equal(cas, _reply.Cas);
        Run(again, CacheOperation.Set, "key500", "new"u8.ToArray());
        Assert.True(_reply.Cas > cas + 8, "numbers that may have been given are not given again");
    }

    [Fact]
    public void ExpiryGoesOnOverARestart()
    {
        using (PartitionSet set = Open(Options, out _))
        {
            Run(set, CacheOperation.Set, "short", "v"u8.ToArray(), expiresAt: _now + 10);
            Run(set, CacheOperation.Set, "long", "v"u8.ToArray(), expiresAt: _now + 1000);
            Run(set, CacheOperation.Set, "touched", "v"u8.ToArray(), expiresAt: _now + 10);
            Run(set, CacheOperation.Touch, "touched", expiresAt: _now + 1000);
        }

        _now += 11;
        using PartitionSet again = Open(Options, out MemoryFileReport? report);
        Assert.True(report is { Items: 2, Expired: 1, Damaged: 0 }, report?.ToString());
        Assert.Null(Get(again, "short"));
        Assert.NotNull(Get(again, "touched"));
        _now += 1000;
        Assert.Null(Get(again, "long"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatWasFlushedDoesNotComeBackWhereverTheProcessEnds(bool drained)
    {
        PartitionSet set = Open(Options with { MemoryBytes = 64 * MiB }, out _);
        for (int i = 0; i < 100_000; i++)
            Run(set, CacheOperation.Set, $"old{i}", "v"u8.ToArray());
        var request = StoreHarness.Request(CacheOperation.Set, "explicit", "v");
        request.Flags = RequestFlags.ExplicitCas;
        request.NewCas = ulong.MaxValue - 5;
        Execute(set, request);
        set.FlushAll(0, _now);
        Run(set, CacheOperation.Set, "new", "v"u8.ToArray());
        if (drained)
        {
            while (set.DrainSlice(64))
            {
            }
        }
        else
        {
            Assert.True(set.HasDetached, "the flush is too small to be seen half done");
        }

        using PartitionSet again = Open(Kill(set), out MemoryFileReport? report);
        again.CheckIntegrity();
        Assert.True(report is { Items: 1, Damaged: 0 }, report?.ToString());
        Assert.NotNull(Get(again, "new"));
        Assert.Null(Get(again, "explicit"));
    }

    [Fact]
    public void AScheduledFlushFiresAfterARestart()
    {
        using (PartitionSet set = Open(Options, out _))
        {
            Run(set, CacheOperation.Set, "k", "v"u8.ToArray());
            set.FlushAll(_now + 10, _now);
        }

        using PartitionSet again = Open(Options, out _);
        Assert.NotNull(Get(again, "k"));
        _now += 10;
        Assert.Null(Get(again, "k"));
    }

    [Fact]
    public void AFileOfOtherOptionsBeginsEmptyAndSaysWhy()
    {
        using (PartitionSet set = Open(Options, out _))
            Run(set, CacheOperation.Set, "k", "v"u8.ToArray());
        using PartitionSet again = Open(Options with { MemoryBytes = 32 * MiB }, out MemoryFileReport? report);
        Assert.Null(report);
        Assert.Contains("other options", again.MemoryFileRefusal, StringComparison.Ordinal);
        Assert.Null(Get(again, "k"));
        Run(again, CacheOperation.Set, "k", "v"u8.ToArray());
        again.CheckIntegrity();
    }

    [Fact]
    public void AFileThatIsNotOursIsLeftAsItIs()
    {
        byte[] diary = Encoding.ASCII.GetBytes(new string('d', 10_000));
        File.WriteAllBytes(FilePath, diary);
        MemoryFileException refused = Assert.Throws<MemoryFileException>(() => Open(Options, out _));
        Assert.Contains("is not a memory file", refused.Message, StringComparison.Ordinal);
        Assert.Equal(diary, File.ReadAllBytes(FilePath));
    }

    [Fact]
    public void AFileIsUsedByOneStoreAtATime()
    {
        using PartitionSet set = Open(Options, out _);
        Assert.Throws<MemoryFileException>(() => Open(Options, out _));
    }

    [Fact]
    public void AFileInAFolderThatIsNotThereIsRefused() =>
        Assert.Throws<MemoryFileException>(() => Open(Options with { MemoryFilePath = Path.Combine(_folder, "missing", "memory") }, out _));

    [Fact]
    public void ATruncatedFileBeginsEmpty()
    {
        using (PartitionSet set = Open(Options, out _))
            Run(set, CacheOperation.Set, "k", "v"u8.ToArray());
        using (FileStream file = File.OpenWrite(FilePath))
            file.SetLength(file.Length / 2);
        using PartitionSet again = Open(Options, out _);
        Assert.Contains("cut short", again.MemoryFileRefusal, StringComparison.Ordinal);
        Assert.Null(Get(again, "k"));
        again.CheckIntegrity();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    [InlineData(4000)]
    public void DamagedBytesCostTheItemsThatTheyBelongToAndNothingElse(int damages)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using (PartitionSet set = Open(Options, out _))
        {
            for (int i = 0; i < 5000; i++)
                Run(set, CacheOperation.Set, $"key{i}", ValueOf(i));
        }

        byte[] bytes = File.ReadAllBytes(FilePath);
        for (int i = 0; i < damages; i++)
            bytes[random.Next(4096, bytes.Length)] = (byte)random.Next(256);
        File.WriteAllBytes(FilePath, bytes);

        using PartitionSet again = Open(Options, out MemoryFileReport? report);
        again.CheckIntegrity();
        Assert.NotNull(report);
        int there = 0;
        for (int i = 0; i < 5000; i++)
        {
            if (Get(again, $"key{i}") is not { } value)
                continue;
            there++;
            Assert.True(value.AsSpan().SequenceEqual(ValueOf(i)), $"seed {seed}: key{i} has another value");
        }

        if (damages <= 40)
            Assert.True(there > 0, $"seed {seed}: nothing is left of 5,000 items; {report}");
        for (int i = 0; i < 20_000; i++)
            Assert.Equal(CacheStatus.Ok, Run(again, CacheOperation.Set, $"after{i}", ValueOf(i)));
        again.CheckIntegrity();

        static byte[] ValueOf(int i) => StoreHarness.Bytes(i % 100 == 0 ? 40_000 : i % 500, i);
    }

    [Fact]
    public void ReadingIsBoundedInTime()
    {
        using (PartitionSet set = Open(Options, out _))
        {
            for (int i = 0; i < 5000; i++)
                Run(set, CacheOperation.Set, $"key{i}", new byte[500]);
        }

        using PartitionSet again = OpenPartitions(Options);
        MemoryFileReport report = again.ReadMemoryFile(_now, TimeSpan.Zero)!;
        Assert.True(report is { IsComplete: false, Items: 0 }, report.ToString());
        again.CheckIntegrity();
        Assert.Equal(CacheStatus.Ok, Run(again, CacheOperation.Set, "k", "v"u8.ToArray()));
    }

    [Fact]
    public void APartitionThatWasClosedDoesNotComeBack()
    {
        PartitionSet set = Open(Options, out _);
        for (int i = 0; i < 1000; i++)
            Run(set, CacheOperation.Set, $"key{i}", "v"u8.ToArray());
        long closed = set.TryGet(new PartitionId(3))!.ItemCount;
        set.Close(new PartitionId(3));
        using PartitionSet again = Open(Kill(set), out MemoryFileReport? report);
        Assert.True(closed > 0 && report!.Items == 1000 - closed, report?.ToString());
        again.CheckIntegrity();
    }

    [Fact]
    public void RandomOperationsAndKillsLeaveAStoreThatIsWhole()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        StoreOptions options = Options with { MemoryBytes = 8 * MiB };
        PartitionSet set = Open(options, out _);
        var model = new Dictionary<string, byte[]>();
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < 6000; i++)
            {
                string key = $"key{random.Next(4000)}";
                switch (random.Next(8))
                {
                    case 0:
                        Run(set, CacheOperation.Delete, key);
                        model.Remove(key);
                        break;
                    case 1 when model.Count > 0 && random.Next(400) == 0:
                        set.FlushAll(0, _now);
                        model.Clear();
                        break;
                    case < 5:
                        byte[] value = StoreHarness.Bytes(random.Next(100) == 0 ? random.Next(100_000) : random.Next(2000), random.Next());
                        Assert.Equal(CacheStatus.Ok, Run(set, CacheOperation.Set, key, value));
                        model[key] = value;
                        break;
                    default:
                        Get(set, key);
                        break;
                }
            }

            options = Kill(set);
            set = Open(options, out MemoryFileReport? report);
            Assert.True(report is { Damaged: 0 }, $"seed {seed}, round {round}: {report}");
            set.CheckIntegrity();
            foreach ((string key, byte[] value) in model.ToArray())
            {
                byte[]? there = Get(set, key);
                Assert.True(there is null || there.AsSpan().SequenceEqual(value), $"seed {seed}, round {round}: {key} has another value");
                if (there is null)
                    model.Remove(key); // evicted
            }

            Assert.True(set.ReadStatistics(_now, false).CurrItems == model.Count, $"seed {seed}, round {round}: items that nobody stored");
        }

        set.Dispose();
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private int _kills;

    /// <summary>What the file holds at this moment is what a process that is killed now leaves.</summary>
    private StoreOptions Kill(PartitionSet set)
    {
        string from = set.Options.MemoryFilePath!;
        string copy = Path.Combine(_folder, $"killed{_kills++}");
        using var cp = Process.Start("cp", [from, copy]);
        cp.WaitForExit();
        Assert.Equal(0, cp.ExitCode);
        set.Dispose();
        File.Delete(from);
        return set.Options with { MemoryFilePath = copy };
    }

    private PartitionSet Open(StoreOptions options, out MemoryFileReport? report)
    {
        PartitionSet set = OpenPartitions(options);
        report = set.ReadMemoryFile(_now, s_minute);
        return set;
    }

    private static PartitionSet OpenPartitions(StoreOptions options)
    {
        var set = new PartitionSet(options);
        set.UseHashSeed(set.MemoryFileSeed ?? StoreHarness.HashSeed);
        for (int i = 0; i < set.PartitionCount; i++)
            set.Open(new PartitionId(i), 1);
        return set;
    }

    private CacheStatus Run(PartitionSet set, CacheOperation operation, string key, byte[]? value = null, uint flags = 0, uint expiresAt = 0, ulong delta = 0)
    {
        CacheRequest request = StoreHarness.Request(operation, Encoding.ASCII.GetBytes(key), value);
        request.ClientFlags = flags;
        request.ExpiresAt = expiresAt;
        request.Delta = delta;
        return Execute(set, request);
    }

    private CacheStatus Execute(PartitionSet set, CacheRequest request)
    {
        request.KeyHash = set.Hasher!.Compute(request.Key);
        Assert.True(set.TryGet(PartitionId.OfHash(request.KeyHash, set.PartitionCount))!.TryExecute(in request, _now, _reply));
        return _reply.Status;
    }

    private byte[]? Get(PartitionSet set, string key)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, Encoding.ASCII.GetBytes(key));
        request.Flags = RequestFlags.ReturnValue;
        return Execute(set, request) == CacheStatus.Ok ? _reply.Value.ToArray() : null;
    }

    private static string? Text(byte[]? value) => value is null ? null : Encoding.ASCII.GetString(value);
}
