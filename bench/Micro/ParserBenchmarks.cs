using System.Text;
using BenchmarkDotNet.Attributes;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Benchmarks;

/// <summary>Bytes to command lines, without what follows.</summary>
public class ParserBenchmarks
{
    private const int KeysPerGet = 50;
    private static readonly TextLimits TextLimits = new(Limits.ItemBytesDefault);
    private readonly byte[] _get = Encoding.ASCII.GetBytes($"get {TestKeys.Text(123456)}\r\n");
    private readonly byte[] _set = Encoding.ASCII.GetBytes($"set {TestKeys.Text(123456)} 0 0 100\r\n");
    private readonly byte[] _multiGet =
        Encoding.ASCII.GetBytes($"get {string.Join(' ', Enumerable.Range(0, KeysPerGet).Select(i => TestKeys.Text(i * 7919)))}\r\n");
    private readonly byte[] _unknown = "bogus key\r\n"u8.ToArray();

    [Benchmark]
    public int Get()
    {
        TextParser.Parse(_get, TextLimits, out TextCommand command, out int consumed);
        TextParser.TryReadKey(ref command.Keys, out ReadOnlySpan<byte> key);
        return consumed + key.Length;
    }

    [Benchmark]
    public int Set()
    {
        TextParser.Parse(_set, TextLimits, out TextCommand command, out int consumed);
        return consumed + command.Key.Length + command.ValueLength;
    }

    /// <summary>Time per key.</summary>
    [Benchmark(OperationsPerInvoke = KeysPerGet)]
    public int MultiGet()
    {
        TextParser.Parse(_multiGet, TextLimits, out TextCommand command, out int consumed);
        while (TextParser.TryReadKey(ref command.Keys, out ReadOnlySpan<byte> key))
            consumed += key.Length;
        return consumed;
    }

    [Benchmark]
    public int Error()
    {
        TextParser.Parse(_unknown, TextLimits, out TextCommand command, out int consumed);
        return consumed + command.ErrorLine.Length;
    }
}
