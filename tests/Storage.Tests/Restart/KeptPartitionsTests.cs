using System.Text;

namespace OrleansCache.Storage.Tests.Restart;

/// <summary>What a silo's memory file says of its former life: which partitions it served, in which epochs, and how old that is.</summary>
public sealed class KeptPartitionsTests : IDisposable
{
    private static readonly TimeSpan s_minute = TimeSpan.FromMinutes(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;
    private readonly RecordingSink _reply = new();
    private readonly uint _now = (uint)DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    private StoreOptions Options => new()
    {
        MemoryBytes = 16 << 20, PartitionCount = 8, ShardCount = 2, MemoryFilePath = Path.Combine(_folder, "memory"), MemoryFileAgeMax = s_minute,
    };

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void OnlyWhatWasServedAndNotHandedOverIsKept()
    {
        using (PartitionSet set = Begin())
        {
            set.Open(new PartitionId(0), 10);
            set.Open(new PartitionId(1), 11);
            set.Open(new PartitionId(2), 12, PartitionState.Sealed);
            set.Open(new PartitionId(3), 13, PartitionState.Sealed).Activate(14);
            set.Open(new PartitionId(4), 15);
            set.Open(new PartitionId(5), 16);
            Fill(set);
            set.TryGet(new PartitionId(0))!.Renew(20);
            set.TryGet(new PartitionId(1))!.Seal();
            set.TryGet(new PartitionId(4))!.Seal();
            set.TryGet(new PartitionId(4))!.BecomeReplica(20, position: 3);
            set.Close(new PartitionId(5));
            set.NoteTable(7, [20, 11, 12, 14, 30, 16, 17, 0]);
            set.NoteSiloCount(3);
        }

        using PartitionSet again = new(Options);
        MemoryFileReport? report = again.ReadKept(_now, s_minute);
        MemoryFileContent kept = again.Kept!;
        Assert.Equal([20, 11, 0, 14, 0, 0, 0, 0], kept.Epochs);
        Assert.Equal([20, 11, 12, 14, 30, 16, 17, 0], kept.KnownEpochs);
        Assert.Equal((StoreHarness.HashSeed, 3, 7L, _now), (kept.Seed, kept.SiloCount, kept.TableTerm, kept.LastSeen));
        Assert.True(report is { Damaged: 0 }, report?.ToString());
        Assert.All([0, 1, 3], partition => Assert.Equal(PartitionState.Sealed, again.TryGet(new PartitionId(partition))!.State));
        Assert.Equal(report!.Items, new[] { 0, 1, 3 }.Sum(partition => again.TryGet(new PartitionId(partition))!.ItemCount));
        Assert.True(again.TryGet(new PartitionId(0))!.ItemCount > 0);
        Assert.Null(again.TryGet(new PartitionId(2)));
        again.CheckIntegrity();
    }

    [Fact]
    public void AStartThatFailsLeavesTheFileAsItWas()
    {
        using (PartitionSet set = Begin())
        {
            set.Open(new PartitionId(0), 10);
            Fill(set);
        }

        long items = 0;
        for (int start = 0; start < 3; start++)
        {
            using PartitionSet again = new(Options);
            items = again.ReadKept(_now, s_minute)!.Items;
            Assert.Equal((10, _now), (again.Kept!.Epochs[0], again.Kept.LastSeen));
        }

        Assert.True(items > 0);
    }

    [Fact]
    public void UnderAnotherSeedEverythingIsForgottenAndTheFileServesOn()
    {
        using (PartitionSet set = Begin())
        {
            set.Open(new PartitionId(0), 10);
            Fill(set);
        }

        HashSeed other = new(8, 9);
        long stored;
        using (PartitionSet again = new(Options))
        {
            again.ReadKept(_now, s_minute);
            again.Close(new PartitionId(0));
            again.UseHashSeed(other);
            again.Open(new PartitionId(1), 5);
            Fill(again);
            again.NoteServing(_now);
            stored = again.TryGet(new PartitionId(1))!.ItemCount;
            again.CheckIntegrity();
        }

        using PartitionSet third = new(Options);
        Assert.Equal(stored, third.ReadKept(_now, s_minute)!.Items);
        Assert.Equal((other, 5L, 0L), (third.Kept!.Seed, third.Kept.Epochs[1], third.Kept.KnownEpochs[0]));
    }

    [Theory]
    [InlineData(-100, "last served")]
    [InlineData(+100, "still to come")]
    public void AFileOfAnotherTimeBeginsEmpty(int seconds, string reason)
    {
        using (PartitionSet set = Begin())
        {
            set.Open(new PartitionId(0), 10);
            Fill(set);
            set.NoteServing((uint)(_now + seconds));
        }

        using PartitionSet again = new(Options);
        Assert.Null(again.ReadKept(_now, s_minute));
        Assert.Contains(reason, again.MemoryFileRefusal, StringComparison.Ordinal);

        // Its cluster still waits for other files.
        Assert.True(again.Kept!.Seed.IsNone);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, false)]
    public void AFileThatWasInUseWhenTheMachineStoppedBeginsEmpty(byte state, bool isRefused)
    {
        using (PartitionSet set = Begin())
        {
            set.Open(new PartitionId(0), 10);
            Fill(set);
        }

        // In use or closed, and another start of the machine.
        using (FileStream file = File.OpenWrite(Options.MemoryFilePath!))
        {
            file.Position = 12;
            file.WriteByte(state);
            file.Position = 52;
            file.Write(new byte[16]);
        }

        using PartitionSet again = new(Options);
        Assert.Equal(isRefused, again.ReadKept(_now, s_minute) is null);
        Assert.Equal(isRefused, again.MemoryFileRefusal?.Contains("the machine stopped", StringComparison.Ordinal) == true);
    }

    [Fact]
    public void AFileOfASingleNodeIsNoSilos()
    {
        using (PartitionSet set = Begin())
            set.Open(new PartitionId(0), 10);
        using PartitionSet node = new(Options with { MemoryFileAgeMax = null });
        Assert.Contains("other options", node.MemoryFileRefusal, StringComparison.Ordinal);
    }

    private PartitionSet Begin()
    {
        PartitionSet set = new(Options);
        Assert.Null(set.ReadKept(_now, s_minute));
        Assert.Null(set.Kept);
        set.UseHashSeed(StoreHarness.HashSeed);
        set.NoteServing(_now);
        return set;
    }

    /// <summary>Some items into each partition that is served.</summary>
    private void Fill(PartitionSet set)
    {
        for (int i = 0; i < 400; i++)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, Encoding.ASCII.GetBytes($"key{i}"), "value"u8.ToArray());
            request.KeyHash = set.Hasher!.Compute(request.Key);
            set.TryGet(PartitionId.OfHash(request.KeyHash, set.PartitionCount))?.TryExecute(in request, _now, _reply);
        }
    }
}
