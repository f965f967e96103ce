using System.Text;

namespace OrleansCache.Ownership.Replication;

/// <summary>
/// Collects one message in the layout of <see cref="ReplicationFormat"/>. Owns its buffer; the bytes stay as they are until <see cref="Clear"/>. Used again
/// for message after message, and allocates nothing for a group. Non-goal: thread safety.
/// </summary>
internal sealed class ReplicationWriter
{
    private const int CompactHeaderBytesMax = 4 + (6 * sizeof(ulong));

    private readonly GrowingBuffer _output = new();
    private byte _layout;
    private long _copy;
    private ulong _sequence;
    private int _scanHeader;
    private int _scanStart;

    public int Length => _output.Length;

    public byte[] Buffer => _output.Buffer;

    public void Begin(byte layout, long stream, long number, SiloId source)
    {
        (_layout, _copy, _sequence) = (layout, 0, 0);
        int length = Encoding.UTF8.GetByteCount(source.Text);
        var writer = new WireWriter(_output.Take(19 + length));
        writer.Byte(layout);
        writer.Int64(stream);
        writer.Int64(number);
        writer.UInt16((ushort)length);
        Encoding.UTF8.GetBytes(source.Text, writer.Take(length));
    }

    /// <summary>Of <see cref="GroupKind.Reads"/> the positions are 0, and the sequence means nothing.</summary>
    public void WriteGroup(GroupKind kind, int partition, long copy, long first, long last, ulong sequence, ReadOnlySpan<byte> effects)
    {
        if (_layout == ReplicationFormat.Compact)
            WriteCompact(kind, partition, copy, first, last, sequence, effects.Length, WireWriter.BytesOf((ulong)effects.Length));
        else
            WriteFixed(kind, partition, copy, first, last, sequence, effects.Length);
        _output.Write(effects);
    }

    /// <summary>Begins a group whose effects the caller writes to the result; <see cref="EndScan"/> follows.</summary>
    public GrowingBuffer BeginScan(int partition, long copy, long position, ulong sequence)
    {
        _scanHeader = _output.Length;
        if (_layout == ReplicationFormat.Compact)
            WriteCompact(GroupKind.Scan, partition, copy, 0, position, sequence, 0, sizeof(int));
        else
            WriteFixed(GroupKind.Scan, partition, copy, 0, position, sequence, 0);
        _scanStart = _output.Length;
        return _output;
    }

    /// <summary>Fills in what is known only now, and returns the bytes of the effects.</summary>
    public int EndScan(GroupKind kind)
    {
        int bytes = _output.Length - _scanStart;
        _output.SpanAt(_scanHeader, 1)[0] = (byte)kind;
        new WireWriter(_output.SpanAt(_scanStart - sizeof(int), sizeof(int))).Int32(bytes);
        return bytes;
    }

    /// <summary>Forgets everything. <paramref name="abandon"/>: somebody may still read the buffer.</summary>
    public void Clear(bool abandon = false) => _output.Clear(abandon);

    private void WriteFixed(GroupKind kind, int partition, long copy, long first, long last, ulong sequence, int bytes)
    {
        var writer = new WireWriter(_output.Take(ReplicationFormat.FixedHeaderBytes));
        writer.Byte((byte)kind);
        writer.Int32(partition);
        writer.Int64(copy);
        writer.Int64(first);
        writer.Int64(last);
        writer.UInt64(sequence);
        writer.Int32(bytes);
    }

    private void WriteCompact(GroupKind kind, int partition, long copy, long first, long last, ulong sequence, int bytes, int bytesLength)
    {
        ulong copyStep = Unsigned(copy - _copy);
        ulong lastStep = Unsigned(last - first);
        ulong sequenceStep = kind == GroupKind.Reads ? 0 : Unsigned((long)(sequence - _sequence));
        _copy = copy;
        if (kind != GroupKind.Reads)
            _sequence = sequence;
        int partitionLength = WireWriter.BytesOf((uint)partition);
        int copyLength = WireWriter.BytesOf(copyStep);
        int firstLength = WireWriter.BytesOf((ulong)first);
        int lastLength = WireWriter.BytesOf(lastStep);
        int sequenceLength = WireWriter.BytesOf(sequenceStep);
        var writer = new WireWriter(_output.GetSpan(CompactHeaderBytesMax));
        writer.Int32((byte)kind | (partitionLength << 8) | (copyLength << 12) | (firstLength << 16) | (lastLength << 20) | (sequenceLength << 24)
            | (bytesLength << 28));
        writer.UInt64((uint)partition, partitionLength);
        writer.UInt64(copyStep, copyLength);
        writer.UInt64((ulong)first, firstLength);
        writer.UInt64(lastStep, lastLength);
        writer.UInt64(sequenceStep, sequenceLength);
        writer.UInt64((uint)bytes, bytesLength);
        _output.Advance(writer.Written);
    }

    private static ulong Unsigned(long value) => (ulong)((value << 1) ^ (value >> 63));
}
