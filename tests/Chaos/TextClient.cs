using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Chaos;

/// <summary>The connection is of no use any more: refused, closed, or silent for too long. What was sent last may have taken effect or not.</summary>
internal sealed class ConnectionLostException(string message) : IOException(message);

/// <summary>A connection to a gateway on this machine that speaks memcached's classic text protocol. Non-goals: thread safety, pipelines.</summary>
internal sealed class TextClient(IPEndPoint gateway, TimeSpan timeout) : IDisposable
{
    private Socket? _socket;
    private byte[] _buffer = new byte[16 * 1024];
    private int _start;
    private int _end;

    public void Dispose() => _socket?.Dispose();

    public async Task<string> SetAsync(string key, string value)
    {
        await SendAsync(string.Create(CultureInfo.InvariantCulture, $"set {key} 0 0 {value.Length}\r\n{value}\r\n"));
        return await ReadLineAsync();
    }

    public async Task<string> CommandAsync(string line)
    {
        await SendAsync(line + "\r\n");
        return await ReadLineAsync();
    }

    /// <summary>The values of the keys that were found; null, with the line, if the answer is an error.</summary>
    public async Task<(Dictionary<string, string>? Found, string Line)> GetAsync(IReadOnlyCollection<string> keys)
    {
        await SendAsync($"get {string.Join(' ', keys)}\r\n");
        Dictionary<string, string> found = new(keys.Count);
        while (true)
        {
            string line = await ReadLineAsync();
            if (line == "END")
                return (found, line);
            string[] words = line.Split(' ');
            if (words is not ["VALUE", _, _, _, ..])
                return (null, line);
            found[words[1]] = await ReadBlockAsync(int.Parse(words[3], CultureInfo.InvariantCulture));
        }
    }

    /// <summary>Stores many at once. False if one of them was not stored.</summary>
    public async Task<bool> SetManyAsync(IReadOnlyCollection<(string Key, string Value)> items)
    {
        var burst = new StringBuilder();
        foreach ((string key, string value) in items)
            burst.Append(CultureInfo.InvariantCulture, $"set {key} 0 0 {value.Length}\r\n{value}\r\n");
        Task sending = SendAsync(burst.ToString());
        bool allStored = true;
        for (int i = 0; i < items.Count; i++)
            allStored &= await ReadLineAsync() == "STORED";
        await sending;
        return allStored;
    }

    /// <summary>`stats NAME`; empty if the answer is an error.</summary>
    public async Task<List<KeyValuePair<string, string>>> StatsAsync(string name)
    {
        await SendAsync($"stats {name}\r\n");
        List<KeyValuePair<string, string>> values = [];
        while (true)
        {
            string line = await ReadLineAsync();
            string[] words = line.Split(' ', 3);
            if (words is not ["STAT", _, _])
                return line == "END" ? values : [];
            values.Add(new(words[1], words[2]));
        }
    }

    public async Task SendAsync(string text)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        using CancellationTokenSource expiry = new(timeout);
        try
        {
            if (_socket is null)
            {
                _socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                await _socket.ConnectAsync(gateway, expiry.Token);
            }

            for (ReadOnlyMemory<byte> rest = bytes; !rest.IsEmpty;)
                rest = rest[await _socket.SendAsync(rest, SocketFlags.None, expiry.Token)..];
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            throw new ConnectionLostException(exception.Message);
        }
    }

    public async Task<string> ReadLineAsync()
    {
        int looked = _start;
        while (true)
        {
            int at = _buffer.AsSpan(looked, _end - looked).IndexOf((byte)'\n');
            if (at >= 0)
            {
                string line = Encoding.Latin1.GetString(_buffer, _start, looked + at - _start).TrimEnd('\r');
                _start = looked + at + 1;
                return line;
            }

            int had = _end - _start;
            await FillAsync();
            looked = _start + had;
        }
    }

    private async Task<string> ReadBlockAsync(int length)
    {
        while (_end - _start < length + 2)
            await FillAsync();
        string value = Encoding.Latin1.GetString(_buffer, _start, length);
        _start += length + 2;
        return value;
    }

    private async Task FillAsync()
    {
        if (_start > 0)
        {
            Buffer.BlockCopy(_buffer, _start, _buffer, 0, _end - _start);
            (_start, _end) = (0, _end - _start);
        }

        if (_end == _buffer.Length)
            Array.Resize(ref _buffer, _buffer.Length * 2);
        using CancellationTokenSource expiry = new(timeout);
        int received;
        try
        {
            received = await _socket!.ReceiveAsync(_buffer.AsMemory(_end), SocketFlags.None, expiry.Token);
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            throw new ConnectionLostException(exception.Message);
        }

        if (received == 0)
            throw new ConnectionLostException("closed");
        _end += received;
    }
}
