using OrleansCache.Gateway.Options;

namespace OrleansCache.Silo;

/// <summary>What the program says about itself.</summary>
internal static class Product
{
    public const string License = """
        OrleansCache is written from scratch against memcached's published protocol and contains none of memcached's code.
        It runs on .NET (MIT) and, in the build with cluster support, with Microsoft Orleans (MIT) and Npgsql (PostgreSQL licence).
        """;

    /// <summary>First line of -h and -V. Tools look for memcached's name and number there, which say what this keeps to.</summary>
    public static string Title => $"memcached {MemcachedVersion} (OrleansCache {Version})";

    /// <summary>The memcached whose contract is kept.</summary>
    public static string MemcachedVersion { get; } = new GatewayOptions().Version;

    public static string Version { get; } = typeof(Product).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";

    /// <summary>A defect of ours: one line, and the stack trace only for those who asked for it.</summary>
    public static int Fail(Exception exception, int verbosity)
    {
        string reason = verbosity >= 2 ? exception.ToString() : $"{exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")} (-vv shows more)";
        Console.Error.WriteLine($"orleanscache: internal error: {reason}");
        return ExitCode.Software;
    }
}
