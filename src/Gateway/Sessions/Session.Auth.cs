using System.Buffers.Text;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// -Y: a text connection must log in before anything else, by a `set` of any key whose value is "user password"; with memcached's replies.
// And refresh_certs.
internal sealed partial class Session
{
    /// <summary>memcached closes shorter lines at once: no `set` is that short.</summary>
    private const int LoginLineBytesMin = 6;

    private bool _mustLogIn;
    private int _loginFailures;

    // Of the login's data block, CRLF included; 0 while a command line is awaited. Line and block collect in _line.
    private int _loginBlockBytes;

    /// <summary>Whether this user and password let the connection in. What follows is <see cref="CountLogin"/> or <see cref="RefuseLogin"/>.</summary>
    private static bool IsLoginRight(PasswordCheck passwords, ReadOnlySpan<byte> user, ReadOnlySpan<byte> password) =>
        passwords.IsRight(user, password);

    private void CountLogin() => _loop.Counters.AuthCommands++;

    /// <summary>
    /// Answers a failed login of either protocol: after a delay during which this connection takes nothing else, or at once if too many wait in all; then,
    /// as after the last
    /// failure that a connection is allowed, it is closed.
    /// </summary>
    private void RefuseLogin(byte[] reply)
    {
        LoginGuard guard = _loop.Shared.Logins;
        _loop.Counters.AuthCommands++;
        _loop.Counters.AuthErrors++;
        guard.CountFailure(_transport.Info);
        Task? delay = guard.TryDelay(_transport.Info);
        if (delay is null)
        {
            CurrentOutput.Write(reply);
            Close();
            return;
        }

        _loginFailures++;
        _barrier = Barrier.Working;
        _ = WaitForLoginDelayAsync(this, delay, reply);
    }

    private static async Task WaitForLoginDelayAsync(Session session, Task delay, byte[] reply)
    {
        await delay.ConfigureAwait(false);
        session._loop.Queue.Post(new WorkDone(session, () =>
        {
            session.CurrentOutput.Write(reply);
            if (session._loginFailures >= Limits.LoginFailuresMax)
                session.Close();
        }));
    }

    /// <summary>Takes input until the connection has logged in. Returns what it has consumed.</summary>
    private unsafe int ProcessLogin(byte* input, int length)
    {
        int at = 0;
        while (at < length && _mustLogIn && !_isClosing && !IsBlocked)
        {
            bool isWhole;
            _line ??= _loop.Chunks.RentBuffer(256);
            if (_loginBlockBytes > 0)
            {
                int taken = Math.Min(length - at, _loginBlockBytes - _line.Length);
                _line.Append(input + at, taken);
                at += taken;
                isWhole = _line.Length == _loginBlockBytes;
            }
            else
            {
                int end = new ReadOnlySpan<byte>(input + at, length - at).IndexOf((byte)'\n');
                int taken = end < 0 ? length - at : end + 1;
                _line.Append(input + at, taken);
                at += taken;
                isWhole = end >= 0;
                if (!isWhole && _line.Length > Limits.LineBytesMax)
                    Close();
            }

            if (!isWhole)
                return length;
            if (_loginBlockBytes > 0)
                TakeLoginBlock(_line.Span);
            else
                TakeLoginLine(_line.Span[..^1]);
            if (_line is { } line)
                _loop.Chunks.ReturnBuffer(line);
            _line = null;
        }

        return _isClosing ? length : at;
    }

    /// <summary>set, any key, any flags, any expiry, and the length of the value.</summary>
    private void TakeLoginLine(ReadOnlySpan<byte> line)
    {
        if (line.Length < LoginLineBytesMin)
        {
            Close();
            return;
        }

        ReadOnlySpan<byte> rest = line[^1] == '\r' ? line[..^1] : line;
        bool isSet = line.StartsWith("set"u8);
        uint bytes = 0;
        for (int token = 0; token < 5 && isSet; token++)
        {
            isSet = TextParser.TryReadKey(ref rest, out ReadOnlySpan<byte> word);
            if (token == 4)
                isSet = isSet && Utf8Parser.TryParse(word, out bytes, out int used) && used == word.Length;
        }

        if (!isSet)
            CurrentOutput.Write("CLIENT_ERROR unauthenticated\r\n"u8);
        else if (bytes > Limits.LoginBytesMax)
            CurrentOutput.Write("CLIENT_ERROR auth token too long\r\n"u8);
        else
            _loginBlockBytes = (int)bytes + 2;
    }

    private void TakeLoginBlock(ReadOnlySpan<byte> block)
    {
        _loginBlockBytes = 0;
        if (!block.EndsWith("\r\n"u8))
        {
            CurrentOutput.Write("CLIENT_ERROR bad command line termination\r\n"u8);
            return;
        }

        ReadOnlySpan<byte> token = block[..^2];
        int space = token.IndexOf((byte)' ');
        if (space < 0)
        {
            CurrentOutput.Write("CLIENT_ERROR bad authentication token format\r\n"u8);
        }
        else if (IsLoginRight(_loop.Shared.Options.TextPasswords!, token[..space], token[(space + 1)..]))
        {
            CountLogin();
            _mustLogIn = false;
            CurrentOutput.Write("STORED\r\n"u8);
        }
        else
        {
            RefuseLogin("CLIENT_ERROR authentication failure\r\n"u8.ToArray());
        }
    }

    /// <summary>refresh_certs: reads certificates and passwords again, off the loop. Nothing behind it is parsed before it is done.</summary>
    private void StartReload(bool noReply)
    {
        if (!_loop.Shared.Files.HasFiles)
        {
            if (!noReply)
                CurrentOutput.Write("SERVER_ERROR TLS is not enabled\r\n"u8);
            return;
        }

        _barrier = Barrier.Working;
        _ = WaitForReloadAsync(this, noReply);
    }

    private static async Task WaitForReloadAsync(Session session, bool noReply)
    {
        string? failure;
        try
        {
            failure = await session._loop.Shared.Files.ReloadAsync().ConfigureAwait(false);
        }
        catch (Exception unexpected)
        {
            failure = unexpected.Message;
        }

        session._loop.Queue.Post(new WorkDone(session, () =>
        {
            if (noReply)
                return;
            if (failure is null)
                session.CurrentOutput.Write("OK\r\n"u8);
            else
                session.CurrentOutput.Commit(TextReply.WriteServerError(session.CurrentOutput.Reserve(TextReply.LineBytesMax), failure));
        }));
    }

    /// <summary>Ends a <see cref="Barrier.Working"/>.</summary>
    private sealed class WorkDone(Session session, Action finish) : LoopWorkItem
    {
        public override void Execute()
        {
            if (session.IsAborted)
                return;
            session._barrier = Barrier.None;
            finish();
            session._transport.Wake();
        }
    }
}
