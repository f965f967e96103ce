using BenchmarkDotNet.Attributes;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Benchmarks;

/// <summary>Replies to bytes.</summary>
public class ReplyBenchmarks
{
    private readonly byte[] _key = TestKeys.Of(123456);
    private readonly byte[] _destination = new byte[1024];

    [Benchmark]
    public int ValueHeader() => TextReply.WriteValueHeader(_destination, _key, 0, 100, withCas: false, 0);

    [Benchmark]
    public int ValueHeaderWithCas() => TextReply.WriteValueHeader(_destination, _key, 42, 100, withCas: true, 123456789);

    [Benchmark]
    public int Stored() => TextReply.WriteResult(_destination, TextVerb.Set, new CacheReply { Status = CacheStatus.Ok });

    [Benchmark]
    public int Counter() => TextReply.WriteResult(_destination, TextVerb.Increment, new CacheReply { Status = CacheStatus.Ok, Number = 1234567890 });
}
