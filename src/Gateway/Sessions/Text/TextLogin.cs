using System.Buffers.Text;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>
/// -Y: a text connection must log in before anything else, by a `set` of any key whose value is "user password"; with memcached's replies. Line and block
/// collect in <see cref="SessionInput.Head"/>.
/// </summary>
internal sealed class TextLogin(Session session, PasswordCheck passwords) : Login(session, passwords)
{
    /// <summary>memcached closes shorter lines at once: no `set` is that short.</summary>
    private const int LineBytesMin = 6;

    // Of the data block, CRLF included; 0 while a command line is awaited.
    private int _blockBytes;

    /// <summary>The connection has logged in.</summary>
    public bool IsRight { get; private set; }

    /// <summary>Takes input until the connection has logged in. Returns what it has consumed.</summary>
    public unsafe int Process(byte* source, int length)
    {
        LoopContext loop = Session.Loop;
        ref SessionInput input = ref Session.Input;
        int at = 0;
        while (at < length && !IsRight && !Session.IsClosing && !Session.IsBlocked)
        {
            bool isWhole;
            NativeBuffer head = input.Head ??= loop.Chunks.RentBuffer(256);
            if (_blockBytes > 0)
            {
                int taken = Math.Min(length - at, _blockBytes - head.Length);
                head.Append(source + at, taken);
                at += taken;
                isWhole = head.Length == _blockBytes;
            }
            else
            {
                int end = new ReadOnlySpan<byte>(source + at, length - at).IndexOf((byte)'\n');
                int taken = end < 0 ? length - at : end + 1;
                head.Append(source + at, taken);
                at += taken;
                isWhole = end >= 0;
                if (!isWhole && head.Length > Limits.LineBytesMax)
                    Session.Close();
            }

            if (!isWhole)
                return length;
            if (_blockBytes > 0)
                TakeBlock(head.Span);
            else
                TakeLine(head.Span[..^1]);
            if (input.Head is { } done)
                loop.Chunks.ReturnBuffer(done);
            input.Head = null;
        }

        return Session.IsClosing ? length : at;
    }

    /// <summary>set, any key, any flags, any expiry, and the length of the value.</summary>
    private void TakeLine(ReadOnlySpan<byte> line)
    {
        if (line.Length < LineBytesMin)
        {
            Session.Close();
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
            Session.Replies.Current.Write("CLIENT_ERROR unauthenticated\r\n"u8);
        else if (bytes > Limits.LoginBytesMax)
            Session.Replies.Current.Write("CLIENT_ERROR auth token too long\r\n"u8);
        else
            _blockBytes = (int)bytes + 2;
    }

    private void TakeBlock(ReadOnlySpan<byte> block)
    {
        _blockBytes = 0;
        if (!block.EndsWith("\r\n"u8))
        {
            Session.Replies.Current.Write("CLIENT_ERROR bad command line termination\r\n"u8);
            return;
        }

        ReadOnlySpan<byte> token = block[..^2];
        int space = token.IndexOf((byte)' ');
        if (space < 0)
        {
            Session.Replies.Current.Write("CLIENT_ERROR bad authentication token format\r\n"u8);
        }
        else if (Check(token[..space], token[(space + 1)..]))
        {
            Accept();
            IsRight = true;
            Session.Replies.Current.Write("STORED\r\n"u8);
        }
        else
        {
            Refuse("CLIENT_ERROR authentication failure\r\n"u8.ToArray());
        }
    }
}
