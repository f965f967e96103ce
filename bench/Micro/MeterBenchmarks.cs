using BenchmarkDotNet.Attributes;
using OrleansCache.Gateway.Metering;

namespace OrleansCache.Benchmarks;

/// <summary>What measuring adds to a command, apart from everything else. Per command.</summary>
public class MeterBenchmarks
{
    private const int PipelineDepth = 16;
    private readonly CommandMeter _meter = new();
    private readonly byte[] _key = "user:1234567890:profile:abcdefgh"u8.ToArray();
    private ulong _hash;
    private int _untilSample = KeySampler.SampleInterval;

    /// <summary>One command for each turn of a connection, at full load: many connections in a turn of the loop.</summary>
    [Benchmark]
    public long OneCommandATurn()
    {
        Count();
        _meter.EndConnectionTurn();
        return _meter.TurnBegan;
    }

    [Benchmark(OperationsPerInvoke = PipelineDepth)]
    public long Pipeline()
    {
        for (int i = 0; i < PipelineDepth; i++)
            Count();
        _meter.EndConnectionTurn();
        return _meter.TurnBegan;
    }

    /// <summary>Beginning a turn of the loop: once, however many connections are served in it.</summary>
    [Benchmark]
    public long Turn()
    {
        _meter.BeginTurn();
        return _meter.TurnBegan;
    }

    private void Count()
    {
        var request = new CacheRequest { Operation = CacheOperation.Get, Flags = RequestFlags.ReturnValue, Key = _key, KeyHash = ++_hash & 0xFFFF };
        _meter.Count(CommandMeter.CommandOf(in request), CacheStatus.Ok);
        if (--_untilSample > 0)
            return;
        _untilSample = KeySampler.SampleInterval;
        _meter.Keys.Sample(request.Key, request.KeyHash);
    }
}
