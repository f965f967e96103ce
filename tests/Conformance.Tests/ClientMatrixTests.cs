namespace OrleansCache.Conformance;

/// <summary>
/// Every client library does all that it can do, against memcached and against OrleansCache over both transports. docs/clients.md lists them with their versions.
/// </summary>
public sealed class ClientMatrixTests(ClientMatrixTests.Servers servers) : IClassFixture<ClientMatrixTests.Servers>
{
    [Theory]
    [Client("php-memcached", "text")]
    [Client("php-memcached", "binary")]
    [Client("dalli", "binary")]
    [Client("dalli", "meta")]
    [Client("Cache::Memcached", "text")]
    [Client("Cache::Memcached::Fast", "text")]
    [Client("gomemcache", "text")]
    [Client("spymemcached", "text")]
    [Client("spymemcached", "binary")]
    [Client("memcached", "text")]
    [Client("memjs", "binary")]
    [Client("pymemcache", "text")]
    [Client("pymemcache-hash", "text")]
    [Client("pylibmc", "text")]
    [Client("pylibmc", "binary")]
    [Client("python-memcached", "text")]
    public Task FindsEverythingAsItMustBe(string client, string protocol, ServerKind kind) =>
        // The pairs side by side: a program spends most of its time waiting for an item to expire.
        Task.WhenAll(servers.Pairs(kind).Select(pair => ClientProgram.RunAsync(client, protocol, pair.First, pair.Second)));

    /// <summary>Two memcached, and two nodes for each transport.</summary>
    public sealed class Servers : IAsyncLifetime
    {
        private readonly Dictionary<ServerKind, List<(ServerProcess First, ServerProcess Second)>> _pairs = [];

        internal IEnumerable<(ServerProcess First, ServerProcess Second)> Pairs(ServerKind kind) => _pairs[kind];

        public async Task InitializeAsync()
        {
            if (Peer.WhyNot("memcached", []) is null)
                _pairs[ServerKind.Memcached] = [await StartAsync(ServerKind.Memcached)];
            if (!ServerUnderTest.IsMemcached)
            {
                _pairs[ServerKind.OrleansCache] =
                [
                    await StartAsync(ServerKind.OrleansCache, "--transport", "epoll"),
                    await StartAsync(ServerKind.OrleansCache, "--transport", "pipelines"),
                ];
            }
        }

        public async Task DisposeAsync()
        {
            foreach ((ServerProcess first, ServerProcess second) in _pairs.Values.SelectMany(pairs => pairs))
            {
                await first.DisposeAsync();
                await second.DisposeAsync();
            }
        }

        private static async Task<(ServerProcess First, ServerProcess Second)> StartAsync(ServerKind kind, params string[] arguments)
        {
            Task<ServerProcess> first = ServerProcess.StartAsync(kind, arguments);
            Task<ServerProcess> second = ServerProcess.StartAsync(kind, arguments);
            return (await first, await second);
        }
    }
}
