namespace OrleansCache.Conformance;

/// <summary>
/// Runs the scripts in tests/Conformance.Tests/clients, which drive real client libraries. A script that finds something wrong exits with another code
/// than 0.
/// </summary>
public static class ClientScript
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    internal static Dictionary<string, string> Environment { get; } = new()
    {
        ["NODE_PATH"] = Peer.NodeModules,
        ["PYTHONDONTWRITEBYTECODE"] = "1",
        ["PYTHONUNBUFFERED"] = "1",
    };

    /// <summary>Runs one scenario of clients/check.py with one client library.</summary>
    public static Task PythonAsync(string client, string scenario, params ServerProcess[] servers) =>
        RunAsync([Peer.Python, Path.Combine(Peer.Scripts, "check.py"), client, scenario, .. servers.Select(Address)], servers);

    /// <summary>Runs a node script with the servers' addresses and further arguments.</summary>
    public static Task NodeAsync(string script, string scenario, params ServerProcess[] servers) =>
        RunAsync([Peer.Find("node")!, Path.Combine(Peer.Scripts, script), scenario, .. servers.Select(Address)], servers);

    /// <summary>Runs a program to its end, expects exit code 0, and returns what it printed.</summary>
    public static async Task<string> RunAsync(IReadOnlyList<string> command, params ServerProcess[] servers)
    {
        (int exitCode, string printed, _) = await ChildProcess.RunAsync(command, s_timeout, Environment, Peer.Scripts);
        if (exitCode != 0)
        {
            Assert.Fail($"$ {string.Join(' ', command)}\nexit code {exitCode}\n{printed}\n\nServers:\n"
                + string.Join('\n', servers.Select(server => server.Output)));
        }
        return printed;
    }

    public static string Address(ServerProcess server)
    {
        ArgumentNullException.ThrowIfNull(server);
        return "127.0.0.1:" + ServerUnderTest.Invariant(server.Port);
    }
}
