using System.Collections.Concurrent;

namespace OrleansCache.Conformance;

/// <summary>Finds out, once per tool and module, whether a client program or library is installed here.</summary>
internal static class Peer
{
    private static readonly TimeSpan s_probeTimeout = TimeSpan.FromSeconds(20);
    private static readonly ConcurrentDictionary<string, Lazy<string?>> s_reasons = new();

    /// <summary>The distribution's interpreter, which has the distribution's client libraries; another one where ORLEANSCACHE_PYTHON names it.</summary>
    public static string Python { get; } = Environment.GetEnvironmentVariable("ORLEANSCACHE_PYTHON") is { Length: > 0 } named ? named : "/usr/bin/python3";

    /// <summary>Debian's memcached brings it.</summary>
    public static string MemcachedTool => "/usr/share/memcached/scripts/memcached-tool";

    /// <summary>The folder of the scripts that drive the client libraries.</summary>
    public static string Scripts { get; } = Path.Combine(ServerUnderTest.RepositoryRoot, "tests", "Conformance.Tests", "clients");

    /// <summary>The folder of the npm packages: ORLEANSCACHE_NODE_MODULES, or the one beside the scripts.</summary>
    public static string NodeModules { get; } = Environment.GetEnvironmentVariable("ORLEANSCACHE_NODE_MODULES") is { Length: > 0 } named
        ? Path.GetFullPath(named) : Path.Combine(Scripts, "node_modules");

    /// <summary>Null when the tool and all modules are there, otherwise why not.</summary>
    public static string? WhyNot(string tool, string[] modules)
    {
        foreach (string module in modules.Length == 0 ? [""] : modules)
        {
            string? reason = s_reasons.GetOrAdd($"{tool} {module}", _ => new Lazy<string?>(() => Probe(tool, module))).Value;
            if (reason is not null)
                return reason;
        }
        return null;
    }

    /// <summary>The full path of a tool: as it stands when it is a path, otherwise looked up in PATH.</summary>
    public static string? Find(string tool)
    {
        if (tool.Contains('/', StringComparison.Ordinal))
            return File.Exists(tool) ? tool : null;
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return folders.Concat(["/usr/sbin", "/sbin"]).Select(folder => Path.Combine(folder, tool)).FirstOrDefault(File.Exists);
    }

    private static string? Probe(string tool, string module)
    {
        // What the tool prints is compared with what it prints of a memcached.
        if (tool == "memcached-tool" && module.Length > 0)
            return Probe(tool, "") ?? WhyNot(module, []);
        string? path = Find(tool switch
        {
            "python3" => Python,
            "memcached" => ServerUnderTest.MemcachedPath,
            "memcached-tool" => MemcachedTool,
            _ => tool,
        });
        if (path is null)
            return $"{tool} is not installed";
        if (module.Length == 0)
            return null;
        string[] command = tool switch
        {
            "python3" => [path, "-c", $"import {module}"],
            "node" => [path, "-e", $"require.resolve('{module}', {{ paths: [process.env.NODE_PATH] }})"],
            "php" => [path, "-r", $"exit(extension_loaded('{module}') ? 0 : 1);"],
            "ruby" when module.Split(" >= ") is [string name, string version] =>
                [path, "-e", $"require '{name}'; exit(Object.const_get('{name}'.capitalize)::VERSION.to_f >= {version})"],
            "ruby" => [path, "-e", $"require '{module}'"],
            "perl" => [path, $"-M{module}", "-e", "1"],
            _ => throw new ArgumentException($"{tool} has no modules", nameof(tool)),
        };
        (int exitCode, _, _) = ChildProcess.RunAsync(command, s_probeTimeout, ClientScript.Environment).GetAwaiter().GetResult();
        return exitCode == 0 ? null : $"{tool} has no module {module}";
    }
}

/// <summary>A test that needs a client program and its libraries; where they are missing it is skipped and says what is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PeerFactAttribute : FactAttribute
{
    public PeerFactAttribute(string tool, params string[] modules)
    {
        Tool = tool;
        Modules = modules;
        Skip = Peer.WhyNot(tool, modules);
    }

    public string Tool { get; }

    public string[] Modules { get; }
}

/// <summary>The same for a theory.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PeerTheoryAttribute : TheoryAttribute
{
    public PeerTheoryAttribute(string tool, params string[] modules)
    {
        Tool = tool;
        Modules = modules;
        Skip = Peer.WhyNot(tool, modules);
    }

    public string Tool { get; }

    public string[] Modules { get; }
}
