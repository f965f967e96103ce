using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.HitRatio.Replay;

/// <summary>
/// One connection to a memcached server, text protocol. Commands are appended to the output, sent together, and their replies read in the same
/// order. Blocking, with a time-out on every read. A reply that the protocol does not allow throws.
/// </summary>
public sealed class CacheConnection : IDisposable
{
    private const int ReplyTimeoutMilliseconds = 60_000;
    private const int OutputBytesInitial = 64 * 1024;

    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = ReplyTimeoutMilliseconds };
    private readonly byte[] _input = new byte[64 * 1024];
    private byte[] _output = new byte[OutputBytesInitial];
    private int _outputBytes;
    private int _inputStart;
    private int _inputEnd;

    public CacheConnection(IPEndPoint server) => _socket.Connect(server);

    public void Dispose() => _socket.Dispose();

    public void AppendGet(ReadOnlySpan<byte> key)
    {
        Append("get "u8);
        Append(key);
        Append("\r\n"u8);
    }

    public void AppendSet(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        Append("set "u8);
        Append(key);
        Append(" 0 0 "u8);
        Span<byte> digits = stackalloc byte[16];
        Utf8Formatter.TryFormat(value.Length, digits, out int count);
        Append(digits[..count]);
        Append("\r\n"u8);
        Append(value);
        Append("\r\n"u8);
    }

    public void Send()
    {
        for (int sent = 0; sent < _outputBytes;)
            sent += _socket.Send(_output.AsSpan(sent, _outputBytes - sent));
        _outputBytes = 0;
    }

    /// <summary>The length of the value that a get has found, or -1 if it found none.</summary>
    public int ReadGetReply()
    {
        ReadOnlySpan<byte> line = ReadLine();
        if (line.SequenceEqual("END"u8))
            return -1;
        int lengthStart = line.LastIndexOf((byte)' ') + 1;
        if (!line.StartsWith("VALUE "u8) || !Utf8Parser.TryParse(line[lengthStart..], out int valueBytes, out _))
            throw Unexpected(line);
        Skip(valueBytes + 2);
        line = ReadLine();
        return line.SequenceEqual("END"u8) ? valueBytes : throw Unexpected(line);
    }

    /// <summary>Null if the item was stored, else what the server says.</summary>
    public string? ReadSetReply()
    {
        ReadOnlySpan<byte> line = ReadLine();
        return line.SequenceEqual("STORED"u8) ? null : Encoding.UTF8.GetString(line);
    }

    /// <summary>The server's general statistics by name.</summary>
    public Dictionary<string, string> ReadStats()
    {
        Append("stats\r\n"u8);
        Send();
        var stats = new Dictionary<string, string>();
        while (true)
        {
            string line = Encoding.UTF8.GetString(ReadLine());
            if (line == "END")
                return stats;
            string[] fields = line.Split(' ', 3);
            if (fields is not ["STAT", _, _])
                throw new InvalidDataException($"unexpected reply to stats: {line}");
            stats[fields[1]] = fields[2];
        }
    }

    private static InvalidDataException Unexpected(ReadOnlySpan<byte> line) => new($"unexpected reply: {Encoding.UTF8.GetString(line)}");

    private void Append(ReadOnlySpan<byte> bytes)
    {
        if (_outputBytes + bytes.Length > _output.Length)
            Array.Resize(ref _output, Math.Max(_output.Length * 2, _outputBytes + bytes.Length));
        bytes.CopyTo(_output.AsSpan(_outputBytes));
        _outputBytes += bytes.Length;
    }

    /// <summary>The next line without its end. Valid until the next read.</summary>
    private ReadOnlySpan<byte> ReadLine()
    {
        int searched = 0;
        while (true)
        {
            int length = _input.AsSpan(_inputStart + searched, _inputEnd - _inputStart - searched).IndexOf((byte)'\n');
            if (length >= 0)
            {
                ReadOnlySpan<byte> line = _input.AsSpan(_inputStart, searched + length);
                _inputStart += searched + length + 1;
                return line.EndsWith("\r"u8) ? line[..^1] : line;
            }

            searched = _inputEnd - _inputStart;
            if (searched > 0)
                _input.AsSpan(_inputStart, searched).CopyTo(_input);
            (_inputStart, _inputEnd) = (0, searched);
            if (searched == _input.Length)
                throw new InvalidDataException("a reply line without an end");
            Receive();
        }
    }

    private void Skip(int count)
    {
        while (count > 0)
        {
            if (_inputStart == _inputEnd)
            {
                (_inputStart, _inputEnd) = (0, 0);
                Receive();
            }

            int skipped = Math.Min(count, _inputEnd - _inputStart);
            _inputStart += skipped;
            count -= skipped;
        }
    }

    private void Receive()
    {
        int received = _socket.Receive(_input.AsSpan(_inputEnd));
        _inputEnd += received > 0 ? received : throw new EndOfStreamException("the server closed the connection");
    }
}
