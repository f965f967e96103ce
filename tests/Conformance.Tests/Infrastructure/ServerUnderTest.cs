namespace OrleansCache.Conformance;

/// <summary>
/// Says which program the black-box tests start: the OrleansCache that was built in the same form and configuration as this test assembly, or, with
/// ORLEANSCACHE_TEST_SERVER=memcached, a memcached, which shows that the tests themselves are right.
/// </summary>
public static class ServerUnderTest
{
    /// <summary>The name of the environment variable that chooses the server.</summary>
    public const string Variable = "ORLEANSCACHE_TEST_SERVER";

    /// <summary>
    /// More options for every OrleansCache that the tests start, from ORLEANSCACHE_TEST_OPTIONS, separated by spaces: `--transport pipelines` runs the suite
    /// over the other transport.
    /// </summary>
    private static readonly string[] s_options =
        (Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_OPTIONS") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>True when the suite runs against memcached instead of OrleansCache.</summary>
    public static bool IsMemcached { get; } = Environment.GetEnvironmentVariable(Variable) == "memcached";

    /// <summary>The memcached to compare with: the one that MEMCACHED names, or the distribution's.</summary>
    public static string MemcachedPath { get; } = Environment.GetEnvironmentVariable("MEMCACHED") is { Length: > 0 } named ? named : "/usr/bin/memcached";

    /// <summary>The repository's root: the nearest folder above this assembly that holds the solution.</summary>
    public static string RepositoryRoot { get; } = Repository.Root;

    /// <summary>The built OrleansCache.dll beside this test assembly: artifacts/FORM/bin/OrleansCache.Silo/CONFIGURATION/.</summary>
    public static string OrleansCachePath { get; } = Path.GetFullPath(
        Path.Combine(AppContext.BaseDirectory, "..", "..", "OrleansCache.Silo", new DirectoryInfo(AppContext.BaseDirectory).Name, "OrleansCache.dll"));

    /// <summary>The command that starts the program <paramref name="kind"/> on <paramref name="port"/>.</summary>
    internal static List<string> CommandLine(ServerKind kind, int port, IReadOnlyList<string> arguments)
    {
        List<string> command = [];
        if (kind == ServerKind.Memcached)
        {
            command.AddRange([MemcachedPath, "-U", "0", "-l", "127.0.0.1", "-p", Invariant(port)]);
            // memcached refuses to run as root without being told whose rights to take.
            if (Environment.UserName == "root")
                command.AddRange(["-u", "nobody"]);
        }
        else
        {
            command.AddRange([DotnetPath(), OrleansCachePath, "serve", "-l", "127.0.0.1", "-p", Invariant(port), .. s_options]);
        }
        command.AddRange(arguments);
        return command;
    }

    /// <summary>The command that runs OrleansCache with exactly these arguments.</summary>
    internal static List<string> OrleansCacheCommand(IEnumerable<string> arguments) => [DotnetPath(), OrleansCachePath, .. arguments, .. s_options];

    internal static string Invariant(int number) => number.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static string DotnetPath()
    {
        if (Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host)
            return host;
        return Environment.ProcessPath is { } self && Path.GetFileNameWithoutExtension(self) == "dotnet" ? self : "dotnet";
    }
}

/// <summary>The programs that <see cref="ServerProcess"/> can start.</summary>
public enum ServerKind
{
    OrleansCache,
    Memcached,
}
