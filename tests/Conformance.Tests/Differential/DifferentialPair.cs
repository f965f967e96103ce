namespace OrleansCache.Conformance.Differential;

/// <summary>A memcached and the server under test, for all tests of a class. Without a memcached nothing is started, and every test is skipped.</summary>
public abstract class DifferentialPair(params string[] arguments) : IAsyncLifetime
{
    // While another thread of memcached holds an item, a counter is stored anew, without padding: it runs with one worker and without background threads.
    private static readonly string[] s_memcachedOptions = ["-m", "256", "-t", "1", "-o", "no_modern"];
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(15);

    private ServerProcess? _reference;
    private ServerProcess? _tested;

    public ServerProcess Reference => _reference ?? throw new InvalidOperationException("Not started");

    public ServerProcess Tested => _tested ?? throw new InvalidOperationException("Not started");

    public async Task InitializeAsync()
    {
        if (Peer.WhyNot("memcached", []) is not null)
            return;
        _reference = await ServerProcess.StartAsync(ServerKind.Memcached, s_memcachedOptions);
        if (Environment.GetEnvironmentVariable("ORLEANSCACHE_DIFFERENTIAL_SERVER") is { Length: > 0 } other)
        {
            int port = TestPorts.Next();
            _tested = ServerProcess.Launch([other, "-u", "nobody", "-U", "0", "-l", "127.0.0.1", "-p", ServerUnderTest.Invariant(port), .. s_memcachedOptions],
                port);
            await _tested.WaitUntilServingAsync(s_startTimeout);
        }
        else
        {
            _tested = await ServerProcess.StartAsync(ServerUnderTest.IsMemcached ? s_memcachedOptions : ["-m", "256", .. arguments]);
        }
    }

    public async Task DisposeAsync()
    {
        if (_reference is not null)
            await _reference.DisposeAsync();
        if (_tested is not null)
            await _tested.DisposeAsync();
    }
}

/// <summary>With the options of a plain start.</summary>
public sealed class DefaultPair() : DifferentialPair;

/// <summary>With the transport of systems other than Linux.</summary>
public sealed class PipelinesPair() : DifferentialPair("--transport", "pipelines");
