namespace OrleansCache.Silo.Options;

/// <summary>
/// Environment variables that begin as ours and are none of ours: most are misspelt, and would be ignored in silence. Those that Kubernetes makes for
/// a service named orleanscache look like ours, too (ORLEANSCACHE_PORT=tcp://10.0.0.1:11211), and mean nothing here.
/// </summary>
internal static class VariableNames
{
    private const string Prefix = "ORLEANSCACHE_";

    /// <summary>Read by the launcher, by the tests, or by this program's own child.</summary>
    private static readonly string[] s_others = ["ORLEANSCACHE_CLUSTER", "ORLEANSCACHE_LAUNCHER", "ORLEANSCACHE_SERVER", "ORLEANSCACHE_PYTHON",
        "ORLEANSCACHE_NODE_MODULES", Hosting.Daemon.Marker];

    private static readonly string[] s_otherPrefixes = ["ORLEANSCACHE_TEST_", "ORLEANSCACHE_DIFFERENTIAL_"];

    /// <summary>A warning for each that nobody reads.</summary>
    public static IEnumerable<string> FindUnknown(IEnumerable<string> names)
    {
        string[] ours = [.. names.Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        foreach (string name in ours)
        {
            bool isService = ours.Contains(name[..^Math.Min(name.Length, "_PORT".Length)] + "_SERVICE_HOST");
            if (OptionTable.All.Any(option => option.Variable == name) || s_others.Contains(name)
                || s_otherPrefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)) || IsOfKubernetes(name, isService ? "tcp://" : ""))
                continue;
            string? near = Spelling.Nearest(name, OptionTable.All.Select(option => option.Variable));
            yield return $"WARNING: the environment variable {name} is no option and is ignored" + (near is null ? "" : $"; did you mean {near}?");
        }
    }

    /// <summary>Whether Kubernetes has made this variable, to tell a pod about a service.</summary>
    public static bool IsOfKubernetes(string name, string value) =>
        name.Contains("_SERVICE_", StringComparison.Ordinal) || name.Contains("_PORT_", StringComparison.Ordinal)
        || (name.EndsWith("_PORT", StringComparison.Ordinal)
            && (value.StartsWith("tcp://", StringComparison.Ordinal) || value.StartsWith("udp://", StringComparison.Ordinal)));
}
