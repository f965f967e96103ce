using System.Buffers.Binary;

namespace OrleansCache.Ownership.Links;

/// <summary>What a frame on a link is. Numbers are never used again.</summary>
internal enum LinkFrame : byte
{
    /// <summary>A batch. Answered with <see cref="BatchReply"/> or <see cref="Failed"/>.</summary>
    Batch = 1,

    /// <summary>A message of replication. Answered with <see cref="ReplicationReply"/> or <see cref="Failed"/>.</summary>
    Replication = 2,

    /// <summary>Term and number of the table that the silo knows, 8 bytes each, and the reply.</summary>
    BatchReply = 3,

    ReplicationReply = 4,

    /// <summary>What has become of what was asked is not known.</summary>
    Failed = 5,

    /// <summary>The silo is about to leave: it answers what has been asked, and is to be asked nothing more here. Of no call.</summary>
    Closing = 6,
}

/// <summary>
/// The bytes of a link between two silos. One asks, the other one answers, in any order:
/// <code>
/// frame: length of the payload u32 | kind u8 | 3 bytes 0 | number of the call u64 | payload        (little endian)
/// </code>
/// What the payloads say is written as for grain calls, by the version that the silos have agreed on (<see cref="WireVersion"/>).
/// </summary>
internal static class LinkFormat
{
    public const int HeaderBytes = 16;

    public const int TableVersionBytes = 16;

    /// <summary>What is longer takes the way of a grain call: a link's thread serves others, too.</summary>
    public const int RequestBytesMax = 128 * 1024;

    /// <summary>Far above the longest reply.</summary>
    public const int PayloadBytesMax = 1024 * 1024 * 1024 + 64 * 1024 * 1024;

    public static void WriteHeader(Span<byte> output, LinkFrame kind, long call, int payloadBytes)
    {
        BinaryPrimitives.WriteInt32LittleEndian(output, payloadBytes);
        BinaryPrimitives.WriteInt32LittleEndian(output[4..], (byte)kind);
        BinaryPrimitives.WriteInt64LittleEndian(output[8..], call);
    }

    /// <summary>Throws <see cref="InvalidDataException"/> on what is no header.</summary>
    public static (LinkFrame Kind, long Call, int PayloadBytes) ReadHeader(ReadOnlySpan<byte> header)
    {
        int bytes = BinaryPrimitives.ReadInt32LittleEndian(header);
        int kind = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        if ((uint)bytes > PayloadBytesMax || kind is < (int)LinkFrame.Batch or > (int)LinkFrame.Closing)
            throw new InvalidDataException("No frame of a link.");
        return ((LinkFrame)kind, BinaryPrimitives.ReadInt64LittleEndian(header[8..]), bytes);
    }

    public static void WriteTableVersion(Span<byte> output, PartitionTableVersion version)
    {
        BinaryPrimitives.WriteInt64LittleEndian(output, version.Term);
        BinaryPrimitives.WriteInt64LittleEndian(output[8..], version.Number);
    }

    public static PartitionTableVersion ReadTableVersion(ReadOnlySpan<byte> input) =>
        new(BinaryPrimitives.ReadInt64LittleEndian(input), BinaryPrimitives.ReadInt64LittleEndian(input[8..]));
}
