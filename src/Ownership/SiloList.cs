using System.Globalization;
using System.Net;

namespace OrleansCache.Ownership;

/// <summary>
/// A silo and where it is reached, as <c>host|address|port|port for gateways</c>: the first three for clients, the last for gateways that run alone; parts
/// that there are not are empty, and all of it while nobody should use it: the silo does not listen yet, or is leaving.
/// </summary>
public readonly record struct SiloEntry(SiloId Silo, string Gateway)
{
    /// <summary>The gateway's parts; null if there is none.</summary>
    public GatewayAddress? ReadGateway() =>
        (Gateway ?? "").Split('|') is [{ Length: > 0 } host, { Length: > 0 } address, { } port, ..]
            && int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? new GatewayAddress(host, address, number) : null;

    /// <summary>Where gateways that run alone reach this silo; null if nowhere.</summary>
    public IPEndPoint? ReadPortForGateways() =>
        (Gateway ?? "").Split('|') is [_, _, _, { } port] && ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out ushort number)
            && IPEndPoint.TryParse(Silo.Text.Split('@')[0], out IPEndPoint? silo) ? new IPEndPoint(silo.Address, number) : null;

    /// <summary>The text form.</summary>
    public static string Write(GatewayAddress? gateway, int? portForGateways = null)
    {
        string clients = gateway is null ? "||" : string.Create(CultureInfo.InvariantCulture, $"{gateway.Host}|{gateway.Address}|{gateway.Port}");
        return portForGateways is null && gateway is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{clients}|{portForGateways}");
    }
}

/// <summary>
/// The cluster's silos, in the order of their age. The coordinator makes it from what the silos say of themselves; the version rises with every change, across
/// coordinators too, and stays small, because clients read it as a 32-bit number.
/// </summary>
public sealed record SiloList(int Version, IReadOnlyList<SiloEntry> Silos)
{
    /// <summary>
    /// What a new coordinator adds to the highest version that it finds: so many its predecessor may have made that nobody it reached has survived.
    /// </summary>
    public const int VersionsPerTerm = 16;

    private const byte Layout = 1;

    public static SiloList Empty { get; } = new(0, []);

    public bool Contains(SiloId silo) => Silos.Any(entry => entry.Silo == silo);

    public GatewayList ToGateways() => new(Version, [.. Silos.Select(entry => entry.ReadGateway()).OfType<GatewayAddress>()]);

    public byte[] Encode()
    {
        MessageWriter writer = new();
        writer.Byte(Layout);
        writer.Int32(Version);
        writer.Int32(Silos.Count);
        foreach (SiloEntry entry in Silos)
        {
            writer.Text(entry.Silo.Text);
            writer.Text(entry.Gateway);
        }

        return writer.ToArray();
    }

    public static bool TryDecode(ReadOnlySpan<byte> wire, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out SiloList? list)
    {
        list = null;
        WireReader reader = new(wire);
        if (reader.Byte() != Layout)
            return false;
        int version = reader.Int32();
        int count = reader.Int32();
        if (count < 0 || count > reader.Remaining)
            return false;
        SiloEntry[] silos = new SiloEntry[count];
        for (int i = 0; i < count; i++)
            silos[i] = new SiloEntry(reader.Silo(), reader.String());
        if (reader.Failed || reader.Remaining != 0)
            return false;
        list = new SiloList(version, silos);
        return true;
    }
}
