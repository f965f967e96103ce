namespace OrleansCache.Ownership.Tests;

public sealed class MessagesTests
{
    private static readonly SiloId A = SiloId.Create("127.0.0.1:11111", 7);
    private static readonly SiloId B = SiloId.Create("[::1]:11112", 9);

    private static readonly HashSeed Seed = new(0x0706050403020100, 0x0F0E0D0C0B0A0908);

    private static readonly SyncRequest Request = new()
    {
        Term = 5, Sequence = 77, Coordinator = A, PartitionCount = 3, NobodyTakesOver = true, Flush = new FlushMark(9, 8, 4_000_000_000),
        Moves = new MoveSettings(6, true, null),
        Silos = new SiloList(3, [new SiloEntry(A, "a|127.0.0.1|1"), new SiloEntry(B, "")]),
        Table = PartitionTable.Create(new PartitionTableVersion(5, 2), Seed, [A, default, B], [10, 0, 11], wireVersion: 9),
        Commands =
        [
            PartitionCommand.Assign(1, 12), PartitionCommand.Attach(0, 10, 13, B), PartitionCommand.Detach(0, 10, 9), PartitionCommand.Yield(0, 10, 14),
            PartitionCommand.Promote(2, 15, 16), PartitionCommand.Retain(2, 16, 14, 17, A), PartitionCommand.Drop(1, 3), PartitionCommand.Restore(1, 2, 12),
            PartitionCommand.Unseal(0, 10), PartitionCommand.Rest(0, 10, 9), PartitionCommand.Proceed(2, 11, 14),
        ],
    };

    private static readonly SyncReply Reply = new()
    {
        Silo = B, Term = 5, Sequence = 77, TableVersion = new PartitionTableVersion(5, 2), HashSeed = Seed, MemoryBytes = 64 << 20, PartitionCount = 3,
        Speaks = 8, TableWireVersion = 7, Draining = true, Flush = new FlushMark(9, 9, 0), Moves = new MoveSettings(6, false, 5_000_000_000),
        SilosVersion = 3, Gateway = "b|::1|2", MembershipVersion = 4, EpochMax = 18, TableTermMax = 6, Kept = new KeptReport(Seed, 12, 3), Zone = "west",
        Partitions = [new(0, PartitionPhase.Sealed, 10, 13), new(1, PartitionPhase.Replica, 12, Position: 99), new(2, PartitionPhase.Active, 11)],
        Copies = [new(0, 9, A, CopyState.Failed), new(2, 14, A, CopyState.Synced), new(2, 15, B, CopyState.Copying, true, 5_000_000_000, 6_000_000_000)],
    };

    [Fact]
    public void MessagesSurviveTheWire()
    {
        Assert.True(SyncRequest.TryDecode(Request.Encode(), out SyncRequest? request));
        Assert.Equal((Request.Term, Request.Sequence, Request.Coordinator, Request.PartitionCount, Request.NobodyTakesOver, Request.Flush, Request.Moves),
            (request.Term, request.Sequence, request.Coordinator, request.PartitionCount, request.NobodyTakesOver, request.Flush, request.Moves));
        Assert.Equal(Request.Commands, request.Commands);
        Assert.Equal(3, request.Silos!.Version);
        Assert.Equal(Request.Silos!.Silos, request.Silos.Silos);
        Assert.Equal(Request.Table!.Encode(), request.Table!.Encode());
        Assert.Equal((Seed, 9), (request.Table.HashSeed, request.Table.WireVersion));
        Assert.Equal((A, 10L), (request.Table.OwnerOf(new PartitionId(0)), request.Table.EpochOf(new PartitionId(0))));
        Assert.True(request.Table.OwnerOf(new PartitionId(1)).IsNone);

        Assert.True(SyncReply.TryDecode(Reply.Encode(), out SyncReply? reply));
        Assert.Equal(Reply with { Partitions = [], Copies = [] }, reply with { Partitions = [], Copies = [] });
        Assert.Equal(Reply.Partitions, reply.Partitions);
        Assert.Equal(Reply.Copies, reply.Copies);
    }

    /// <summary>Drawn in the comment of <see cref="PartitionTable"/>.</summary>
    [Fact]
    public void TheTableCarriesTheSeedAndTheWireVersionBehindItsVersion()
    {
        byte[] wire = Request.Table!.Encode();
        Assert.Equal((1, 9), (wire[0], wire[33]));
        Assert.Equal(Enumerable.Range(0, HashSeed.Bytes).Select(i => (byte)i), wire[17..33]);
        wire.AsSpan(17, HashSeed.Bytes).Clear();
        Assert.False(PartitionTable.TryDecode(wire, out _));
    }

    [Fact]
    public void OtherVersionsOfMessagesAreRefused()
    {
        foreach (byte[] wire in new[] { Request.Encode(), Reply.Encode(), Request.Table!.Encode(), Request.Silos!.Encode() })
        {
            Assert.Equal(1, wire[0]);
            foreach (byte other in (byte[])[0, 2, 255])
            {
                wire[0] = other;
                bool any = SyncRequest.TryDecode(wire, out _) || SyncReply.TryDecode(wire, out _) || PartitionTable.TryDecode(wire, out _)
                    || SiloList.TryDecode(wire, out _);
                Assert.False(any);
            }
        }
    }

    [Fact]
    public void MessagesDoNotTellTheSeedToALog()
    {
        Assert.Contains("HashSeed = secret", Reply.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("506097522914230528", $"{Request} {Reply} {Request.Table}", StringComparison.Ordinal);
    }

    [Fact]
    public void CutMessagesAreRefusedWithoutAnException()
    {
        foreach (byte[] wire in new[] { Request.Encode(), Reply.Encode(), Request.Table!.Encode() })
        {
            for (int length = 0; length < wire.Length; length++)
            {
                byte[] cut = wire[..length];
                bool any = SyncRequest.TryDecode(cut, out _) || SyncReply.TryDecode(cut, out _) || PartitionTable.TryDecode(cut, out _);
                Assert.False(any, $"{length} of {wire.Length} bytes were taken for a message");
            }
        }
    }

    [Fact]
    public void RandomBytesAreRefusedWithoutAnException()
    {
        int seed = TestSeed.Next();
        Random random = new(seed);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] wire = round % 2 == 0 ? Request.Encode() : Reply.Encode();
            for (int change = random.Next(1, 6); change > 0; change--)
                wire[random.Next(wire.Length)] = (byte)random.Next(256);
            SyncRequest.TryDecode(wire, out _);
            SyncReply.TryDecode(wire, out _);
            PartitionTable.TryDecode(wire, out _);
        }
    }

    [Fact]
    public void OldestSiloComesFirst()
    {
        SiloId[] silos = [SiloId.Create("b:1", 2), SiloId.Create("a:1", 2), SiloId.Create("z:1", 1)];
        Assert.Equal(["z:1@1", "a:1@2", "b:1@2"], silos.Order().Select(silo => silo.Text));
        Assert.Equal(silos[0], SiloId.Parse(silos[0].Text));
        Assert.False(SiloId.TryParse("127.0.0.1:11111", out _));
    }
}
