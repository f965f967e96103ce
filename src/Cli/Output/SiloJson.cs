using System.Text.Json;
using OrleansCache.Cli.Client;

namespace OrleansCache.Cli.Output;

/// <summary>A silo as `status`, `silos` and `top` show it in JSON.</summary>
internal static class SiloJson
{
    public static void Write(Utf8JsonWriter writer, SiloSnapshot silo)
    {
        writer.WriteStartObject();
        writer.WriteString("silo", silo.Name);
        writer.WriteString("state", StateOf(silo));
        writer.WriteString("gateway", silo.Gateway);
        writer.WriteNumber("partitions", silo.Partitions);
        foreach ((string name, long value) in silo.Values)
            writer.WriteNumber(name, value);
        writer.NumberOrNull("hit_ratio", silo.HitRatio);
        writer.WriteEndObject();
    }

    public static string StateOf(SiloSnapshot silo) => !silo.IsUp ? "no answer" : silo.IsDraining ? "draining" : "up";
}
