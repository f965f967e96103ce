using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Conformance;

/// <summary>
/// A bare TCP connection that sends exactly the bytes it is given and reads replies line by line. Every wait is bounded; what goes wrong is told together
/// with the server's output. Not thread-safe, but one task may send while another reads.
/// </summary>
public sealed class RawClient : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly ServerProcess _server;
    private byte[] _buffer = new byte[64 * 1024];
    private int _start;
    private int _end;

    internal RawClient(ServerProcess server)
    {
        _server = server;
        Socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Socket.Connect(new IPEndPoint(IPAddress.Loopback, server.Port));
    }

    public Socket Socket { get; }

    /// <summary>How long each read and each send may take.</summary>
    public TimeSpan Timeout { get; set; } = s_timeout;

    /// <summary>Sends text, one byte per character.</summary>
    public Task SendAsync(string text) => SendAsync(Encoding.Latin1.GetBytes(text));

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var expiry = new CancellationTokenSource(Timeout);
        try
        {
            while (!bytes.IsEmpty)
                bytes = bytes[await Socket.SendAsync(bytes, SocketFlags.None, expiry.Token)..];
        }
        catch (OperationCanceledException)
        {
            throw Failed($"the server took no more bytes for {Timeout.TotalSeconds} s, {bytes.Length} left");
        }
    }

    /// <summary>Sends one command line and returns the first line of the reply.</summary>
    public async Task<string> CommandAsync(string line)
    {
        await SendAsync(line + "\r\n");
        return await ReadLineAsync();
    }

    /// <summary>Stores a value and returns the reply.</summary>
    public async Task<string> SetAsync(string key, ReadOnlyMemory<byte> value, uint flags = 0, long expirySeconds = 0, string verb = "set")
    {
        byte[] message = new byte[Encoding.Latin1.GetByteCount(key) + value.Length + 64];
        int length = Encoding.Latin1.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{verb} {key} {flags} {expirySeconds} {value.Length}\r\n"), message);
        value.Span.CopyTo(message.AsSpan(length));
        length += value.Length;
        message[length++] = (byte)'\r';
        message[length++] = (byte)'\n';
        await SendAsync(message.AsMemory(0, length));
        return await ReadLineAsync();
    }

    public Task<string> SetAsync(string key, string value) => SetAsync(key, Encoding.Latin1.GetBytes(value));

    /// <summary>Fetches one value; null is a miss. Any other reply than a hit of this key or END throws.</summary>
    public async Task<byte[]?> GetAsync(string key)
    {
        await SendAsync($"get {key}\r\n");
        string line = await ReadLineAsync();
        if (line == "END")
            return null;
        string[] words = line.Split(' ');
        if (words.Length != 4 || words[0] != "VALUE" || words[1] != key)
            throw Failed($"`get {key}` was answered with `{line}`");
        byte[] value = await ReadBytesAsync(int.Parse(words[3], CultureInfo.InvariantCulture));
        await ExpectLineAsync("");
        await ExpectLineAsync("END");
        return value;
    }

    /// <summary>Fetches one value as text; null is a miss.</summary>
    public async Task<string?> GetTextAsync(string key) => await GetAsync(key) is { } value ? Encoding.Latin1.GetString(value) : null;

    /// <summary>Fetches `stats` or one of its sub-commands.</summary>
    public async Task<Dictionary<string, string>> StatsAsync(string group = "")
    {
        await SendAsync(group.Length == 0 ? "stats\r\n" : $"stats {group}\r\n");
        Dictionary<string, string> statistics = [];
        while (true)
        {
            string line = await ReadLineAsync();
            if (line == "END")
                return statistics;
            string[] words = line.Split(' ', 3);
            if (words.Length < 2 || words[0] != "STAT")
                throw Failed($"`stats {group}` has the line `{line}`");
            statistics[words[1]] = words.Length == 3 ? words[2] : "";
        }
    }

    public async Task ExpectLineAsync(string expected)
    {
        string line = await ReadLineAsync();
        if (line != expected)
            throw Failed($"expected `{expected}`, got `{line}`");
    }

    /// <summary>Reads one line, without its CRLF. The end of the connection throws.</summary>
    public async Task<string> ReadLineAsync()
    {
        int searched = 0;
        while (true)
        {
            int newline = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                int length = searched + newline;
                int text = length > 0 && _buffer[_start + length - 1] == '\r' ? length - 1 : length;
                string line = Encoding.Latin1.GetString(_buffer, _start, text);
                _start += length + 1;
                return line;
            }
            searched = _end - _start;
            if (!await FillAsync())
                throw Failed($"the server closed the connection; unfinished: `{Encoding.Latin1.GetString(_buffer, _start, _end - _start)}`");
        }
    }

    public async Task<byte[]> ReadBytesAsync(int count)
    {
        byte[] bytes = new byte[count];
        int have = 0;
        while (have < count)
        {
            if (_start == _end && !await FillAsync())
                throw Failed($"the server closed the connection after {have} of {count} bytes");
            int take = Math.Min(count - have, _end - _start);
            _buffer.AsSpan(_start, take).CopyTo(bytes.AsSpan(have));
            _start += take;
            have += take;
        }
        return bytes;
    }

    /// <summary>Hands the bytes that have arrived (at least one) to <paramref name="take"/>; false at the end of the connection.</summary>
    public async Task<bool> ReadChunkAsync(SpanAction<byte, int> take)
    {
        ArgumentNullException.ThrowIfNull(take);
        if (_start == _end && !await FillAsync())
            return false;
        take(_buffer.AsSpan(_start, _end - _start), _end - _start);
        _start = _end;
        return true;
    }

    /// <summary>Reads until the server closes. A reset counts as the end.</summary>
    public async Task<string> ReadToEndAsync()
    {
        var text = new StringBuilder();
        while (await ReadChunkAsync((bytes, _) => text.Append(Encoding.Latin1.GetString(bytes))))
        {
        }
        return text.ToString();
    }

    /// <summary>Ends the sending direction only (FIN).</summary>
    public void EndSending() => Socket.Shutdown(SocketShutdown.Send);

    /// <summary>Drops the connection with a reset (RST).</summary>
    public void Reset()
    {
        Socket.LingerState = new LingerOption(enable: true, seconds: 0);
        Socket.Close();
    }

    public void Dispose() => Socket.Dispose();

    private async Task<bool> FillAsync()
    {
        if (_start == _end)
        {
            _start = _end = 0;
        }
        else if (_end == _buffer.Length)
        {
            byte[] target = _start > 0 ? _buffer : new byte[_buffer.Length * 2];
            _buffer.AsSpan(_start, _end - _start).CopyTo(target);
            (_buffer, _end, _start) = (target, _end - _start, 0);
        }
        using var expiry = new CancellationTokenSource(Timeout);
        try
        {
            int read = await Socket.ReceiveAsync(_buffer.AsMemory(_end), SocketFlags.None, expiry.Token);
            _end += read;
            return read > 0;
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionReset)
        {
            return false;
        }
        catch (OperationCanceledException)
        {
            throw Failed($"nothing came for {Timeout.TotalSeconds} s; unfinished: "
                + $"`{Encoding.Latin1.GetString(_buffer, _start, Math.Min(_end - _start, 200))}`");
        }
    }

    private RawClientException Failed(string what) => new($"{what}\n{_server.Output}");
}

/// <summary>A reply that did not come, or was not what it had to be.</summary>
public sealed class RawClientException(string message) : Exception(message);
