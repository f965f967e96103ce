using System.Buffers;
using Xunit.Abstractions;

namespace OrleansCache.Storage.Tests.Replication;

/// <summary>Everything that clients can do to an owner, at random under a seed, and a replica that follows.</summary>
public sealed class ReplicaStreamTests(ITestOutputHelper output) : IDisposable
{
    private const int Steps = 12_000;
    private const int Copies = 10;
    private const long MiB = 1 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public void AfterAnyStreamTheReplicaIsWhatItsOwnerWas(int round) => Soak.Run(output, round, seed => Run(seed, round));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void ACopyTakenAmongWritesIsWhatItsOwnerIs(int round) => Soak.Run(output, round, seed =>
    {
        int parts = 0;
        for (int copy = 0; copy < Copies; copy++)
            parts += RunCopy(unchecked((seed * Copies) + copy), round);
        Assert.True(parts > Copies * 3, $"seed {seed}: {parts} parts of {Copies} copies");
        output.WriteLine($"{parts} parts of {Copies} copies");
    });

    private void Run(int seed, int round)
    {
        var random = new Random(seed);
        bool tightOwner = round is 2 or 4 or 7, tightReplica = round is 3 or 4;
        var owner = new StoreOptions
        {
            MemoryBytes = tightOwner ? MiB : 64 * MiB, NoCas = round is 1 or 4, NoEviction = round == 7, Seed = (ulong)seed,
            MemoryFilePath = round == 6 ? Path.Combine(_folder, $"owner{seed}") : null,
        };
        StoreOptions replica = owner with
        {
            MemoryBytes = tightReplica ? MiB : 64 * MiB, NoEviction = false, MemoryFilePath = round == 6 ? Path.Combine(_folder, $"replica{seed}") : null,
        };
        using var pair = new ReplicatedPair(random, owner, replica, isWatched: round is 5 or 2);
        for (int step = 0; step < Steps; step++)
        {
            pair.Step();
            if (random.Next(20) != 0)
                continue;
            long at = pair.Replica.LogPosition, end = pair.Log.Position;
            switch (random.Next(6))
            {
                case 0 when at > 0:
                    long first = 1 + random.NextInt64(at);
                    Assert.Equal(ApplyStatus.Ok, pair.Ship(first, first + random.NextInt64(Math.Min(50, at - first + 1))));
                    break;
                case 1 when end > at + 1:
                    Assert.Equal(ApplyStatus.OutOfOrder, pair.Ship(at + 2, Math.Min(end, at + 9)));
                    break;
                default:
                    pair.ShipNext(60);
                    continue;
            }

            Assert.Equal(at, pair.Replica.LogPosition);
        }

        pair.ShipRest();
        Assert.True(pair.Log.Position > Steps / 4, $"seed {seed}: only {pair.Log.Position} effects");
        pair.CheckTakeOver($"seed {seed}, round {round}", ownerEvicts: tightOwner, replicaEvicts: tightReplica);
        output.WriteLine($"{pair.Log.Position} effects, {pair.LiveCompared} keys live at the end");
    }

    private static int RunCopy(int seed, int round)
    {
        var random = new Random(seed);
        var owner = new StoreOptions { MemoryBytes = round == 1 ? MiB : 64 * MiB, Seed = (ulong)seed };
        using var pair = new ReplicatedPair(random, owner, owner with { MemoryBytes = 64 * MiB });
        for (int step = 0; step < 2000; step++)
            pair.Step();
        var cursor = default(ExportCursor);
        int parts = 0;
        for (bool more = true; more; parts++)
        {
            var part = new ArrayBufferWriter<byte>();
            more = pair.Owner.ExportEffects(ref cursor, part, 1 + random.Next(1000), pair.Now);
            Assert.Equal(pair.Log.Position, cursor.LogPosition);
            if (parts > 0)
                pair.ShipRest();
            for (int repeat = random.Next(3) / 2; repeat >= 0; repeat--)
            {
                Assert.Equal(ApplyStatus.Ok, pair.Replica.Apply(
                    ReplicatedPair.Epoch, 0, cursor.LogPosition, pair.Owner.LastCas, part.WrittenSpan, pair.ReplicaNow));
            }

            Assert.Equal(cursor.LogPosition, pair.Replica.LogPosition);
            for (int step = random.Next(60); step > 0; step--)
                pair.Step();
        }

        pair.ShipRest();

        // What the owner has evicted before the copy was read cannot be in it; what it evicts later may be.
        pair.CheckTakeOver($"seed {seed}, copy {round}", ownerEvicts: round == 1, replicaEvicts: false);
        return parts;
    }
}
