using System.Text;
using OrleansCache.Client.Entries;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client.Wire;

// The reader: one loop that takes replies apart and hands each to the operation whose turn it is. It runs no code of callers.
internal sealed partial class Connection
{
    private const int InputBytes = 64 * 1024;

    /// <summary>From this size on the rest of a value is received where it belongs, without a copy.</summary>
    private const int DirectBytesMin = 16 * 1024;

    private readonly byte[] _input = GC.AllocateUninitializedArray<byte>(InputBytes);
    private int _start, _end;

    /// <summary>The value that is arriving, and its line.</summary>
    private WireOperation? _current;
    private byte[]? _target;
    private int _targetBytes, _targetFilled;
    private MetaReplyKind _currentKind;
    private uint _currentFlags;
    private long _currentSecondsToLive;

    private async Task ReadAsync()
    {
        Exception? failure = null;
        try
        {
            while (true)
            {
                Memory<byte> room = _target is not null && _start == _end && _targetBytes - _targetFilled >= DirectBytesMin
                    ? _target.AsMemory(_targetFilled, _targetBytes - _targetFilled)
                    : _input.AsMemory(_end);
                bool isDirect = _target is not null && _start == _end && _targetBytes - _targetFilled >= DirectBytesMin;
                int received = await _stream.ReadAsync(room).ConfigureAwait(false);
                if (received == 0)
                    throw new EndOfStreamException($"{Gateway} has closed the connection.");
                Volatile.Write(ref _receivedAt, _time.GetTimestamp());
                if (isDirect)
                    _targetFilled += received;
                else
                    _end += received;
                TakeReplies();
                if (_isRetired && CloseIfIdle())
                    break;
            }
        }
        catch (Exception exception)
        {
            failure = exception;
        }

        Close(failure);
        failure = _failure;
        HandBack(failure ?? new ObjectDisposedException(nameof(OrleansCacheClient)));
        _closed.TrySetResult(failure);
    }

    private bool CloseIfIdle()
    {
        lock (_gate)
        {
            if (Pending != 0)
                return false;
        }

        Close(null);
        return true;
    }

    private void TakeReplies()
    {
        while (true)
        {
            if (_target is not null)
            {
                if (!TakeValue())
                    break;
                continue;
            }

            int length = MetaReplyLine.Read(_input.AsSpan(_start, _end - _start), out MetaReplyLine line);
            if (length == 0)
                break;
            WireOperation operation = Peek() ?? throw new InvalidDataException($"{Gateway} sent a reply that nobody waits for: {Show(line.Text)}");
            if (operation.Command == WireCommand.Discover && line.Kind == MetaReplyKind.Other)
            {
                if (!TakeDiscovery(operation, line.Text, length))
                    break;
                continue;
            }

            // An answer to something else means that replies and commands do not match any more: nobody gets a wrong one.
            if (!MayAnswer(operation.Command, line.Kind))
                throw new InvalidDataException($"{Gateway} answers {operation.Command} with {line.Kind}: {Show(line.Text)}");
            _start += length;
            if (line.Kind == MetaReplyKind.Value)
            {
                BeginValue(operation, line);
                continue;
            }

            Take();
            _owner.OnReply(this, operation, in line);
        }

        if (_start == _end)
        {
            _start = _end = 0;
        }
        else if (_start > 0)
        {
            // What is left is part of a line, or of the end of a value: little.
            _input.AsSpan(_start, _end - _start).CopyTo(_input);
            _end -= _start;
            _start = 0;
        }
    }

    private static bool MayAnswer(WireCommand command, MetaReplyKind kind) => kind switch
    {
        MetaReplyKind.ServerError or MetaReplyKind.ClientError or MetaReplyKind.Error => true,
        MetaReplyKind.Value => command is WireCommand.Get or WireCommand.RefreshByValue,
        MetaReplyKind.Done => command is WireCommand.Set or WireCommand.Remove or WireCommand.Refresh or WireCommand.Extend,
        MetaReplyKind.NotFound => command != WireCommand.Discover,
        MetaReplyKind.NotStored or MetaReplyKind.Exists => command is WireCommand.Set or WireCommand.Remove,
        _ => false,
    };

