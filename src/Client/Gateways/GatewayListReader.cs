using System.Globalization;
using System.Net;
using System.Text;

namespace OrleansCache.Client.Gateways;

/// <summary>Reads what `config get cluster` answers: the version, LF, entries host|ip|port with spaces between them, LF.</summary>
internal static class GatewayListReader
{
    public const int GatewaysMax = 1024;

    public static bool TryRead(ReadOnlySpan<byte> body, out long version, out List<GatewayEndPoint> gateways)
    {
        gateways = [];
        string[] lines = Encoding.UTF8.GetString(body).Split('\n');
        if (!long.TryParse(lines[0], NumberStyles.None, CultureInfo.InvariantCulture, out version) || lines.Length < 2)
            return false;
        foreach (string entry in lines[1].Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = entry.Split('|');
            if (parts.Length != 3 || gateways.Count == GatewaysMax
                || !int.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port is 0 or > IPEndPoint.MaxPort)
            {
                return false;
            }

            // The name, if there is one: a certificate is made out for it, and its address may change.
            gateways.Add(GatewayEndPoint.Of(parts[0].Length > 0 ? parts[0] : parts[1], port));
        }

        return gateways.Count > 0;
    }
}
