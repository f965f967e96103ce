namespace OrleansCache.Chaos;

/// <summary>Which silo owns which of the written keys: a store's line of `watch mutations` names it.</summary>
internal static class OwnerMap
{
    private static readonly TimeSpan s_lookMax = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_lineMax = TimeSpan.FromSeconds(2);

    /// <summary>The port between silos of each key's owner, as far as the keys are written within some seconds; nothing may move meanwhile.</summary>
    public static async Task<Dictionary<string, int>> ReadAsync(Silo gateway, IReadOnlyCollection<string> keys)
    {
        Dictionary<string, int> owners = [];
        long until = Environment.TickCount64 + (long)s_lookMax.TotalMilliseconds;
        using var client = new TextClient(gateway.Gateway, s_lineMax);
        try
        {
            if (await client.CommandAsync("watch mutations") != "OK")
                return owners;
            HashSet<string> awaited = [.. keys];
            while (awaited.Count > 0 && Environment.TickCount64 < until)
            {
                string line = await client.ReadLineAsync();
                string? key = Word(line, " key="), silo = Word(line, " silo=");
                if (key is not null && silo is not null && awaited.Remove(key)
                    && int.TryParse(silo.AsSpan(silo.LastIndexOf(':') + 1), System.Globalization.CultureInfo.InvariantCulture, out int port))
                    owners[key] = port;
            }
        }
        catch (ConnectionLostException)
        {
            // What is not known counts for nobody.
        }

        return owners;
    }

    private static string? Word(string line, string name)
    {
        int at = line.IndexOf(name, StringComparison.Ordinal);
        if (at < 0)
            return null;
        int start = at + name.Length, end = line.IndexOf(' ', start);
        return end < 0 ? line[start..] : line[start..end];
    }
}
