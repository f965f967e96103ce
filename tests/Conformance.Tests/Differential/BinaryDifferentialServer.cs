using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance.Differential;

/// <summary>One side of a comparison of binary streams. A noop marks the end of a write, unless its last packet closes the connection.</summary>
internal sealed class BinaryDifferentialServer(params ServerProcess[] processes) : DifferentialServer(processes)
{
    private const uint EndOpaque = uint.MaxValue;
    private static readonly string s_end = string.Create(CultureInfo.InvariantCulture, $"0a 00 #{EndOpaque}");

    private IReadOnlyList<DifferentialCommand> _commands = [];

    protected override DifferentialCommand FlushAll => new BinaryCommand(BinaryPacket.Of(BinaryPacket.Flush));

    protected override string Render(IReadOnlyList<DifferentialCommand> commands)
    {
        _commands = commands;
        var text = new StringBuilder();
        for (int i = 0; i < commands.Count; i++)
            ((BinaryCommand)commands[i]).Render(text, Memory, (uint)i);
        if (commands.Count == 0 || !commands[^1].IsLast)
            text.Append(BinaryPacket.Of(BinaryPacket.NoOp, opaque: EndOpaque));
        return text.ToString();
    }

    protected override bool IsEnd(string reply) => reply == s_end;

    protected override bool TryTakeReply(ReadOnlySpan<byte> bytes, out string reply, out int taken)
    {
        reply = "";
        taken = BinaryPacket.WholeReply(bytes);
        if (taken == 0)
            return false;
        ReadOnlySpan<byte> packet = bytes[..taken];
        uint opaque = BinaryPacket.OpaqueOf(packet);
        string cas = "cas";
        if (BinaryPacket.CasOf(packet) is not 0 and ulong number && opaque < _commands.Count && _commands[(int)opaque].Keys is [string key, ..])
            cas = string.Create(CultureInfo.InvariantCulture, $"(cas {Memory.Rank(key, number.ToString(CultureInfo.InvariantCulture))})");

        // The version is each server's own.
        reply = packet[1] == BinaryPacket.Version && packet[7] == 0 ? "(version)" : BinaryPacket.Show(packet, cas);
        return true;
    }
}
