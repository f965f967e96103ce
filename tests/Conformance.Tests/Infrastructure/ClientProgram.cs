using System.Reflection;

using Xunit.Sdk;

namespace OrleansCache.Conformance;

/// <summary>
/// The clients of the matrix: what each needs, and how its program in tests/Conformance.Tests/clients is started. Such a program is written in the client's
/// own language, takes the addresses of two servers, goes through everything that the client can do, and exits with 0 when all of it was right. It works with
/// the first server; over both it lets the client spread its keys, which serves two nodes as well as two gateways of one cluster.
/// </summary>
internal static class ClientProgram
{
    private const string GoPath = "/usr/share/gocode";
    private const string SpymemcachedJar = "/usr/share/java/spymemcached.jar";

    private static readonly TimeSpan s_buildTimeout = TimeSpan.FromSeconds(120);

    // Built once per run, into a folder that goes away with the test process.
    private static readonly Lazy<Task<string>> s_go = new(BuildGoAsync);
    private static readonly Lazy<Task<string>> s_java = new(BuildJavaAsync);
    private static readonly Lazy<string> s_folder = new(() =>
    {
        string folder = Directory.CreateTempSubdirectory("orleanscache-clients-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        return folder;
    });

    /// <summary>Null when all that the client needs is installed, otherwise what is missing.</summary>
    public static string? WhyNot(string client, string protocol) => client switch
    {
        "php-memcached" => Peer.WhyNot("php", ["memcached", "pcntl", "posix"]),
        // Meta can be had from 3.2 on, but before 4 not with line ends in values. RUBYLIB can name another dalli than Debian's.
        "dalli" => Peer.WhyNot("ruby", [protocol == "meta" ? "dalli >= 4" : "dalli"]),
        "Cache::Memcached" => Peer.WhyNot("perl", ["Cache::Memcached"]),
        "Cache::Memcached::Fast" => Peer.WhyNot("perl", ["Cache::Memcached::Fast"]),
        "gomemcache" => Peer.WhyNot("go", []) ?? NoFile("go", $"{GoPath}/src/github.com/bradfitz/gomemcache/memcache/memcache.go"),
        "spymemcached" => Peer.WhyNot("javac", []) ?? Peer.WhyNot("java", []) ?? NoFile("java", SpymemcachedJar),
        "memcached" or "memjs" => Peer.WhyNot("node", [client]),
        "pylibmc" => Peer.WhyNot("python3", ["pylibmc", "pymemcache"]),
        "python-memcached" => Peer.WhyNot("python3", ["memcache", "pymemcache"]),
        _ => Peer.WhyNot("python3", ["pymemcache"]),
    };

    /// <summary>Runs the client's program against two servers and expects that it finds everything right.</summary>
    public static async Task RunAsync(string client, string protocol, ServerProcess first, ServerProcess second) =>
        await ClientScript.RunAsync([.. await CommandAsync(client, protocol), ClientScript.Address(first), ClientScript.Address(second)], first, second);

    private static async Task<IReadOnlyList<string>> CommandAsync(string client, string protocol) => client switch
    {
        "php-memcached" => [Peer.Find("php")!, Script("php-memcached.php"), protocol == "text" ? "ascii" : protocol],
        "dalli" => [Peer.Find("ruby")!, Script("dalli.rb"), protocol],
        "Cache::Memcached" => [Peer.Find("perl")!, Script("cache-memcached.pl"), "plain"],
        "Cache::Memcached::Fast" => [Peer.Find("perl")!, Script("cache-memcached.pl"), "fast"],
        "gomemcache" => [await s_go.Value],
        // The options spare half of the time that a short program takes.
        "spymemcached" =>
        [
            Peer.Find("java")!, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", $"{SpymemcachedJar}:{await s_java.Value}", "Spymemcached",
            protocol == "text" ? "ascii" : protocol,
        ],
        "memcached" or "memjs" => [Peer.Find("node")!, Script(client + ".js"), "all"],
        "python-memcached" => [Peer.Python, Script("check.py"), "memcache", "matrix"],
        _ => [Peer.Python, Script("check.py"), protocol == "text" ? client : $"{client}-{protocol}", "matrix"],
    };

    private static string Script(string name) => Path.Combine(Peer.Scripts, name);

    private static string? NoFile(string tool, string path) => File.Exists(path) ? null : $"{tool} has no {path}";

    private static async Task<string> BuildGoAsync()
    {
        string program = Path.Combine(s_folder.Value, "gomemcache");
        // Without modules, as Debian's library packages want it.
        Dictionary<string, string> environment = new()
        {
            ["GO111MODULE"] = "off",
            ["GOPATH"] = GoPath,
            ["GOCACHE"] = Path.Combine(s_folder.Value, "go-cache"),
            ["GOFLAGS"] = "",
        };
        await BuildAsync([Peer.Find("go")!, "build", "-o", program, Script("gomemcache.go")], environment);
        return program;
    }

    private static async Task<string> BuildJavaAsync()
    {
        string folder = Path.Combine(s_folder.Value, "java");
        await BuildAsync([Peer.Find("javac")!, "-encoding", "UTF-8", "-cp", SpymemcachedJar, "-d", folder, Script("Spymemcached.java")], []);
        return folder;
    }

    private static async Task BuildAsync(IReadOnlyList<string> command, Dictionary<string, string> environment)
    {
        (int exitCode, string printed, _) = await ChildProcess.RunAsync(command, s_buildTimeout, environment, s_folder.Value);
        Assert.True(exitCode == 0, $"$ {string.Join(' ', command)}\nexit code {exitCode}\n{printed}");
    }
}

/// <summary>
/// A row of the matrix: a client, its protocol, and in turn memcached (which shows that the program is right) and OrleansCache. The row is skipped with the
/// reason where the client is not installed.
/// </summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class ClientAttribute : DataAttribute
{
    private readonly bool _withMemcached;

    public ClientAttribute(string client, string protocol)
    {
        Client = client;
        Protocol = protocol;
        Skip = ClientProgram.WhyNot(client, protocol);
        _withMemcached = Peer.WhyNot("memcached", []) is null;
    }

    public string Client { get; }

    public string Protocol { get; }

    public override IEnumerable<object[]> GetData(MethodInfo testMethod)
    {
        if (_withMemcached)
            yield return [Client, Protocol, ServerKind.Memcached];
        if (!ServerUnderTest.IsMemcached)
            yield return [Client, Protocol, ServerKind.OrleansCache];
    }
}
