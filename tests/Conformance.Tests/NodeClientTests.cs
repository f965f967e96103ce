namespace OrleansCache.Conformance;

/// <summary>The npm packages do what node services do with them.</summary>
public sealed class NodeClientTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    [PeerTheory("node", "memcached")]
    [InlineData("basics")]
    [InlineData("json_values")]
    [InlineData("multi_get")]
    [InlineData("cas_loop")]
    [InlineData("counters_and_lock")]
    [InlineData("expiry")]
    [InlineData("sizes")]
    [InlineData("monitoring")]
    public Task Memcached(string scenario) => ClientScript.NodeAsync("memcached.js", scenario, fixture.Server);

    [BinaryPeerFact("node", "memjs")]
    public Task Memjs() => ClientScript.NodeAsync("memjs.js", "everyday", fixture.Server);
}
