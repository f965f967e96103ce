namespace OrleansCache.Ownership.Tests;

/// <summary>What the simulation does not reach: a silo between two clusters.</summary>
public sealed class SiloAgentTests : ISiloAgentEnvironment
{
    private const int Partitions = 4;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private readonly List<string> _calls = [];
    private readonly SiloAgent _agent;
    private long _sequence;

    public SiloAgentTests() => _agent = new SiloAgent(A, Partitions, 64, this);

    [Fact]
    public void TheSeedIsKnownBeforeAnythingIsOpened()
    {
        SyncReply? reply = Sync(new HashSeed(1, 1), 1, [PartitionCommand.Assign(2, 5)]);
        Assert.Equal(["seed True", "activate 2", "table"], _calls);
        Assert.Equal(new HashSeed(1, 1), reply!.HashSeed);

        _calls.Clear();
        Sync(new HashSeed(1, 1), 2, []);
        Assert.Equal(["table"], _calls);
    }

    [Fact]
    public void BeforeTheSeedIsKnownItemsAreRefused()
    {
        Assert.False(_agent.HandleChunk(Chunk()).Accepted);
        Sync(new HashSeed(1, 1), 1, []);
        Assert.True(_agent.HandleChunk(Chunk()).Accepted);
    }

    [Fact]
    public void WhenTheClustersSeedIsAnotherTheSiloDropsEverythingAndStaysOut()
    {
        Sync(new HashSeed(1, 1), 1, [PartitionCommand.Assign(2, 5), PartitionCommand.Assign(3, 5)]);
        _agent.OnActivated(2, 5);
        _calls.Clear();

        SyncReply? reply = Sync(new HashSeed(2, 2), 2, [PartitionCommand.Assign(1, 6)]);
        Assert.Equal(["drop 2", "drop 3", "differs"], _calls);
        Assert.True(_agent.HashSeedDiffers);
        Assert.Equal((0, new HashSeed(1, 1)), (reply!.Partitions.Count, reply.HashSeed));

        _calls.Clear();
        Sync(new HashSeed(2, 2), 3, [PartitionCommand.Assign(1, 6)]);
        Sync(null, 0, [PartitionCommand.Assign(1, 6)]);
        Assert.False(_agent.HandleChunk(Chunk()).Accepted);
        Assert.Empty(_calls);
    }

    void ISiloAgentEnvironment.UseHashSeed(HashSeed seed) => _calls.Add($"seed {seed == new HashSeed(1, 1)}");

    void ISiloAgentEnvironment.OnHashSeedDiffers() => _calls.Add("differs");

    void ISiloAgentEnvironment.Activate(int partition, long epoch, bool keepItems) => _calls.Add($"activate {partition}");

    void ISiloAgentEnvironment.Drop(int partition) => _calls.Add($"drop {partition}");

    void ISiloAgentEnvironment.OnTable(PartitionTable table) => _calls.Add("table");

    void ISiloAgentEnvironment.BeginImport(int partition, long epoch) => _calls.Add($"import {partition}");

    bool ISiloAgentEnvironment.Import(int partition, ReadOnlySpan<byte> items) => true;

    void ISiloAgentEnvironment.Seal(int partition)
    {
    }

    void ISiloAgentEnvironment.Unseal(int partition)
    {
    }

    void ISiloAgentEnvironment.Renew(int partition, long epoch)
    {
    }

    void ISiloAgentEnvironment.Release(int partition)
    {
    }

    void ISiloAgentEnvironment.Flush(int partition, uint atUnixSeconds)
    {
    }

    void ISiloAgentEnvironment.RescheduleFlush(int partition, uint atUnixSeconds)
    {
    }

    void ISiloAgentEnvironment.ScheduleFlush(int partition, uint atUnixSeconds)
    {
    }

    void ISiloAgentEnvironment.BeginExport(int partition)
    {
    }

    ReadOnlyMemory<byte> ISiloAgentEnvironment.Export(int partition, out bool last)
    {
        last = true;
        return default;
    }

    void ISiloAgentEnvironment.SendChunk(SiloId target, ImportChunk chunk)
    {
    }

    void ISiloAgentEnvironment.Nudge(SiloId coordinator)
    {
    }

    void ISiloAgentEnvironment.RefreshMembership(long version)
    {
    }

    private static ImportChunk Chunk() => new() { Term = 9, Source = B, Partition = 0, MoveEpoch = 7, Number = 0, Last = true, Items = default };

    private SyncReply? Sync(HashSeed? seed, long tableNumber, PartitionCommand[] commands) => _agent.HandleSync(
        new SyncRequest
        {
            Term = 1, Sequence = ++_sequence, Coordinator = B, PartitionCount = Partitions, Commands = commands,
            Table = seed is { } known
                ? PartitionTable.Create(new PartitionTableVersion(1, tableNumber), known, new SiloId[Partitions], new long[Partitions]) : null,
        },
        0);
}
