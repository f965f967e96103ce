using System.Text;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions.Binary;

/// <summary>The binary protocol's commands without a key. Cold: they may allocate.</summary>
internal static class PacketAdmin
{
    public static void Execute(Session session, in BinaryCommand command)
    {
        GatewayShared shared = session.Loop.Shared;
        OutputList output = session.Replies.Current;
        session.HasAdministered = true;
        switch (command.Verb)
        {
            case BinaryOpcode.Version:
                PacketReplies.WriteText(output, command, shared.VersionNumber);
                break;
            case BinaryOpcode.Flush:
                Flush(session, command.Exptime, command.Opcode, command.Opaque);
                break;
            case BinaryOpcode.Quit:
                if (command.Opcode == BinaryOpcode.Quit)
                    PacketReplies.WriteText(output, command, default);
                session.Transport.Info.CloseReason = ConnectionCloseReason.Normal;
                session.Close();
                break;
            case BinaryOpcode.Stat:
                WriteStats(session, command);
                break;
            case BinaryOpcode.SaslListMechanisms:
                PacketReplies.WriteText(output, command, "PLAIN"u8);
                break;
            case BinaryOpcode.Verbosity:
                shared.SetVerbosity(command.Exptime);
                PacketReplies.WriteText(output, command, default);
                break;
            default:
                // NoOp.
                PacketReplies.WriteText(output, command, default);
                break;
        }
    }

    private static void Flush(Session session, long exptime, BinaryOpcode opcode, uint opaque) => new FlushCommand(
        session,
        exptime,
        (flushed, failure) =>
        {
            OutputList output = flushed.Replies.Current;
            if (failure is not null)
                PacketReplies.WriteFailure(output, opcode, failure, opaque);
            else if (opcode == BinaryOpcode.Flush)
                output.Commit(BinaryReply.WriteText(output.Reserve(BinaryReply.ReplyBytesMax), opcode, default, opaque));
        }).Run();

    /// <summary>One packet for each STAT line of the text protocol, and an empty one at the end.</summary>
    private static void WriteStats(Session session, in BinaryCommand command)
    {
        LoopContext loop = session.Loop;
        OutputList output = session.Replies.Current;
        string group = Encoding.Latin1.GetString(command.Key);
        if (BinaryStats.Arguments(group) is not { } arguments)
        {
            PacketReplies.WriteError(output, command, BinaryStatus.KeyNotFound);
            return;
        }

        if (StatsText.TakesLong(loop.Shared, arguments))
        {
            uint opaque = command.Opaque;
            StatsCollection.Start(
                session,
                StatsText.BuildAsync(loop.Shared, loop.NowUnixSeconds, arguments),
                (asked, collected) => WriteCollected(asked.Replies.Current, arguments, collected, opaque));
            return;
        }

        byte[] text = StatsText.Build(loop.Shared, loop.NowUnixSeconds, arguments);
        if (!BinaryStats.TryWrite(output, arguments, text, command.Opaque))
            PacketReplies.WriteError(output, command, BinaryStatus.KeyNotFound);
    }

    /// <summary>What could not be collected is answered, too: the client waits for a packet.</summary>
    private static void WriteCollected(OutputList output, string arguments, byte[] text, uint opaque)
    {
        if (BinaryStats.TryWrite(output, arguments, text, opaque))
            return;
        string line = Encoding.UTF8.GetString(text).TrimEnd();
        const string Before = "SERVER_ERROR ";
        string reason = line.StartsWith(Before, StringComparison.Ordinal) ? line[Before.Length..] : line;
        PacketReplies.WriteFailure(output, BinaryOpcode.Stat, reason, opaque);
    }
}
