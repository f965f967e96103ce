using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace OrleansCache.Cli.Client;

/// <summary>
/// One connection that speaks memcached's text protocol, one command at a time. Every wait is bounded by the time-out; a failure is a
/// <see cref="CliException"/> that names the server. Non-goals: speed (the load generator has its own loop over <see cref="Stream"/>), use by several threads.
/// </summary>
internal sealed class MemcachedConnection : IDisposable
{
    private const int LineBytesMax = 64 * 1024;

    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[64 * 1024];
    private int _start;
    private int _end;

    private MemcachedConnection(Socket socket, Stream stream, ServerAddress server)
    {
        _socket = socket;
        Stream = stream;
        Server = server;
    }

    public ServerAddress Server { get; }

    public Stream Stream { get; }

    public static MemcachedConnection Open(ServerAddress server, ConnectionOptions options)
    {
        Socket? socket = null;
        try
        {
            socket = Connect(server, options.Timeout);
            socket.SendTimeout = socket.ReceiveTimeout = (int)options.Timeout.TotalMilliseconds;
            Stream stream = new NetworkStream(socket, ownsSocket: true);
            if (options.Tls)
                stream = Secure(stream, server, options);
            var connection = new MemcachedConnection(socket, stream, server);
            if (options.User is not null)
                connection.LogIn(options.User, options.Password ?? "");
            return connection;
        }
        catch (Exception exception) when (exception is SocketException or IOException or AuthenticationException or OperationCanceledException)
        {
            socket?.Dispose();
            string reason = exception is OperationCanceledException ? $"no answer within {options.Timeout.TotalSeconds:0} s" : Reason(exception);
            throw CliException.Unavailable($"cannot reach {server}: {reason}", exception);
        }
        catch
        {
            socket?.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Stream.Dispose();
        _socket.Dispose();
    }

    /// <summary>Sends a line and returns the first line of the answer.</summary>
    public string Ask(string command)
    {
        Send(Encoding.UTF8.GetBytes(command + "\r\n"));
        return ReadLine();
    }

    /// <summary>`stats ...`: names and values in the server's order.</summary>
    public List<KeyValuePair<string, string>> ReadStatistics(string arguments = "")
    {
        Send(Encoding.ASCII.GetBytes(arguments.Length == 0 ? "stats\r\n" : $"stats {arguments}\r\n"));
        var values = new List<KeyValuePair<string, string>>();
        while (true)
        {
            string line = ReadLine();
            if (line is "END" or "RESET")
                return values;
            if (!line.StartsWith("STAT ", StringComparison.Ordinal))
                throw Unexpected($"stats {arguments}".TrimEnd(), line);
            int space = line.IndexOf(' ', 5);
            values.Add(space < 0 ? new(line[5..], "") : new(line[5..space], line[(space + 1)..]));
        }
    }

    /// <summary>Null if there is no such item.</summary>
    public (uint Flags, byte[] Value)? Get(string key)
    {
        string line = Ask($"get {CheckKey(key)}");
        if (line == "END")
            return null;
        string[] words = line.Split(' ');
        if (words is not ["VALUE", _, { } flags, { } length, ..] || !int.TryParse(length, NumberStyles.None, CultureInfo.InvariantCulture, out int bytes))
            throw Unexpected("get", line);
        byte[] value = ReadBytes(bytes);
        ReadBytes(2);
        ReadLine();
        return (uint.Parse(flags, CultureInfo.InvariantCulture), value);
    }

    /// <summary>STORED, or why not.</summary>
    public string Set(string key, ReadOnlySpan<byte> value, uint flags, int ttlSeconds)
    {
        byte[] line = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"set {CheckKey(key)} {flags} {ttlSeconds} {value.Length}\r\n"));
        Send([.. line, .. value, .. "\r\n"u8]);
        return ReadLine();
    }

    public string ReadLine()
    {
        while (true)
        {
            int newLine = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n');
            if (newLine >= 0)
            {
                string line = Encoding.UTF8.GetString(_buffer, _start, newLine).TrimEnd('\r');
                _start += newLine + 1;
                return line;
            }

            if (_end - _start >= LineBytesMax)
                throw CliException.Unavailable($"{Server} answers with a line without an end: is it a memcached?");
            Fill();
        }
    }

    /// <summary>Reads bytes that nobody looks at.</summary>
    public void Skip(int count)
    {
        while (count > 0)
        {
            if (_start == _end)
                Fill();
            int length = Math.Min(count, _end - _start);
            _start += length;
            count -= length;
        }
    }

    public CliException Unexpected(string command, string line) =>
        line.StartsWith("CLIENT_ERROR unauthenticated", StringComparison.Ordinal)
            ? CliException.Refused($"{Server} wants a login: --user and --password-file")
        : line.StartsWith("SERVER_ERROR", StringComparison.Ordinal) || line.StartsWith("CLIENT_ERROR", StringComparison.Ordinal)
            ? CliException.Refused($"{Server} refuses {command}: {line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..]}")
        : line == "ERROR" ? CliException.Refused($"{Server} does not know {command}: it is another memcached, or an older version")
        : CliException.Unavailable($"{Server} answers {command} with \"{(line.Length > 60 ? line[..60] + "..." : line)}\": is it a memcached?");

    public void Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            Stream.Write(bytes);
            Stream.Flush();
        }
        catch (Exception exception) when (exception is IOException or SocketException)
        {
            throw CliException.Unavailable($"{Server}: {Reason(exception)}", exception);
        }
    }

    public static string CheckKey(string key)
    {
        if (key.Length == 0 || Encoding.UTF8.GetByteCount(key) > Limits.KeyBytesMax || key.Any(character => character <= ' ' || character == 0x7F))
            throw CliException.Usage($"a key has 1 to {Limits.KeyBytesMax} bytes and neither spaces nor control characters");
        return key;
    }

    private static Socket Connect(ServerAddress server, TimeSpan timeout)
    {
        using var limit = new CancellationTokenSource(timeout);
        if (server.SocketPath is { } path)
        {
            var local = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            local.Connect(new UnixDomainSocketEndPoint(path));
            return local;
        }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.ConnectAsync(server.Host, server.Port, limit.Token).AsTask().GetAwaiter().GetResult();
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static SslStream Secure(Stream stream, ServerAddress server, ConnectionOptions options)
    {
        var secured = new SslStream(stream);
        var authentication = new SslClientAuthenticationOptions
        {
            TargetHost = server.Host,
            ClientCertificates = options.Certificate is null ? null : [options.Certificate],
        };
        if (options.TlsInsecure)
        {
#pragma warning disable CA5359 // It is what --tls-insecure asks for.
            authentication.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        }
        else if (options.Authorities is not null)
        {
            authentication.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck };
            authentication.CertificateChainPolicy.CustomTrustStore.AddRange(options.Authorities);
        }

        secured.AuthenticateAsClient(authentication);
        return secured;
    }

    private static string Reason(Exception exception)
    {
        while (exception.InnerException is { } inner)
            exception = inner;
        return exception is SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock } ? "no answer in time" : exception.Message;
    }

    private void LogIn(string user, string password)
    {
        byte[] login = Encoding.UTF8.GetBytes($"{user} {password}");
        Send([.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"set login 0 0 {login.Length}\r\n")), .. login, .. "\r\n"u8]);
        string line = ReadLine();
        if (line != "STORED")
            throw CliException.Refused($"{Server} does not let {user} in: {line}");
    }

    private byte[] ReadBytes(int count)
    {
        byte[] bytes = new byte[count];
        int done = 0;
        while (done < count)
        {
            if (_start == _end)
                Fill();
            int length = Math.Min(count - done, _end - _start);
            _buffer.AsSpan(_start, length).CopyTo(bytes.AsSpan(done));
            _start += length;
            done += length;
        }

        return bytes;
    }

    private void Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }

        int length;
        try
        {
            length = Stream.Read(_buffer, _end, _buffer.Length - _end);
        }
        catch (Exception exception) when (exception is IOException or SocketException)
        {
            throw CliException.Unavailable($"{Server}: {Reason(exception)}", exception);
        }

        if (length == 0)
            throw CliException.Unavailable($"{Server} has closed the connection");
        _end += length;
    }
}
