using System.Text;
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Storage;

namespace OrleansCache.Benchmarks;

/// <summary>
/// Everything between two system calls: a session receives what one recv brought, executes it on the local store and has the replies ready.
/// Per operation (per key for the multi-get), over 100 k items in random order.
/// </summary>
public class SessionBenchmarks : IDisposable
{
    private const int Items = 100_000;
    private const int PipelineDepth = 64;
    private const int KeysPerGet = 50;
    private const int Inputs = 256;
    private readonly byte[][] _gets = new byte[Inputs][];
    private readonly byte[][] _sets = new byte[Inputs][];
    private readonly byte[][] _singleGets = new byte[Inputs][];
    private readonly byte[][] _multiGets = new byte[Inputs][];
    private LocalRouter? _router;
    private LoopContext? _loop;
    private Session? _session;
    private int _next;

    /// <summary>With --http commands are measured.</summary>
    [Params(true, false)]
    public bool Metered { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        var random = new Random(1);
        string value = new('v', 100);
        string Key() => TestKeys.Text(random.Next(Items));
        for (int i = 0; i < Inputs; i++)
        {
            _gets[i] = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, PipelineDepth).Select(_ => $"get {Key()}\r\n")));
            _sets[i] = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, PipelineDepth).Select(_ => $"set {Key()} 0 0 100\r\n{value}\r\n")));
            _singleGets[i] = Encoding.ASCII.GetBytes($"get {Key()}\r\n");
            _multiGets[i] = Encoding.ASCII.GetBytes($"get {string.Join(' ', Enumerable.Range(0, KeysPerGet).Select(_ => Key()))}\r\n");
        }

        _router = new LocalRouter(new StoreOptions { MemoryBytes = 128L * 1024 * 1024 });
        var shared = new GatewayShared(new GatewayOptions { MeterCommands = Metered }, _router, NullLoggerFactory.Instance, TimeProvider.System);
        _loop = new LoopContext(shared, new NoQueue());
        _loop.ReadClock();
        _session = new Session(_loop, new NoTransport());
        for (int i = 0; i < Items; i++)
        {
            _session.Receive(Encoding.ASCII.GetBytes($"set {TestKeys.Text(i)} 0 0 100\r\n{value}\r\n"));
            _session.Output.Clear();
        }
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _session?.Abort();
        _loop?.Dispose();
        _router?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark(OperationsPerInvoke = PipelineDepth)]
    public long Gets() => Receive(_gets);

    [Benchmark(OperationsPerInvoke = PipelineDepth)]
    public long Sets() => Receive(_sets);

    [Benchmark(OperationsPerInvoke = KeysPerGet)]
    public long MultiGet() => Receive(_multiGets);

    /// <summary>One command for each turn of the connection.</summary>
    [Benchmark]
    public long SingleGet() => Receive(_singleGets);

    private long Receive(byte[][] inputs)
    {
        _session!.Receive(inputs[_next = (_next + 1) % Inputs]);
        _loop!.Meter?.EndConnectionTurn();
        long bytes = _session.Output.Bytes;
        _session.Output.Clear();
        return bytes;
    }

    private sealed class NoTransport : ISessionTransport
    {
        public ConnectionInfo Info { get; } = new(static () => "tcp:192.0.2.1:1", static () => "tcp:192.0.2.2:11211");

        public void Wake() => throw new InvalidOperationException("Nothing may wait on the local path.");
    }
}
