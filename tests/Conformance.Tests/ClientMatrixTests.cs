namespace OrleansCache.Conformance;

/// <summary>
/// Every client library does all that it can do, against memcached and against OrleansCache over both transports. docs/clients.md lists them with their
/// versions.
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
    public Task FindsEverythingAsItMustBe(string client, string protocol, ServerKind kind) => servers.RunAsync(client, protocol, kind);

    /// <summary>Two memcached, and two nodes for each transport.</summary>
    public sealed class Servers : IAsyncLifetime
    {
        private readonly Dictionary<ServerKind, List<(ServerProcess First, ServerProcess Second)>> _pairs = [];

        private readonly Dictionary<(string Client, string Protocol), Dictionary<ServerKind, Task>> _runs = [];
        private Task _running = Task.CompletedTask;

        /// <summary>
        /// Runs a client's program. It is started against all servers at once, because it spends most of its time waiting for items to expire; the row of the
        /// other kind then finds its result. Programs flush their servers, so only one client is at work at a time.
        /// </summary>
        internal async Task RunAsync(string client, string protocol, ServerKind kind)
        {
            if (!_runs.TryGetValue((client, protocol), out Dictionary<ServerKind, Task>? runs))
            {
                await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                runs = _pairs.ToDictionary(pairs => pairs.Key,
                    pairs => Task.WhenAll(pairs.Value.Select(pair => ClientProgram.RunAsync(client, protocol, pair.First, pair.Second))));
                _runs.Add((client, protocol), runs);
                _running = Task.WhenAll(runs.Values);
            }
            await runs[kind];
        }

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
            await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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
