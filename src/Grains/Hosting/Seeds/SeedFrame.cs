using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace OrleansCache.Grains.Hosting.Seeds;

internal enum SeedFrameKind : byte
{
    /// <summary>Both ends say what they are: a <see cref="SeedGreeting"/> each.</summary>
    Greet = 1,

    /// <summary>A message of the register, and its answer.</summary>
    Register = 2,

    /// <summary>In an answer: could not be carried out; the payload says why, as text.</summary>
    Failed = 3,
}

/// <summary>
/// What crosses a connection between two seeds, after the handshake:
/// <code>length of what follows i32 LE | kind u8 | number i32 LE | payload</code>
/// An answer carries the number of its request. Bounded by <see cref="BytesMax"/>, before anything is allocated.
/// </summary>
/// <param name="Kind">What the payload is.</param>
/// <param name="Number">Given by the end that asks.</param>
/// <param name="Payload">The bytes; the reader's own.</param>
internal readonly record struct SeedFrame(SeedFrameKind Kind, int Number, ReadOnlyMemory<byte> Payload)
{
    public const int BytesMax = Limits.RegisterMessageBytesMax;

    private const int HeaderBytes = 9;

    public ValueTask<FlushResult> WriteAsync(PipeWriter writer, CancellationToken cancellationToken)
    {
        Span<byte> header = writer.GetSpan(HeaderBytes);
        BinaryPrimitives.WriteInt32LittleEndian(header, Payload.Length + 5);
        header[4] = (byte)Kind;
        BinaryPrimitives.WriteInt32LittleEndian(header[5..], Number);
        writer.Advance(HeaderBytes);
        return writer.WriteAsync(Payload, cancellationToken);
    }

    /// <summary>Null if the other end has closed. Throws <see cref="InvalidDataException"/> if it sends something else.</summary>
    public static async ValueTask<SeedFrame?> ReadAsync(PipeReader reader, CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellationToken);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (TryTake(ref buffer, out SeedFrame frame))
            {
                reader.AdvanceTo(buffer.Start);
                return frame;
            }

            reader.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted || result.IsCanceled)
                return null;
        }
    }

    private static bool TryTake(ref ReadOnlySequence<byte> buffer, out SeedFrame frame)
    {
        frame = default;
        if (buffer.Length < HeaderBytes)
            return false;
        Span<byte> header = stackalloc byte[HeaderBytes];
        buffer.Slice(0, HeaderBytes).CopyTo(header);
        int payload = BinaryPrimitives.ReadInt32LittleEndian(header) - 5;
        if (payload is < 0 or > BytesMax)
            throw new InvalidDataException($"a message of {payload} bytes");
        if (buffer.Length < HeaderBytes + payload)
            return false;
        frame = new SeedFrame(
            (SeedFrameKind)header[4], BinaryPrimitives.ReadInt32LittleEndian(header[5..]), buffer.Slice(HeaderBytes, payload).ToArray());
        buffer = buffer.Slice(HeaderBytes + payload);
        return true;
    }
}
