using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions.Binary;

/// <summary>Replies that no store has a part in.</summary>
internal static class PacketReplies
{
    public static void WriteText(OutputList output, in BinaryCommand command, ReadOnlySpan<byte> text) =>
        output.Commit(BinaryReply.WriteText(output.Reserve(BinaryReply.ReplyBytesMax), command.Opcode, text, command.Opaque));

    public static void WriteError(OutputList output, in BinaryCommand command, BinaryStatus status) =>
        WriteError(output, command.Opcode, status, command.Opaque);

    public static void WriteError(OutputList output, BinaryOpcode opcode, BinaryStatus status, uint opaque) =>
        output.Commit(BinaryReply.WriteError(output.Reserve(BinaryReply.ReplyBytesMax), opcode, status, opaque));

    public static void WriteFailure(OutputList output, BinaryOpcode opcode, string reason, uint opaque) =>
        output.Commit(BinaryReply.WriteFailure(output.Reserve(BinaryReply.ReplyBytesMax), opcode, reason, opaque));
}
