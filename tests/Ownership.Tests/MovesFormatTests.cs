namespace OrleansCache.Ownership.Tests;

public sealed class MovesFormatTests
{
    private static readonly MovesOverview Overview = new()
    {
        IsPaused = true, LimitBytesPerSecond = 5_000_000_000, PartitionsToMove = 12, BytesLeft = 6_000_000_000, BytesPerSecond = 7_000_000_000,
        SecondsLeft = 99,
        Transfers =
        [
            new PartitionTransfer(3, "a:1", "b:2", true, TransferReason.Balance, TransferStep.Resting, 1, 5_000_000_000, 0, null),
            new PartitionTransfer(4, "a:1", "[::1]:2", false, TransferReason.Repair, TransferStep.Copying, 2, 3, 4, 5),
        ],
        Aborted = [(7, 299)],
    };

    [Fact]
    public void AnOverviewSurvivesTheWire()
    {
        foreach (MovesOverview sent in new[] { Overview, MovesOverview.Nothing, Overview with { SecondsLeft = null } })
        {
            Assert.True(MovesFormat.TryDecode(MovesFormat.Encode(sent), out MovesOverview? received));
            Assert.Equal(sent with { Transfers = [], Aborted = [] }, received with { Transfers = [], Aborted = [] });
            Assert.Equal(sent.Transfers, received.Transfers);
            Assert.Equal(sent.Aborted, received.Aborted);
        }
    }

    [Fact]
    public void WhatIsCutOrChangedIsRefusedWithoutAnException()
    {
        byte[] wire = MovesFormat.Encode(Overview);
        for (int length = 0; length < wire.Length; length++)
            Assert.False(MovesFormat.TryDecode(wire.AsSpan(0, length), out _), $"{length} of {wire.Length} bytes were taken for an overview");
        int seed = TestSeed.Next();
        Random random = new(seed);
        for (int round = 0; round < 5_000; round++)
        {
            byte[] changed = [.. wire];
            for (int change = random.Next(1, 6); change > 0; change--)
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            MovesFormat.TryDecode(changed, out _);
        }
    }
}
