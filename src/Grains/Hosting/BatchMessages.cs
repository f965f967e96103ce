using System.Buffers;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.WireProtocol;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// Operations for one silo, encoded. Immutable: within a process it crosses by reference, so the sender keeps its hands off the bytes until the reply is there.
/// </summary>
[GenerateSerializer, Immutable, Alias("oc.BatchRequest")]
public sealed class BatchRequestMessage(PooledBytes payload)
{
    [Id(0)]
    public PooledBytes Payload { get; } = payload;
}

/// <summary>The replies to one <see cref="BatchRequestMessage"/>, encoded, and how new the replying silo's table is. Immutable, as the request.</summary>
[GenerateSerializer, Immutable, Alias("oc.BatchReply")]
public sealed class BatchReplyMessage(PooledBytes payload, long tableTerm, long tableNumber)
{
    [Id(0)]
    public PooledBytes Payload { get; } = payload;

    [Id(1)]
    public long TableTerm { get; } = tableTerm;

    [Id(2)]
    public long TableNumber { get; } = tableNumber;
}

/// <summary>A call reached nobody: this process, or the silo that it asked, does not know the target as a live silo. Nothing of it was executed.</summary>
[GenerateSerializer, Alias("oc.BatchNotExecuted")]
public sealed class SiloUnknownException : Exception
{
    public SiloUnknownException()
    {
    }

    public SiloUnknownException(string message)
        : base(message)
    {
    }

    public SiloUnknownException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>On the wire a <see cref="PooledBytes"/> is what a byte array is: a length and the bytes.</summary>
[RegisterSerializer]
internal sealed class PooledBytesCodec : IFieldCodec<PooledBytes>
{
    /// <summary>Far above the longest batch or reply; Orleans bounds a message as a whole as well.</summary>
    private const int LengthMax = 128 * 1024 * 1024;

    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, PooledBytes? value)
        where TBufferWriter : IBufferWriter<byte>
    {
        ReferenceCodec.MarkValueField(writer.Session);
        writer.WriteFieldHeader(fieldIdDelta, expectedType!, typeof(PooledBytes), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)(value?.Length ?? 0));
        if (value is null)
            return;
        writer.Write(value.Span);
        if (value.IsReleasedByWire)
            value.Release();
    }

    public PooledBytes ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        ReferenceCodec.MarkValueField(reader.Session);
        if (field.WireType != WireType.LengthPrefixed)
            throw BatchFormat.Malformed("message");
        uint length = reader.ReadVarUInt32();
        if (length > LengthMax)
            throw BatchFormat.Malformed("message");
        byte[] buffer = WireBuffers.Rent((int)length);
        reader.ReadBytes(buffer.AsSpan(0, (int)length));
        return PooledBytes.Received(buffer, (int)length);
    }
}

/// <summary>Within a process the bytes cross by reference: see <see cref="PooledBytes"/> for whom they belong to.</summary>
[RegisterCopier]
internal sealed class PooledBytesCopier : IDeepCopier<PooledBytes>, IOptionalDeepCopier
{
    public bool IsShallowCopyable() => true;

    public PooledBytes? DeepCopy(PooledBytes? input, CopyContext context) => input;
}
