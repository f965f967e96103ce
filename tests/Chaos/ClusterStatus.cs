using System.Globalization;

namespace OrleansCache.Chaos;

/// <summary>Reads `stats cluster`.</summary>
internal static class ClusterStatus
{
    /// <summary>--seeds, unless said otherwise.</summary>
    private const int SeedsWanted = 3;

    /// <summary>What is lacking until these silos serve everything, with all replicas; null if nothing is.</summary>
    /// <param name="withSeeds">Where silos keep the membership: all of its seeds must answer, and be three if there are as many silos.</param>
    public static string? WhyNotWhole(IReadOnlyList<KeyValuePair<string, string>> statistics, int silos, int replicas, bool withSeeds)
    {
        long Total(string name) =>
            long.TryParse(statistics.FirstOrDefault(value => value.Key == name).Value, CultureInfo.InvariantCulture, out long number) ? number : -1;
        if (Total("silos") != silos || Total("silos_answering") != silos)
            return string.Create(CultureInfo.InvariantCulture, $"{Total("silos")} silos, {Total("silos_answering")} of them answer, instead of {silos}");

        if (withSeeds && Total("seeds") is >= 0 and long seeds && (Total("seed") != seeds || (seeds < SeedsWanted && silos >= SeedsWanted)))
            return string.Create(CultureInfo.InvariantCulture, $"{Total("seed")} of {seeds} seeds answer");

        long served = 0, replicated = 0, incomplete = 0, moving = 0;
        foreach ((string name, string value) in statistics)
        {
            if (!name.StartsWith("silo:", StringComparison.Ordinal))
                continue;
            served += Of(value, "partitions");
            replicated += Of(value, "partitions_replicated");
            incomplete += Of(value, "replica_copies_incomplete");
            moving += Of(value, "partitions_moving");
        }

        long wanted = Total("partitions") * Math.Min(replicas, silos - 1);
        return served == Total("partitions") && replicated == wanted && incomplete == 0 && moving == 0 ? null
            : string.Create(CultureInfo.InvariantCulture,
                $"{served} partitions served, {moving} moving, {replicated} of {wanted} replicas complete, {incomplete} copies not complete");
    }

    private static long Of(string line, string name)
    {
        foreach (string word in line.Split(' '))
        {
            if (word.StartsWith(name, StringComparison.Ordinal) && word.Length > name.Length && word[name.Length] == '='
                && long.TryParse(word.AsSpan(name.Length + 1), CultureInfo.InvariantCulture, out long number))
                return number;
        }

        return 0;
    }
}
