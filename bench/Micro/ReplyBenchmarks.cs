using BenchmarkDotNet.Attributes;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Benchmarks;

/// <summary>Replies to bytes.</summary>
public class ReplyBenchmarks
{
    private readonly byte[] _key = TestKeys.Of(123456);
    private readonly byte[] _destination = new byte[1024];

    // Not read-only, so that the compiler cannot know the answer beforehand.
    private TextVerb _storage = TextVerb.Set;
    private TextVerb _counter = TextVerb.Increment;
    private CacheStatus _status = CacheStatus.Ok;

    [Benchmark]
    public int ValueHeader() => TextReply.WriteValueHeader(_destination, _key, 0, 100, withCas: false, 0);

    [Benchmark]
    public int ValueHeaderWithCas() => TextReply.WriteValueHeader(_destination, _key, 42, 100, withCas: true, 123456789);

    [Benchmark]
    public int Stored() => TextReply.WriteResult(_destination, _storage, new CacheReply { Status = _status });

    [Benchmark]
    public int Counter() => TextReply.WriteResult(_destination, _counter, new CacheReply { Status = _status, Number = 1234567890 });
}
