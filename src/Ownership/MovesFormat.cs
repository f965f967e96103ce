using System.Diagnostics.CodeAnalysis;

namespace OrleansCache.Ownership;

/// <summary>
/// A <see cref="MovesOverview"/> on its way from the coordinator's silo to a gateway: a byte for the layout, the totals (seconds that are not known are -1),
/// the transfers and the partitions that were given up, each list behind its length.
/// </summary>
public static class MovesFormat
{
    private const byte Layout = 1;

    public static byte[] Encode(MovesOverview overview)
    {
        ArgumentNullException.ThrowIfNull(overview);
        MessageWriter writer = new();
        writer.Byte(Layout);
        writer.Byte(overview.IsPaused ? (byte)1 : (byte)0);
        writer.Int64(overview.LimitBytesPerSecond);
        writer.Int32(overview.PartitionsToMove);
        writer.Int64(overview.BytesLeft);
        writer.Int64(overview.BytesPerSecond);
        writer.Int64(overview.SecondsLeft ?? -1);
        writer.Int32(overview.Transfers.Count);
        foreach (PartitionTransfer transfer in overview.Transfers)
        {
            writer.Int32(transfer.Partition);
            writer.Text(transfer.From);
            writer.Text(transfer.To);
            writer.Byte(transfer.IsMove ? (byte)1 : (byte)0);
            writer.Byte((byte)transfer.Reason);
            writer.Byte((byte)transfer.Step);
            writer.Int64(transfer.BytesDone);
            writer.Int64(transfer.BytesTotal);
            writer.Int64(transfer.BytesPerSecond);
            writer.Int64(transfer.SecondsLeft ?? -1);
        }

        writer.Int32(overview.Aborted.Count);
        foreach ((int partition, int seconds) in overview.Aborted)
        {
            writer.Int32(partition);
            writer.Int32(seconds);
        }

        return writer.ToArray();
    }

    /// <summary>False if the bytes are none, or of another version.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> wire, [NotNullWhen(true)] out MovesOverview? overview)
    {
        WireReader reader = new(wire);
        overview = null;
        if (reader.Byte() != Layout)
            return false;
        bool isPaused = reader.Byte() != 0;
        long limit = reader.Int64();
        int toMove = reader.Int32();
        long bytesLeft = reader.Int64();
        long rate = reader.Int64();
        long? secondsLeft = Seconds(reader.Int64());
        int count = reader.Int32();
        if (count < 0 || count > reader.Remaining)
            return false;
        var transfers = new PartitionTransfer[count];
        for (int i = 0; i < count; i++)
        {
            transfers[i] = new PartitionTransfer(
                reader.Int32(), reader.String(), reader.String(), reader.Byte() != 0, (TransferReason)reader.Byte(), (TransferStep)reader.Byte(),
                reader.Int64(), reader.Int64(), reader.Int64(), Seconds(reader.Int64()));
        }

        int abortedCount = reader.Int32();
        if (abortedCount < 0 || abortedCount > reader.Remaining)
            return false;
        var aborted = new (int, int)[abortedCount];
        for (int i = 0; i < abortedCount; i++)
            aborted[i] = (reader.Int32(), reader.Int32());
        if (reader.Failed || reader.Remaining != 0)
            return false;
        overview = new MovesOverview
        {
            IsPaused = isPaused, LimitBytesPerSecond = limit, PartitionsToMove = toMove, BytesLeft = bytesLeft, BytesPerSecond = rate,
            SecondsLeft = secondsLeft, Transfers = transfers, Aborted = aborted,
        };
        return true;

        static long? Seconds(long value) => value < 0 ? null : value;
    }
}
