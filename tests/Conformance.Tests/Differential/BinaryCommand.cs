using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// One packet of a stream. Its opaque is its place in the write, by which replies are told apart; its CAS, if there is a
/// <see cref="DifferentialCommand.CasKey"/>, is what the server said.
/// </summary>
internal sealed record BinaryCommand(string Packet, string? CasKey = null, int CasAge = 0, string[]? Keys = null, bool IsRead = false,
    Pipelining Pipelining = Pipelining.Free)
    : DifferentialCommand(Packet, CasKey, CasAge, "", Keys, IsRead, Pipelining)
{
    private const int OpaqueAt = 12;
    private const int CasAt = 16;

    public void Render(StringBuilder target, CasMemory memory, uint opaque)
    {
        if (Packet.Length < BinaryPacket.HeaderBytes)
        {
            target.Append(Packet);
            return;
        }

        target.Append(Packet, 0, OpaqueAt).Append(BinaryPacket.Number(opaque));
        if (CasKey is null)
            target.Append(Packet, CasAt, sizeof(ulong));
        else
            target.Append(BinaryPacket.Number(ulong.Parse(memory.Number(CasKey, CasAge), CultureInfo.InvariantCulture)));
        target.Append(Packet, BinaryPacket.HeaderBytes, Packet.Length - BinaryPacket.HeaderBytes);
    }

    /// <summary>Opcode, and the rest as Latin-1; the header only where it does not say the truth.</summary>
    public override string ToString()
    {
        byte[] bytes = Encoding.Latin1.GetBytes(Packet);
        if (bytes.Length < BinaryPacket.HeaderBytes)
            return Show(Packet);
        int key = (bytes[2] << 8) | bytes[3], extras = bytes[4];
        int body = bytes.Length - BinaryPacket.HeaderBytes;
        string cas = CasKey is null ? "" : string.Create(CultureInfo.InvariantCulture, $" cas={{of {CasKey}, age {CasAge}}}");
        if (bytes[0] != 0x80 || key + extras > body || BinaryPacket.WholeReply(bytes) != bytes.Length)
            return $"packet {Show(Packet)}{cas}";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{bytes[1]:x2} ext={Convert.ToHexStringLower(bytes, BinaryPacket.HeaderBytes, extras)} key={Show(Packet.Substring(24 + extras, key))} "
                + $"[{Show(Packet[(24 + extras + key)..])}]{cas}");
    }
}
