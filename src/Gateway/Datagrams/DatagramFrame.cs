using System.Buffers.Binary;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Datagrams;

/// <summary>
/// memcached's head of every datagram, four numbers of 16 bits with the high byte first, and the verdict on one that has arrived.
/// <code>
/// 0  2        4                 6        8
/// id sequence datagrams-in-all  reserved payload...
/// </code>
/// </summary>
internal static class DatagramFrame
{
    public const int HeaderBytes = 8;
    public const int PayloadBytesMax = Limits.DatagramBytesMax - HeaderBytes;

    /// <summary>
    /// Whether this is a request, by memcached's rule: something behind the head, and one datagram in all (larger requests were never served); neither sequence
    /// nor reserved matter. Beyond that rule: what begins as only a reply can is none. Two servers that answered each other's answers, because somebody forged
    /// one datagram, would never stop.
    /// </summary>
    public static bool TryRead(ReadOnlySpan<byte> datagram, out ushort requestId)
    {
        requestId = 0;
        if (datagram.Length <= HeaderBytes || BinaryPrimitives.ReadUInt16BigEndian(datagram[4..]) != 1)
            return false;
        byte first = datagram[HeaderBytes];
        if (first is (>= (byte)'A' and <= (byte)'Z') or (>= (byte)'0' and <= (byte)'9') or BinaryParser.Magic + 1)
            return false;
        requestId = BinaryPrimitives.ReadUInt16BigEndian(datagram);
        return true;
    }

    public static int CountFor(long replyBytes) => (int)((replyBytes + PayloadBytesMax - 1) / PayloadBytesMax);

    public static void Write(Span<byte> datagram, ushort requestId, int sequence, int total)
    {
        BinaryPrimitives.WriteUInt16BigEndian(datagram, requestId);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[2..], (ushort)sequence);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[4..], (ushort)total);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[6..], 0);
    }
}