    private void BeginValue(WireOperation operation, in MetaReplyLine line)
    {
        if (line.ValueBytes > (long)_valueBytesMax + EntryLifetime.DeadlineBytes)
            throw new InvalidDataException(
                $"{Gateway} announces a value of {line.ValueBytes} bytes; {nameof(OrleansCacheOptions.ValueBytesMax)} allows {_valueBytesMax}.");
        bool asArray = operation.ValueUse == ValueUse.Array && !EntryLifetime.IsWithDeadline(line.ClientFlags);
        _current = operation;
        _currentFlags = line.ClientFlags;
        _currentSecondsToLive = line.SecondsToLive;
        _currentKind = line.Kind;
        _targetBytes = line.ValueBytes;
        _targetFilled = 0;
        _target = operation.RentValue(line.ValueBytes, asArray);
    }

    /// <summary>False if more must arrive first.</summary>
    private bool TakeValue()
    {
        int count = Math.Min(_targetBytes - _targetFilled, _end - _start);
        _input.AsSpan(_start, count).CopyTo(_target.AsSpan(_targetFilled));
        _start += count;
        _targetFilled += count;
        if (_targetFilled < _targetBytes || _end - _start < 2)
            return false;
        if (_input[_start] != '\r' || _input[_start + 1] != '\n')
            throw new InvalidDataException($"{Gateway} sent a value of another length than it announced.");
        _start += 2;
        WireOperation operation = _current!;
        var line = new MetaReplyLine
        {
            Kind = _currentKind,
            ClientFlags = _currentFlags,
            SecondsToLive = _currentSecondsToLive,
            ValueBytes = _targetBytes,
        };
        _target = null;
        _current = null;
        Take();
        _owner.OnReply(this, operation, in line);
        return true;
    }

    /// <summary>CONFIG cluster 0 BYTES, as many bytes, CRLF, END. False if more must arrive first.</summary>
    private bool TakeDiscovery(WireOperation operation, ReadOnlySpan<byte> text, int lineBytes)
    {
        ReadOnlySpan<byte> head = "CONFIG cluster "u8;
        ReadOnlySpan<byte> end = "\r\nEND\r\n"u8;
        int space = text.LastIndexOf((byte)' ');
        if (!text.StartsWith(head) || !System.Buffers.Text.Utf8Parser.TryParse(text[(space + 1)..], out int bytes, out _) || bytes is < 0 or > InputBytes / 2)
            throw new InvalidDataException($"{Gateway} sent no list of gateways: {Show(text)}");
        if (_end - _start < lineBytes + bytes + end.Length)
            return false;
        ReadOnlySpan<byte> body = _input.AsSpan(_start + lineBytes, bytes);
        if (!_input.AsSpan(_start + lineBytes + bytes, end.Length).SequenceEqual(end))
            throw new InvalidDataException($"{Gateway} sent a list of gateways of another length than it announced.");
        body.CopyTo(operation.RentValue(bytes, asArray: true));
        _start += lineBytes + bytes + end.Length;
        Take();
        _owner.OnReply(this, operation, new MetaReplyLine { Kind = MetaReplyKind.Value, ValueBytes = bytes });
        return true;
    }

    private WireOperation? Peek() => _head == Volatile.Read(ref _tail) ? null : _ring[_head & (_ring.Length - 1)];

    private void Take()
    {
        _ring[_head & (_ring.Length - 1)] = null;
        Volatile.Write(ref _head, _head + 1);
    }

    /// <summary>The connection is closed: nothing comes in at the tail any more.</summary>
    private void HandBack(Exception failure)
    {
        long handedOver;
        lock (_gate)
            handedOver = _handedOverBytes;
        _target = null;
        _current?.DropValue();
        _current = null;
        while (Peek() is { } operation)
        {
            Take();
            _owner.OnLost(operation, operation.SentAt < handedOver, failure);
        }
    }

    private static string Show(ReadOnlySpan<byte> text) => Encoding.Latin1.GetString(text[..Math.Min(text.Length, 80)]);
}
