namespace OrleansCache.Silo.Options;

/// <summary>Guesses what a misspelt name was meant to be: the nearest known one by edit distance, if it is near at all.</summary>
internal static class Spelling
{
    private const int NameCharactersMax = 64;

    public static string? Nearest(string name, IEnumerable<string> known)
    {
        if (name.Length > NameCharactersMax)
            return null;
        string? best = null;
        int bestDistance = 1 + (name.Length < 4 ? 1 : Math.Max(2, name.Length / 3));
        foreach (string candidate in known)
        {
            int distance = Distance(name, candidate);
            if (distance < bestDistance)
                (best, bestDistance) = (candidate, distance);
        }

        return best;
    }

    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int substituted = diagonal + (char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substituted, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[b.Length];
    }
}
