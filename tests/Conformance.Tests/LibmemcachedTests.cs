namespace OrleansCache.Conformance;

/// <summary>libmemcached's own programs.</summary>
public sealed class LibmemcachedTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    /// <summary>Every test of the tool that passes against memcached passes here.</summary>
    [PeerTheory("memccapable")]
    [InlineData("-a")]
    [InlineData("-b")]
    public async Task MemccapablePassesWhatItPassesAgainstMemcached(string protocol)
    {
        Assert.Null(Peer.WhyNot("memcached", []));
        await using ServerProcess memcached = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using ServerProcess server = await ServerProcess.StartAsync();
        (HashSet<string> expected, string expectedOutput) = await PassedAsync(memcached, protocol);
        (HashSet<string> passed, string output) = await PassedAsync(server, protocol);

        Assert.True(expected.Count >= 20, $"memccapable ran only {expected.Count} tests against memcached:\n{expectedOutput}");
        Assert.True(expected.IsSubsetOf(passed), $"Failed here, passed there: {string.Join(", ", expected.Except(passed))}\n{output}\n{server.Output}");
    }

    [PeerTheory("memcslap")]
    [InlineData("")]
    [InlineData("--binary")]
    public async Task MemcslapLoadsFromManyThreads(string protocol)
    {
        string[] command = [Peer.Find("memcslap")!, $"--servers={ClientScript.Address(fixture.Server)}", "--concurrency=8", "--execute-number=500",
            .. protocol.Length > 0 ? [protocol] : Array.Empty<string>()];
        await ClientScript.RunAsync([.. command, "--test=set"], fixture.Server);
        await ClientScript.RunAsync([.. command, "--test=get"], fixture.Server);
    }

    [PeerFact("memccp")]
    public async Task FilesAreCopiedShownAndRemoved()
    {
        string folder = Directory.CreateTempSubdirectory("orleanscache-").FullName;
        try
        {
            string file = Path.Combine(folder, "copied.txt");
            await File.WriteAllTextAsync(file, "first line\nsecond line\n");
            string servers = $"--servers={ClientScript.Address(fixture.Server)}";
            await ClientScript.RunAsync([Peer.Find("memcping")!, servers], fixture.Server);
            await ClientScript.RunAsync([Peer.Find("memccp")!, servers, file], fixture.Server);
            await ClientScript.RunAsync([Peer.Find("memcexist")!, servers, "copied.txt"], fixture.Server);
            await ClientScript.RunAsync([Peer.Find("memctouch")!, servers, "--expire=1000", "copied.txt"], fixture.Server);
            Assert.StartsWith("first line\nsecond line\n", await ClientScript.RunAsync([Peer.Find("memccat")!, servers, "copied.txt"], fixture.Server),
                StringComparison.Ordinal);
            await ClientScript.RunAsync([Peer.Find("memcrm")!, servers, "copied.txt"], fixture.Server);
            using RawClient client = fixture.Server.Connect();
            Assert.Null(await client.GetAsync("copied.txt"));
            Assert.Contains("curr_items", await ClientScript.RunAsync([Peer.Find("memcstat")!, servers], fixture.Server), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<(HashSet<string> Passed, string Output)> PassedAsync(ServerProcess server, string protocol)
    {
        (_, string output, _) = await ChildProcess.RunAsync(
            [Peer.Find("memccapable")!, "-h", "127.0.0.1", "-p", ServerUnderTest.Invariant(server.Port), protocol, "-v", "-t", "5"], s_timeout);
        HashSet<string> passed = [];
        foreach (string line in output.Split('\n'))
        {
            if (line.TrimEnd().EndsWith("[pass]", StringComparison.Ordinal))
                passed.Add(line[..line.LastIndexOf('[')].Trim());
        }
        return (passed, output);
    }
}
