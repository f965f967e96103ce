namespace OrleansCache.Conformance;

/// <summary>The Python libraries of the distribution do what people do with them; clients/scenarios.py says what that is.</summary>
public sealed class PythonClientTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    /// <summary>What every library can do.</summary>
    public static TheoryData<string> Everyday { get; } = new(
        "basics", "binary_values", "json_values", "native_objects", "multi_get_and_set", "cas_loop", "lock", "lock_runs_out", "rate_limiter", "counters",
        "expiry", "cached_function", "longest_keys", "large_values");

    [PeerTheory("python3", "pymemcache")]
    [MemberData(nameof(Everyday))]
    [InlineData("pymemcache_json_serde")]
    [InlineData("compressed_values")]
    public Task PymemcacheClient(string scenario) => ClientScript.PythonAsync("pymemcache", scenario, fixture.Server);

    [PeerTheory("python3", "pymemcache")]
    [MemberData(nameof(Everyday))]
    [InlineData("threads_share_a_pool")]
    [InlineData("compressed_values")]
    public Task PymemcachePooledClient(string scenario) => ClientScript.PythonAsync("pymemcache-pooled", scenario, fixture.Server);

    [PeerTheory("python3", "pymemcache")]
    [MemberData(nameof(Everyday))]
    public Task PymemcacheHashClient(string scenario) => ClientScript.PythonAsync("pymemcache-hash", scenario, fixture.Server);

    [PeerTheory("python3", "pylibmc", "pymemcache")]
    [MemberData(nameof(Everyday))]
    [InlineData("compressed_values")]
    public Task Pylibmc(string scenario) => ClientScript.PythonAsync("pylibmc", scenario, fixture.Server);

    [PeerTheory("python3", "memcache", "pymemcache")]
    [MemberData(nameof(Everyday))]
    [InlineData("threads_share_a_pool")]
    [InlineData("compressed_values")]
    public Task PythonMemcached(string scenario) => ClientScript.PythonAsync("memcache", scenario, fixture.Server);

    [PeerTheory("python3", "flask_session", "pymemcache", "pylibmc", "memcache")]
    [InlineData("pymemcache")]
    [InlineData("pylibmc")]
    [InlineData("memcache")]
    public Task FlaskSession(string client) => ClientScript.PythonAsync(client, "flask_sessions", fixture.Server);
}

/// <summary>The same libraries flush everything, each on a server of its own.</summary>
public sealed class PythonFlushTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    [PeerTheory("python3", "pymemcache", "pylibmc", "memcache")]
    [InlineData("pymemcache")]
    [InlineData("pymemcache-pooled")]
    [InlineData("pymemcache-hash")]
    [InlineData("pylibmc")]
    [InlineData("memcache")]
    public Task Flush(string client) => ClientScript.PythonAsync(client, "flush", fixture.Server);
}
